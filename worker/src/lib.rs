//! Runs the jobs of the queue. What each kind of job does stands in [`jobs`], one file each; how jobs are claimed, kept,
//! ended and given back stands in the runtime, and their statements in `common::queue`.

mod admin;
mod behaviour;
mod job_error;
pub mod jobs;
pub mod kinds;
mod metrics;
mod own_senders;
mod own_slots;
mod providers;
mod registry;
mod runtime;

pub use job_error::JobError;
pub use kinds::{IdempotentJob, JobContext, NetworkJob, Services, SystemJob, TenantJob};
pub use registry::Registry;
pub use runtime::{RunError, run};

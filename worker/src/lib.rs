//! Runs the jobs of the queue. What each kind of job does stands in [`jobs`], one file each; how jobs are claimed, kept,
//! ended and given back stands in the runtime, and their statements in `common::queue`.

mod admin;
pub mod jobs;
mod metrics;
mod registry;
mod runtime;

pub use registry::Registry;
pub use runtime::{RunError, run};

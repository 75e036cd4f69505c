//! The API: verifies session tokens and serves leads; verifies webhooks, stores and enqueues them.

mod admin;
mod admission;
mod answers;
mod auth;
mod body;
mod checks;
mod client;
mod cors;
mod extract;
mod framing;
mod idempotency;
mod inbound;
mod linked;
mod log_sample;
mod memory;
mod metrics;
mod openapi;
pub mod pages;
mod permissions;
pub mod problem;
mod quota;
mod rate_limit;
mod replica;
mod request_log;
mod router;
mod routes;
mod security_headers;
mod serve;
mod signatures;
mod spool;
mod state;
mod unreadable;
mod writes;

pub use checks::Checks;
pub use router::openapi;
pub use serve::{ServeError, serve};

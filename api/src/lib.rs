//! The API: verifies session tokens and serves leads; verifies webhooks, stores and enqueues them.

mod admin;
mod admission;
mod auth;
mod body;
mod checks;
mod client;
mod cors;
mod created;
mod extract;
mod linked;
mod metrics;
mod openapi;
mod permissions;
mod phase;
pub mod problem;
mod quota;
mod rate_limit;
mod request_log;
mod router;
mod routes;
mod security_headers;
mod serve;
mod server;
mod state;

pub use checks::Checks;
pub use router::openapi;
pub use serve::{ServeError, serve};

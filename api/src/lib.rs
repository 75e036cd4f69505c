//! The API: verifies session tokens and serves leads; verifies webhooks, stores and enqueues them.

mod admin;
mod anonymous;
mod auth;
mod body;
mod checks;
mod client;
mod context;
mod cors;
mod created;
mod extract;
mod metrics;
mod openapi;
mod permissions;
pub mod problem;
mod router;
mod routes;
mod serve;
mod server;
mod turns;

pub use checks::Checks;
pub use router::openapi;
pub use serve::{ServeError, serve};

//! What the tests share: a throw-away PostgreSQL, a whole API, people, signers.

pub mod answer;
pub mod app;
pub mod balancer;
pub mod binaries;
pub mod clerk_events;
pub mod cluster;
pub mod collector;
pub mod jobs;
pub mod metrics;
pub mod processes;
pub mod talking;

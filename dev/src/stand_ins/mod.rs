//! The services outside, as servers with their real shapes that run on this host, each with a page or a list of what came.

mod active_fault;
pub mod assistant;
pub mod clerk;
pub mod dns;
pub mod graph;
pub mod mailbox;
pub mod turnstile;

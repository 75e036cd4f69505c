//! What the tests share: a throw-away PostgreSQL, a whole API, people, signers.

pub mod answer;
pub mod app;
pub mod assistant;
pub mod balancer;
pub mod binaries;
pub mod browser;
pub mod chaos;
pub mod clerk_events;
pub mod cluster;
pub mod collector;
pub mod drain;
pub mod haproxy;
pub mod inquirers;
pub mod jobs;
pub mod ledger;
pub mod load;
pub mod logged_process;
pub mod mailbox;
pub mod metrics;
pub mod misbehaviour;
pub mod must_not_compile;
pub mod pgbouncer;
pub mod processes;
pub mod proxy;
pub mod test_system;
pub mod tiny_disk;

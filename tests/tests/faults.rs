//! What goes wrong in production, done to the real binaries under load. After each fault every acknowledged webhook has
//! exactly its one effect, and everything works again without a hand within a minute.
//!
//! `cargo test faults -- --nocapture | grep recovered` shows how long that took.

mod clock;
mod database;
mod disk;
mod jobs;
mod network;
mod processes;

//! Measures the real binaries under load, and in the same run PostgreSQL alone with the very statements that they send.
//!
//! Absolute times mean nothing on a machine that is shared; the ratios of the two do. See `docs/performance.md`.

#![expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^52")]

pub mod examples;
pub mod options;

mod binaries;
mod context;
mod data;
mod graphile;
mod http;
mod inquiries;
mod load;
mod loading;
mod output;
mod parts;
mod people;
mod pgbench;
mod plan;
mod plot;
mod postgres;
mod process_stat;
mod processes;
mod random;
mod record;
mod report;
mod run;
mod script;
mod traffic;

pub use run::run;

/// A failure that ends the run, as a sentence.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

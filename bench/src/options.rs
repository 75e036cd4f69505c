//! What can be chosen on the command line.

use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Measures the API and the worker against PostgreSQL alone, with a PostgreSQL server, data and load of its own, and
/// prints for each target whether it is met. About ten minutes with the defaults, after the release build.
#[derive(Debug, Clone, Parser)]
#[command(name = "system", bin_name = "cargo bench --bench system --", after_help = AFTER_HELP)]
pub struct Options {
    /// What to measure; everything, if none is given
    #[arg(long, value_enum, value_name = "PART", num_args = 1..)]
    pub part: Vec<Part>,
    /// Connections of the program's load, and of pgbench
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub connections: usize,
    /// Connections of the API to PostgreSQL, unless as many as by default
    #[arg(long, value_name = "N")]
    pub database_connections: Option<u32>,
    /// Seconds of each measurement
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub seconds: u64,
    /// How often program and PostgreSQL take turns; medians are reported
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub rounds: usize,
    /// Dealerships in the database
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub dealerships: i64,
    /// Leads of each dealership
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub leads: i64,
    /// Messages, spread over all leads
    #[arg(long, value_name = "N", default_value_t = 60_000)]
    pub conversations: i64,
    /// People, spread over all dealerships
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub users: i64,
    /// Jobs in each round
    #[arg(long, value_name = "N", default_value_t = 8_000)]
    pub jobs: i64,
    /// Dealerships of the part `growth`, with --leads each; 2000 make ten million leads
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub growth_dealerships: i64,
    /// Leads of the one large dealership of the part `growth`
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub growth_leads: i64,
    /// Show what the API and the worker log
    #[arg(long)]
    pub logs: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Requests and webhooks, each against pgbench
    Requests,
    /// Forms and mails from outside, against pgbench
    Intake,
    /// Messages through a mail server
    Sending,
    /// The queue, against pgbench and graphile-worker
    Jobs,
    /// From a webhook to its effect, while nothing else happens
    Latency,
    /// Few and many connections
    Load,
    /// What hostile clients take from others
    Attack,
    /// Memory and start
    Footprint,
    /// Large dealerships, many dealerships, long queues
    Growth,
}

const AFTER_HELP: &str = "\
The table is printed and, with all numbers, written to target/bench/ as system.json and system.csv;
latency against load and cost against data size are drawn in *.svg beside them, and search-plan.txt
is how PostgreSQL searches.
Ten million leads: --part growth --growth-dealerships 2000 (needs 12 GB of disk and 20 minutes).";

impl Options {
    /// Whether this part is to be measured.
    pub fn measures(&self, part: Part) -> bool {
        self.part.is_empty() || self.part.contains(&part)
    }

    /// How long one measurement takes.
    pub fn length(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

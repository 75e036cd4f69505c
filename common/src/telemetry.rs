//! Logs: readable on a terminal, JSON lines everywhere else.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// What is logged unless `RUST_LOG` says otherwise. When a database restarts, the pool complains of each connection, and
/// we say it once ourselves.
const DEFAULT_FILTER: &str = "info,sqlx_core::pool=error";

/// Starts logging to standard output. `RUST_LOG` chooses what is logged, by default `info`.
/// <https://docs.rs/tracing-subscriber/latest/tracing_subscriber/filter/struct.EnvFilter.html#directives>
///
/// # Panics
/// When called twice in one process.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stdout().is_terminal(),
    };
    if json {
        registry.with(tracing_subscriber::fmt::layer().json().flatten_event(true)).init();
    } else {
        registry.with(tracing_subscriber::fmt::layer().with_target(false)).init();
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Lines for people.
    Text,
    /// Lines for machines.
    Json,
}

/// The whole chain of causes of an error, in one line. A cause that the one before it quotes is not said twice.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut chain = String::new();
    for cause in std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string) {
        if !chain.ends_with(&cause) {
            let separator = if chain.is_empty() { "" } else { ": " };
            chain = chain + separator + &cause;
        }
    }
    chain
}

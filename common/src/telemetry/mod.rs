//! What a process tells of itself while it runs: log lines, readable on a terminal and JSON everywhere else, and traces.

mod brief;
mod config;
mod export;
mod json;
mod trace;
#[cfg(test)]
mod written;

use std::{error::Error, io::IsTerminal, time::Duration};

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

pub use config::{LogFormat, TelemetryConfig, TracesConfig};
pub use trace::Trace;

use self::json::{JsonLines, JsonMembers};
use crate::ids::DealershipId;

/// What is logged unless `RUST_LOG` says otherwise. When a database restarts, the pool complains of each connection, and
/// we say it once ourselves.
const DEFAULT_FILTER: &str = "info,sqlx_core::pool=error";
/// How long the last spans may take to reach the collector when the process ends.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// What [`init`] has started. To be ended last, when nothing is traced any more.
#[must_use]
pub struct Telemetry(Option<SdkTracerProvider>);

/// Starts logging to standard output and, if there is an endpoint for it, the export of traces. `service` is what they
/// call this process unless `OTEL_SERVICE_NAME` does.
///
/// # Panics
/// When called twice in one process.
pub fn init(config: &TelemetryConfig, service: &str) -> Telemetry {
    let filter = config.filter.as_deref().and_then(|filter| EnvFilter::try_new(filter).ok());
    let registry = tracing_subscriber::registry().with(filter.unwrap_or_else(|| EnvFilter::new(DEFAULT_FILTER)));
    let format = match config.format {
        LogFormat::Auto if std::io::stdout().is_terminal() => LogFormat::Text,
        LogFormat::Auto => LogFormat::Json,
        chosen => chosen,
    };
    match format {
        LogFormat::Text => {
            registry.with(tracing_subscriber::fmt::layer().with_target(false).with_ansi(in_colour())).init();
        }
        LogFormat::Brief => registry.with(brief::lines(std::io::stdout, in_colour())).init(),
        LogFormat::Auto | LogFormat::Json => {
            registry.with(tracing_subscriber::fmt::layer().event_format(JsonLines).fmt_fields(JsonMembers)).init();
        }
    }
    let exporting = config.traces.as_ref().and_then(|traces| {
        export::start(traces, service)
            .inspect_err(|error| {
                tracing::error!(
                    error = error_chain(error),
                    "traces are not exported; check OTEL_EXPORTER_OTLP_ENDPOINT"
                );
            })
            .ok()
    });
    Telemetry(exporting)
}

/// Whether lines for people are in colour: on a terminal only, unless somebody who passes them on to one says otherwise.
/// <https://bixense.com/clicolors/>
fn in_colour() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    !is_set("NO_COLOR") && (is_set("CLICOLOR_FORCE") || std::io::stdout().is_terminal())
}

impl Telemetry {
    /// Sends what has not been sent yet, for as long as a few seconds. Blocks.
    pub fn end(self) {
        // A collector that does not answer has been complained of already.
        let _ = self.0.map(|exporting| exporting.shutdown_with_timeout(LAST_EXPORT));
    }
}

/// From here on, every line of the current request or job says that it is about this dealership.
pub fn about_dealership(id: DealershipId) {
    Span::current().record("dealership", tracing::field::display(id));
}

/// An error and its causes, from the outermost.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The whole chain of causes of an error, in one line. A cause that the one before it quotes is not said twice.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let causes = || causes(error);
    let database = causes().find_map(|cause| cause.downcast_ref::<sqlx::Error>()?.as_database_error());
    // PostgreSQL's own words, without the line of its source that sqlx appends to them.
    let readable = |text: String| match database {
        Some(error) => text.replace(&error.to_string(), error.message()).replace("error returned from database: ", ""),
        None => text,
    };
    let mut chain = String::new();
    for cause in causes().map(|cause| readable(cause.to_string())) {
        if !chain.ends_with(&cause) {
            let separator = if chain.is_empty() { "" } else { ": " };
            chain = chain + separator + &cause;
        }
    }
    chain
}

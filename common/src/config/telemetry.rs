use tracing_subscriber::EnvFilter;

use super::{Settings, http_url};
use crate::telemetry::LogFormat;

/// What is told of a process while it runs, and where.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// How log lines look.
    pub format: LogFormat,
    /// What is logged, if not the default.
    /// <https://docs.rs/tracing-subscriber/latest/tracing_subscriber/filter/struct.EnvFilter.html#directives>
    pub filter: Option<String>,
    /// Where traces go, if anywhere.
    pub traces: Option<TracesConfig>,
}

/// Where traces go, by variables that are standard.
/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>
#[derive(Debug, Clone)]
pub struct TracesConfig {
    /// The collector's base URL, such as `http://localhost:4318`.
    pub endpoint: String,
    /// What they call this process.
    pub service_name: Option<String>,
}

impl TelemetryConfig {
    /// Reads them. Never an error: problems are reported with those of everything else, when the log is there.
    pub fn read(s: &mut Settings) -> Self {
        let format = |text: &str| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            "auto" => Ok(LogFormat::Auto),
            _ => Err("must be auto, text or json"),
        };
        let filter = |text: &str| match EnvFilter::try_new(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err("must be a level or directives, such as info,api=debug"),
        };
        let endpoint = s.optional("OTEL_EXPORTER_OTLP_ENDPOINT", http_url);
        let service_name = s.optional("OTEL_SERVICE_NAME", str::parse);
        Self {
            format: s.optional("LOG_FORMAT", format).unwrap_or(LogFormat::Auto),
            filter: s.optional("RUST_LOG", filter),
            traces: endpoint.map(|endpoint| TracesConfig { endpoint, service_name }),
        }
    }
}

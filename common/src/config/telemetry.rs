use tracing_subscriber::EnvFilter;

use super::{Settings, http_url};
use crate::telemetry::{LogFormat, TelemetryConfig, TracesConfig};

impl TelemetryConfig {
    /// Reads them. Never an error: problems are reported with those of everything else, when the log is there.
    pub fn read(s: &mut Settings) -> Self {
        let format = |text: &str| match text {
            "text" => Ok(LogFormat::Text),
            "brief" => Ok(LogFormat::Brief),
            "json" => Ok(LogFormat::Json),
            "auto" => Ok(LogFormat::Auto),
            _ => Err("must be auto, text, brief or json"),
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

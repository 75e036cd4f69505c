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

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    /// As text, in one row of a terminal each; what is wrong is told whole.
    Brief,
    Json,
}

//! Traces to a collector, by OTLP over HTTP. <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter as OtlpExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};

use super::{TracesConfig, error_chain, trace::TRACER};

/// Starts a thread that sends what has ended, in batches. When that cannot be done, spans are dropped; nobody waits.
pub(super) fn start(config: &TracesConfig, service: &str) -> Result<SdkTracerProvider, ExporterBuildError> {
    let endpoint = format!("{}/v1/traces", config.endpoint);
    let exporter = OtlpExporter::builder().with_http().with_endpoint(endpoint).build()?;
    let provider = SdkTracerProvider::builder()
        .with_resource(resource(config, service))
        .with_batch_exporter(LoggedExporter { exporter, failing: AtomicBool::new(false) })
        .build();
    TRACER.get_or_init(|| provider.tracer("norvalt"));
    Ok(provider)
}

/// What is said of this process. `OTEL_SERVICE_NAME` wins over `OTEL_RESOURCE_ATTRIBUTES`, which win over our own.
fn resource(config: &TracesConfig, service: &str) -> Resource {
    let ours = [
        KeyValue::new("service.name", service.to_owned()),
        KeyValue::new("service.version", crate::VERSION),
        KeyValue::new("service.namespace", "norvalt"),
    ];
    let resource = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(ours)
        .with_detector(Box::new(EnvResourceDetector::new()));
    match &config.service_name {
        Some(name) => resource.with_service_name(name.clone()).build(),
        None => resource.build(),
    }
}

/// An exporter of whose outages the log has one line for the beginning and one for the end.
#[derive(Debug)]
struct LoggedExporter {
    exporter: OtlpExporter,
    failing: AtomicBool,
}

impl SpanExporter for LoggedExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let outcome = self.exporter.export(batch).await;
        let was_failing = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Err(error) if !was_failing => {
                tracing::warn!(error = error_chain(error), "cannot export traces; they are dropped until it works");
            }
            Ok(()) if was_failing => tracing::info!("traces are exported again"),
            _ => {}
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: std::time::Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

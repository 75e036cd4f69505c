//! A collector of traces, as far as OTLP over HTTP asks for one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value, trace::v1::Span,
};
use prost::Message;
use tokio::{net::TcpListener, task::JoinSet};

/// Takes spans for as long as it lives.
pub struct Collector {
    /// What processes are told of it.
    pub endpoint: String,
    received: Arc<Mutex<Vec<Bytes>>>,
    _serving: JoinSet<()>,
}

/// A span, as far as tests care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Which process it is of.
    pub service: String,
    /// What it is called.
    pub name: String,
    /// 32 hexadecimal digits.
    pub trace: String,
    /// 16 hexadecimal digits.
    pub id: String,
    /// The id of the span that caused it, or nothing.
    pub parent: String,
}

impl Collector {
    /// Starts one on any free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let received = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().route("/v1/traces", post(take)).with_state(received.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.expect("it does not end") });
        Self { endpoint, received, _serving: serving }
    }

    /// Everything that was sent, as it was sent.
    pub fn bodies(&self) -> Vec<Bytes> {
        lock(&self.received).clone()
    }

    /// The spans that were sent.
    pub fn spans(&self) -> Vec<Exported> {
        let decode = |body: Bytes| ExportTraceServiceRequest::decode(body).expect("the SDK writes what it promises");
        let resources = self.bodies().into_iter().flat_map(|body| decode(body).resource_spans);
        let spans = resources.flat_map(|of| {
            let attributes = of.resource.iter().flat_map(|resource| &resource.attributes);
            let name = attributes.filter(|attribute| attribute.key == "service.name").find_map(|attribute| {
                match attribute.value.clone()?.value? {
                    Value::StringValue(name) => Some(name),
                    _ => None,
                }
            });
            let service = name.unwrap_or_default();
            let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.map(move |span| exported(service.clone(), span)).collect::<Vec<_>>()
        });
        spans.collect()
    }
}

fn exported(service: String, span: Span) -> Exported {
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    Exported {
        service,
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
    }
}

async fn take(State(received): State<Arc<Mutex<Vec<Bytes>>>>, body: Bytes) {
    lock(&received).push(body);
}

fn lock(received: &Mutex<Vec<Bytes>>) -> MutexGuard<'_, Vec<Bytes>> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

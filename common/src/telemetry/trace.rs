use std::sync::OnceLock;

use opentelemetry::{
    Context, KeyValue, Value,
    context::FutureExt,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{IdGenerator, RandomIdGenerator, SdkTracer},
};

/// Makes spans that are exported, if any are.
pub(super) static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// One request or one attempt of a job, as a span of a trace: of the caller's, if there is one. It has its ids whether
/// or not traces are exported. What is exported is what is set here, and nothing else. Clones are the same span.
#[derive(Debug, Clone)]
pub struct Trace(Context);

impl Trace {
    /// Begins the span of a request; `parent` is its `traceparent`. <https://www.w3.org/TR/trace-context/>
    pub fn of_request(name: String, parent: Option<&str>) -> Self {
        Self::begin(name, SpanKind::Server, parent)
    }

    /// Begins the span of a job; `parent` is the `traceparent` of what enqueued it.
    pub fn of_job(name: String, parent: Option<&str>) -> Self {
        Self::begin(name, SpanKind::Consumer, parent)
    }

    fn begin(name: String, kind: SpanKind, parent: Option<&str>) -> Self {
        let parent = parent.map_or_else(Context::new, |text| {
            TraceContextPropagator::new().extract_with_context(&Context::new(), &TraceParent(text))
        });
        Self(match TRACER.get() {
            Some(tracer) => {
                let span = tracer.build_with_context(tracer.span_builder(name).with_kind(kind), &parent);
                Context::new().with_span(span)
            }
            None => Context::new().with_remote_span_context(unexported(parent.span().span_context())),
        })
    }

    /// The same for everything that one request caused.
    pub fn id(&self) -> TraceId {
        self.0.span().span_context().trace_id()
    }

    /// Does work of this span: what it enqueues has the span as its parent.
    pub fn of<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = T> {
        work.with_context(self.0.clone())
    }

    /// The span that the present work is of, if any.
    pub(crate) fn current() -> Option<Self> {
        Some(Self(Context::current())).filter(|trace| trace.0.span().span_context().is_valid())
    }

    /// What this causes has it as its `parent`.
    pub fn traceparent(&self) -> String {
        let span = self.0.span();
        let context = span.span_context();
        format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags())
    }

    /// Says something of the span. Nothing personal: it leaves the system.
    pub fn set(&self, attribute: &'static str, value: impl Into<Value>) {
        self.0.span().set_attribute(KeyValue::new(attribute, value));
    }

    /// Ends the span; one that is dropped without this ends too. `failed` is for faults of ours.
    pub fn end(self, failed: bool) {
        if failed {
            self.0.span().set_status(Status::error(""));
        }
        self.0.span().end();
    }
}

/// A span that only has its place in a trace.
fn unexported(parent: &SpanContext) -> SpanContext {
    let ids = RandomIdGenerator::default();
    let (trace, flags) = if parent.is_valid() {
        (parent.trace_id(), parent.trace_flags())
    } else {
        (ids.new_trace_id(), TraceFlags::default())
    };
    SpanContext::new(trace, ids.new_span_id(), flags, false, TraceState::NONE)
}

/// The one header that the propagator asks for.
struct TraceParent<'a>(&'a str);

impl Extractor for TraceParent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_goes_on_and_each_step_has_a_place_of_its_own() {
        let request = Trace::of_request("GET /".to_owned(), Some(PARENT));
        let job = Trace::of_job("job".to_owned(), Some(&request.traceparent()));
        assert_eq!(request.id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(job.id(), request.id());
        assert_ne!(job.traceparent(), request.traceparent());
        assert_ne!(request.traceparent(), PARENT);
    }

    #[test]
    fn what_is_no_traceparent_begins_a_new_trace() {
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for unfit in ["", "00", "kari@example.no", zeros, "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"] {
            let (one, other) = (Trace::of_job(String::new(), Some(unfit)), Trace::of_job(String::new(), Some(unfit)));
            assert_ne!(one.id(), other.id(), "{unfit}");
            assert_ne!(one.id(), TraceId::INVALID, "{unfit}");
        }
    }
}

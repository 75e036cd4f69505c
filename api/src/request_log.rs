//! What surrounds every request: its id, its span, its log line, and problems rendered with that id.

use std::{any::Any, sync::Arc};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
    middleware::Next,
    response::IntoResponse,
};
use common::telemetry::Trace;
use tracing::{Instrument, field::Empty};
use uuid::Uuid;

use crate::{
    log_sample::LogSample,
    metrics::{self, Metrics},
    pages::ForPeople,
    problem::Problem,
    routes::webhooks::Accepted,
};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Stands for every path that is no route.
const UNMATCHED: &str = "unmatched";

/// What is needed for it.
#[derive(Clone)]
pub(crate) struct RequestLog {
    metrics: Arc<Metrics>,
    /// Of answers that say that there was too much.
    refusals: Arc<LogSample>,
}

impl RequestLog {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, refusals: Arc::default() }
    }

    fn answered(&self, status: StatusCode, micros: u64, accepted: Option<&Accepted>) {
        let number = status.as_u16();
        if let Some(accepted) = accepted {
            accepted.tell(number, micros);
        } else if status != StatusCode::TOO_MANY_REQUESTS {
            tracing::info!(status = number, micros, "answered");
        } else if let Some(suppressed) = self.refusals.next() {
            tracing::info!(status = number, micros, suppressed, "answered; of such lines, only some are written");
        }
    }
}

pub(crate) async fn with_request_id(State(log): State<RequestLog>, mut request: Request, next: Next) -> Response<Body> {
    let id = given_id(request.headers()).unwrap_or_else(|| Uuid::now_v7().to_string());
    let method = metrics::label(request.method());
    // Never the path itself: somebody may have put into it what a customer is called.
    let route = request.extensions().get::<MatchedPath>().map_or(UNMATCHED, MatchedPath::as_str).to_owned();
    let trace = begin_trace(&request, &id, method, &route);
    let span = tracing::info_span!(
        "request",
        request_id = id,
        trace_id = %trace.id(),
        method,
        route,
        id = Empty,
        dealership = Empty,
        user = Empty
    );
    request.extensions_mut().insert(trace.clone());
    async move {
        let in_flight = log.metrics.arrived(method, route);
        let mut response = render(trace.of(next.run(request)).await, &id);
        let status = response.status();
        trace.set("http.response.status_code", i64::from(status.as_u16()));
        trace.end(status.is_server_error());
        log.answered(status, in_flight.answered(status.as_u16()), response.extensions().get());
        response.headers_mut().insert(REQUEST_ID, header_of(&id));
        response
    }
    .instrument(span)
    .await
}

fn begin_trace(request: &Request, id: &str, method: &'static str, route: &str) -> Trace {
    let parent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let trace = Trace::of_request(format!("{method} {route}"), parent);
    // <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>
    trace.set("http.request.method", method);
    trace.set("http.route", route.to_owned());
    trace.set("norvalt.request_id", id.to_owned());
    trace
}

/// An id of a request as a header's value.
pub(crate) fn header_of(id: &str) -> HeaderValue {
    HeaderValue::from_str(id).expect("a UUID or checked by given_id")
}

/// The caller's own id for the request, if it is fit for a log line.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let fit = (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    fit.then(|| id.to_owned())
}

/// Turns every error into a problem, also the bare ones that a layer or an extractor answered with.
fn render(mut response: Response<Body>, id: &str) -> Response<Body> {
    let status = response.status();
    if response.extensions().get::<ForPeople>().is_some() {
        return response;
    }
    let problem = response.extensions_mut().remove::<Problem>();
    if problem.is_none() && !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let rendered = problem.unwrap_or_else(|| Problem::of_status(status)).render(id);
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(rendered.headers().clone());
    parts.status = rendered.status();
    Response::from_parts(parts, rendered.into_body())
}

/// Answers for a handler that panicked.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer calls")]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response<Body> {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = message.unwrap_or("unknown"), "a handler panicked; this is a bug");
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response.extensions_mut().insert(Problem::internal());
    response
}

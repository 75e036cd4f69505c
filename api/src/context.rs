//! What surrounds every request: its id, its span, its log line, and problems rendered with that id.

use std::{any::Any, time::Instant};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
    middleware::Next,
    response::IntoResponse,
};
use tracing::Instrument;
use uuid::Uuid;

use crate::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) async fn with_request_id(request: Request, next: Next) -> Response<Body> {
    let id = given_id(request.headers()).unwrap_or_else(|| Uuid::now_v7().to_string());
    // The path only: a query may hold what a customer is called.
    let span = tracing::info_span!("request", request_id = id, method = %request.method(), path = request.uri().path());
    async move {
        let started = Instant::now();
        let mut response = render(next.run(request).await, &id);
        let (status, elapsed) = (response.status().as_u16(), started.elapsed());
        tracing::info!(status, micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), "answered");
        response.headers_mut().insert(REQUEST_ID, HeaderValue::from_str(&id).expect("a UUID or checked by given_id"));
        response
    }
    .instrument(span)
    .await
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

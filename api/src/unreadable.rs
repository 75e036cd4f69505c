//! Answers to what cannot be read as a request, so that no route ever sees it.

use std::sync::Arc;

use axum::{
    body::Bytes,
    http::{HeaderValue, Response, StatusCode, header},
};
use server::Explain;
use uuid::Uuid;

use crate::{
    log_sample::LogSample,
    metrics::Metrics,
    problem::Problem,
    request_log::{REQUEST_ID, header_of},
    security_headers,
};

/// Stands for the method and for the route.
const METHOD: &str = "other";
const ROUTE: &str = "unreadable";

/// Problems like all others, also counted and logged.
pub(crate) fn explain(metrics: Arc<Metrics>) -> Explain {
    let lines = LogSample::default();
    Explain::new(move |status| {
        let id = Uuid::now_v7().to_string();
        metrics.arrived(METHOD, ROUTE.to_owned()).answered(status.as_u16());
        if let Some(suppressed) = lines.next() {
            let status = status.as_u16();
            tracing::info!(request_id = id, status, suppressed, "not a request; of such lines, only some are written");
        }
        answer(status, &id)
    })
}

fn answer(status: StatusCode, id: &str) -> Response<Bytes> {
    let problem = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Problem::head_too_large(),
        status => Problem::of_status(status),
    };
    let body = serde_json::to_vec(&problem.into_body(id)).expect("a problem is plain data");
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(REQUEST_ID, header_of(id));
    security_headers::set(headers);
    response
}

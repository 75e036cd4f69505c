//! Bodies arrive before anything is opened on their behalf.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::Response,
    middleware::Next,
    response::IntoResponse,
};
use tokio::time::timeout;

use crate::problem::Problem;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a body. In the request's extensions, so that whoever has no token hears of that first.
#[derive(Clone)]
pub(crate) struct Arrived(pub(crate) Result<Bytes, Problem>);

/// Takes the whole body. A handler's transaction must not wait for a client who sends slowly, or never: a few of those
/// would hold every connection to the database.
pub(crate) async fn arrive(request: Request, next: Next) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut empty = Request::from_parts(parts.clone(), Body::empty());
    let whole = Bytes::from_request(Request::from_parts(parts, body), &());
    let arrived = match timeout(PATIENCE, whole).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) => Err(Problem::of_status(rejection.into_response().status())),
        Err(_) => Err(Problem::too_slow()),
    };
    empty.extensions_mut().insert(Arrived(arrived));
    next.run(empty).await
}

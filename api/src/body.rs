//! Bodies arrive before anything is opened on their behalf.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::Response,
    middleware::Next,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::problem::Problem;

/// Largest body that is read, in bytes. Svix sends up to 350 kB.
const LIMIT: usize = 1024 * 1024;
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a body. In the request's extensions, so that whoever has no token hears of that first.
#[derive(Clone)]
pub(crate) struct Arrived(pub(crate) Result<Bytes, Problem>);

/// Takes the whole body. A handler's transaction must not wait for a client who sends slowly, or never: a few of those
/// would hold every connection to the database.
pub(crate) async fn arrive(request: Request, next: Next) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let arrived = match timeout(PATIENCE, Limited::new(body, LIMIT).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::too_large()),
        Ok(Err(_)) => Err(Problem::unreadable("The body broke off.")),
        Err(_) => Err(Problem::too_slow()),
    };
    parts.extensions.insert(Arrived(arrived));
    next.run(Request::from_parts(parts, Body::empty())).await
}

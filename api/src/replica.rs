//! Lists may be read from a standby, if there is one that shows everything that was committed. Whatever it cannot answer, the
//! primary does, and the client notices nothing.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use axum::{
    body::Body,
    extract::{FromRef, FromRequestParts, Request},
    http::{Method, request::Parts},
    middleware::Next,
    response::Response,
};
use common::db::{Replica, SkipReason};

use crate::{
    admission::Admission,
    auth::Tenant,
    metrics::{FAILED, Metrics, ReadFrom},
    problem::Problem,
};

/// The way to the standby, if there is one. Its connections are not those of the primary: neither waits for the other's.
#[derive(Clone)]
pub(crate) struct Lists(pub(crate) Option<(Replica, Admission)>);

/// A member who reads what may come from the standby: for handlers that only read, and read much.
pub(crate) struct Reader(pub(crate) Tenant);

/// How a request is answered, in its extensions.
#[derive(Clone, Default)]
struct Attempt(Arc<AtomicU8>);

const NOT_READ: u8 = 0;
const BY_STANDBY: u8 = 1;
const BY_PRIMARY: u8 = 2;

impl<S> FromRequestParts<S> for Reader
where
    S: Send + Sync,
    Tenant: FromRequestParts<S, Rejection = Problem>,
    Lists: FromRef<S>,
    Arc<Metrics>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Lists(Some((replica, admission))) = Lists::from_ref(state) else {
            // On the heap, like the other two: a request has room for one of them at a time.
            return Box::pin(Tenant::from_request_parts(parts, state)).await.map(Self);
        };
        let metrics = Arc::<Metrics>::from_ref(state);
        let attempt: Attempt = parts.extensions.get().cloned().unwrap_or_default();
        let shows_all = match attempt.0.load(Ordering::Relaxed) {
            BY_PRIMARY => Err(FAILED),
            _ => replica.shows_all().await.map_err(SkipReason::label),
        };
        if let Err(reason) = shows_all {
            metrics.read(ReadFrom::Primary(reason));
            return Box::pin(Tenant::from_request_parts(parts, state)).await.map(Self);
        }
        attempt.0.store(BY_STANDBY, Ordering::Relaxed);
        let tenant = Box::pin(Tenant::admitted_by(&admission, parts)).await;
        if tenant.is_ok() {
            metrics.read(ReadFrom::Replica);
        }
        tenant.map(Self)
    }
}

/// Has the primary answer what the standby could not: it is gone, or gave the query up for what it has to replay.
pub(crate) async fn or_primary(request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    // A GET has no body.
    let (mut parts, _) = request.into_parts();
    let mut again = parts.clone();
    let attempt = Attempt(Arc::new(NOT_READ.into()));
    parts.extensions.insert(attempt.clone());
    let response = next.clone().run(Request::from_parts(parts, Body::empty())).await;
    if attempt.0.load(Ordering::Relaxed) != BY_STANDBY || !response.status().is_server_error() {
        return response;
    }
    tracing::info!("the replica did not answer, so the primary does");
    again.extensions.insert(Attempt(Arc::new(BY_PRIMARY.into())));
    next.run(Request::from_parts(again, Body::empty())).await
}

//! Who is calling: a verified session token, then our own database's word on what its bearer may see.

mod claims;
mod jwks;
mod token_cache;

use std::ops::ControlFlow;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use common::{
    db::{self, Caller, Identity, TenantTx},
    telemetry::{Trace, chain},
};
use tracing::{Span, record_all};

use crate::{
    admission::Permit,
    client::Client,
    permissions::{self, Action},
    problem::Problem,
    state::AppState,
};

pub(crate) use claims::Verifier;

/// The caller of a request together with the transaction that is bound to their dealership. A handler that takes it
/// runs only for members; dropped without [`commit!`], it changed nothing.
pub(crate) struct Tenant {
    pub(crate) tx: TenantTx,
    pub(crate) caller: Caller,
    identity: Identity,
    attempt: u32,
    /// Ends after the transaction, whose connection it stands for.
    permit: Permit,
}

/// How often a transaction is tried that others keep getting in the way of.
const ATTEMPTS: u32 = 5;

impl Tenant {
    /// Lets the caller through if they may do this.
    pub(crate) fn require(&self, action: Action) -> Result<(), Problem> {
        permissions::require(&self.caller, action)
    }

    /// Makes the changes durable, if there are any. When the database has given the transaction up in favour of another one,
    /// opens a new one in which to do the same again. For [`commit!`].
    pub(crate) async fn finish<T, E: Into<Problem>>(self, work: Result<T, E>) -> Result<ControlFlow<T, Self>, Problem> {
        let Self { tx, identity, attempt, permit, .. } = self;
        let done = match work {
            Ok(done) => tx.commit().await.map(|()| done).map_err(Problem::from),
            Err(error) => {
                drop(tx);
                Err(error.into())
            }
        };
        match done {
            Err(problem) if problem.is_conflict() && attempt < ATTEMPTS => {
                let db::Tenant { tx, caller } = permit.db().enter(&identity).await?;
                Ok(ControlFlow::Continue(Self { tx, caller, identity, attempt: attempt + 1, permit }))
            }
            done => done.map(ControlFlow::Break),
        }
    }
}

/// What `$work`, which uses the `$tenant`'s transaction, gives once its changes are durable. Does it again from the start
/// when the database gives the transaction up in favour of another one, since a client could do nothing about a deadlock.
macro_rules! commit {
    ($tenant:ident, $work:expr) => {
        loop {
            let done = $work.await;
            match $tenant.finish(done).await? {
                std::ops::ControlFlow::Break(done) => break done,
                std::ops::ControlFlow::Continue(again) => $tenant = again,
            }
        }
    };
}
pub(crate) use commit;

impl FromRequestParts<AppState> for Tenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let identity = authenticate(parts, state).await?;
        let permit = state.admission.acquire().await?;
        let db::Tenant { tx, caller } = permit.db().enter(&identity).await.inspect_err(|error| {
            tracing::info!(clerk_user = %identity.user, %error, "no access");
        })?;
        // Both at once: each time, the span is written anew.
        record_all!(Span::current(), dealership = display(caller.dealership_id), user = display(caller.id));
        if let Some(trace) = parts.extensions.get::<Trace>() {
            trace.set("norvalt.dealership", caller.dealership_id.to_string());
        }
        state.write_quota.spend(caller.dealership_id, &parts.method, &parts.headers).inspect_err(|_| {
            state.metrics.quota_exceeded();
            tracing::warn!("the dealership has used up its quota of what may be written in a day");
        })?;
        Ok(Self { tx, caller, identity, attempt: 1, permit })
    }
}

async fn authenticate(parts: &Parts, state: &AppState) -> Result<Identity, Problem> {
    let unauthorized = || state.rate_limiter.refuse(Client::of(parts, state.trusted_proxies), Problem::unauthorized());
    let Some(token) = bearer_token(&parts.headers) else {
        state.metrics.token_refused("missing");
        return Err(unauthorized());
    };
    state.verifier.verify(token).await.map_err(|error| {
        state.metrics.token_refused(error.label());
        tracing::info!(reason = chain(&error), "token refused");
        if error.is_ours() { Problem::unavailable() } else { unauthorized() }
    })
}

/// The one token that the headers name.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(authorization), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

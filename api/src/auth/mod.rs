//! Who is calling: a verified session token, then our own database's word on what its bearer may see.

mod claims;
mod jwks;
mod token_cache;

use std::{fmt::Display, ops::ControlFlow};

use axum::{
    body::Body,
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Response, header, request::Parts},
    middleware::Next,
    response::IntoResponse,
};
use common::{
    db::{self, Caller, Identity, TenantTx},
    telemetry::{Trace, chain},
};
use serde::Serialize;
use tracing::{Span, record_all};

use crate::{
    admission::Permit,
    answers::{AnswerRoom, WrittenJson},
    client::Client,
    memory::Owner,
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
    room: AnswerRoom,
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

    /// What may be long as JSON, written while no more of it is read than there are connections.
    pub(crate) fn answer<T: Serialize>(&self, value: &T) -> Result<WrittenJson, Problem> {
        self.room.write(value)
    }

    /// Makes the changes durable, if there are any. When the database has given the transaction up in favour of another one,
    /// opens a new one in which to do the same again. For [`commit!`].
    pub(crate) async fn finish<T, E: Into<Problem>>(self, work: Result<T, E>) -> Result<ControlFlow<T, Self>, Problem> {
        let Self { tx, identity, attempt, room, permit, .. } = self;
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
                Ok(ControlFlow::Continue(Self { tx, caller, identity, attempt: attempt + 1, room, permit }))
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
        let identity =
            parts.extensions.get::<Identity>().cloned().expect("routes that take one are behind `members_only`");
        let permit = state.admission.member(&identity).await?;
        let room = parts.extensions.get::<AnswerRoom>().cloned().expect("and behind `answers::bounded`");
        room.make()?;
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
        Ok(Self { tx, caller, identity, attempt: 1, room, permit })
    }
}

/// Lets requests with a valid session token through, before their body is read, and notes who it names.
pub(crate) async fn members_only(State(state): State<AppState>, mut request: Request, next: Next) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let authenticated = authenticate(&parts, &state).await;
    request = Request::from_parts(parts, body);
    match authenticated {
        Ok(identity) => {
            request.extensions_mut().insert(Owner::Person(identity.user.clone()));
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn authenticate(parts: &Parts, state: &AppState) -> Result<Identity, Problem> {
    let refuse = |label, reason: &dyn Display| {
        state.metrics.token_refused(label);
        state.rate_limiter.check(Client::of(parts, state.trusted_proxies))?;
        // Not of whoever is limited: they would fill the log.
        tracing::info!(reason = %reason, "token refused");
        Err(Problem::unauthorized())
    };
    let Some(token) = bearer_token(&parts.headers) else {
        return refuse("missing", &"there is not exactly one header “Authorization: Bearer”");
    };
    match state.verifier.verify(token).await {
        Ok(identity) => Ok(identity),
        Err(error) if error.is_ours() => {
            state.metrics.token_refused(error.label());
            tracing::info!(reason = chain(&error), "token refused");
            Err(Problem::unavailable())
        }
        Err(error) => refuse(error.label(), &chain(&error)),
    }
}

/// The one token that the headers name.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(authorization), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

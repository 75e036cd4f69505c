//! Who is calling: a verified session token, then our own database's word on what its bearer may see.

mod claims;
mod jwks;
mod token_cache;

use std::{fmt::Display, ops::ControlFlow, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRef, FromRequestParts, Request, State},
    http::{HeaderMap, Response, header, request::Parts},
    middleware::Next,
    response::IntoResponse,
};
use common::{
    db::{self, Caller, Identity, TenantTx},
    idempotency::{self, Known},
    telemetry::{Trace, error_chain},
};
use serde::Serialize;
use tracing::{Span, record_all};

use crate::{
    admission::{Admission, Permit},
    answers::{AnswerRoom, WrittenJson},
    client::{Client, TrustedProxies},
    idempotency::{Answered, Repeatable, UnderWay},
    memory::Owner,
    metrics::Metrics,
    permissions::{self, Action},
    problem::Problem,
    quota::WriteQuota,
    rate_limit::RateLimiter,
};

pub(crate) use claims::Verifier;

/// The caller of a request together with the transaction that is bound to their dealership. A handler that takes it
/// runs only for members; dropped without [`commit!`], it changed nothing.
pub(crate) struct Tenant {
    pub(crate) tx: TenantTx,
    pub(crate) caller: Caller,
    identity: Identity,
    attempt: u32,
    /// Of a POST that may be sent again.
    repeatable: Option<Repeatable>,
    room: AnswerRoom,
    /// Ends after the transaction, whose connection it stands for.
    permit: Permit,
}

/// How often a transaction is tried that others keep getting in the way of.
const ATTEMPTS: u32 = 5;

impl Tenant {
    /// Whoever sends this request, in the database that `admission` leads to.
    pub(crate) async fn admitted_by(admission: &Admission, parts: &Parts) -> Result<Self, Problem> {
        let identity = identity_of(parts);
        let permit = admission.member(&identity).await?;
        let room = parts.extensions.get::<AnswerRoom>().cloned().expect("and behind `answers::bounded`");
        room.make()?;
        let db::Tenant { tx, caller } = permit.db().enter(&identity).await.inspect_err(|error| {
            tracing::info!(clerk_user = %identity.user, %error, "no access");
        })?;
        record_all!(Span::current(), dealership = display(caller.dealership_id), user = display(caller.id));
        if let Some(trace) = parts.extensions.get::<Trace>() {
            trace.set("norvalt.dealership", caller.dealership_id.to_string());
        }
        Ok(Self { tx, caller, identity, attempt: 1, repeatable: None, room, permit })
    }

    /// Lets the caller through if they may do this.
    pub(crate) fn require(&self, action: Action) -> Result<(), Problem> {
        permissions::require(&self.caller, action)
    }

    /// What was read and may be long as JSON, written while no more of it is read than there are connections.
    pub(crate) fn answer<T: Serialize>(mut self, value: &T) -> Result<WrittenJson, Problem> {
        let written = self.room.write(value);
        if written.as_ref().map_or(true, WrittenJson::is_long) {
            self.tx.shrink();
        }
        self.leave();
        written
    }

    /// When nothing was changed and all that is to be read has been: ends the transaction together with the beginning of the
    /// next one, if there is one at once.
    pub(crate) fn leave(self) {
        let Self { tx, permit, .. } = self;
        tx.leave();
        drop(permit);
    }

    /// Gives everything back once what was read is as durable as what is written.
    pub(crate) async fn confirm(self) -> Result<(), Problem> {
        Ok(self.tx.confirm().await?)
    }

    /// What a POST under this key was answered before, if it was. For [`answer!`].
    pub(crate) async fn recall(&mut self) -> Result<Option<Answered>, Problem> {
        let Some(Repeatable { keyed, .. }) = &self.repeatable else { return Ok(None) };
        match idempotency::recall(&mut self.tx, &self.caller, keyed).await? {
            Known::Nothing => Ok(None),
            Known::Answered(answer) => Ok(Some(Answered::again(answer))),
            Known::UnderWay => Err(Problem::under_way()),
            Known::Erased => Err(Problem::answer_erased()),
            Known::OfAnother => Err(Problem::key_of_another()),
        }
    }

    /// As [`Tenant::finish`] does, with what the client is answered: under a key, it is stored beside the changes. For
    /// [`answer!`].
    pub(crate) async fn finish_with(
        mut self,
        work: Result<Answered, Problem>,
    ) -> Result<ControlFlow<Answered, Self>, Problem> {
        let work = match work {
            Ok(answered) => self.keep(&answered).await.map(|()| answered),
            refused => refused,
        };
        self.finish(work).await
    }

    async fn keep(&mut self, Answered { answer, .. }: &Answered) -> Result<(), Problem> {
        let Some(Repeatable { keyed, .. }) = &self.repeatable else { return Ok(()) };
        let is_first = idempotency::keep(&mut self.tx, &self.caller, keyed, answer).await?;
        if is_first { Ok(()) } else { Err(Problem::overtaken()) }
    }

    /// Makes the changes durable, if there are any. When the database has given the transaction up in favour of another one,
    /// opens a new one in which to do the same again. For [`commit!`].
    pub(crate) async fn finish<T, E: Into<Problem>>(self, work: Result<T, E>) -> Result<ControlFlow<T, Self>, Problem> {
        let Self { tx, identity, attempt, repeatable, room, permit, .. } = self;
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
                Ok(ControlFlow::Continue(Self { tx, caller, identity, attempt: attempt + 1, repeatable, room, permit }))
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

/// For what a POST does: as [`commit!`], but `$work` gives the whole answer, so that it can be stored together with the
/// changes. A request that is sent again under its key is answered the same, and does nothing.
macro_rules! answer {
    ($tenant:ident, $work:expr) => {
        loop {
            if let Some(answered) = $tenant.recall().await? {
                $tenant.confirm().await?;
                break Ok(answered);
            }
            let done = $work.await;
            match $tenant.finish_with(done).await? {
                std::ops::ControlFlow::Break(answered) => break Ok(answered),
                std::ops::ControlFlow::Continue(again) => $tenant = again,
            }
        }
    };
}
pub(crate) use answer;

impl<S: Send + Sync> FromRequestParts<S> for Tenant
where
    Admission: FromRef<S>,
    Arc<WriteQuota>: FromRef<S>,
    Arc<Metrics>: FromRef<S>,
    UnderWay: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let repeatable = Repeatable::of(parts, &identity_of(parts), &UnderWay::from_ref(state))?;
        let tenant = Self::admitted_by(&Admission::from_ref(state), parts).await?;
        let dealership = tenant.caller.dealership_id;
        Arc::<WriteQuota>::from_ref(state).spend(dealership, &parts.method, &parts.headers).inspect_err(|_| {
            Arc::<Metrics>::from_ref(state).quota_exceeded();
            tracing::warn!("the dealership has used up its quota of what may be written in a day");
        })?;
        Ok(Self { repeatable, ..tenant })
    }
}

fn identity_of(parts: &Parts) -> Identity {
    parts.extensions.get().cloned().expect("routes that take one are behind `members_only`")
}

/// What it takes to check a session token, and to bound what those cost that are refused.
pub(crate) struct Authenticator {
    pub(crate) verifier: Verifier,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rate_limiter: Arc<RateLimiter>,
    pub(crate) trusted_proxies: TrustedProxies,
}

/// Lets requests with a valid session token through, before their body is read, and notes who it names.
pub(crate) async fn members_only(
    State(authenticator): State<Arc<Authenticator>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let authenticated = authenticator.authenticate(&parts).await;
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

impl Authenticator {
    /// A client that is limited is told so only once its token has been refused, for which a new one's signature is checked:
    /// nothing cheaper tells it from that of somebody authentic behind the same address, who is never limited. What a forger
    /// can make us do so is bounded by what a check takes, some 30 µs; tokens that were seen before cost none.
    async fn authenticate(&self, parts: &Parts) -> Result<Identity, Problem> {
        let refuse = |label, reason: &dyn Display| {
            self.metrics.token_refused(label);
            self.rate_limiter.check(Client::of(parts, self.trusted_proxies))?;
            // Not of whoever is limited: they would fill the log.
            tracing::info!(reason = %reason, "token refused");
            Err(Problem::unauthorized())
        };
        let Some(token) = bearer_token(&parts.headers) else {
            return refuse("missing", &"there is not exactly one header “Authorization: Bearer”");
        };
        match self.verifier.verify(token).await {
            Ok(identity) => Ok(identity),
            Err(error) if error.is_ours() => {
                self.metrics.token_refused(error.label());
                tracing::info!(reason = error_chain(&error), "token refused");
                Err(Problem::unavailable())
            }
            Err(error) => refuse(error.label(), &error_chain(&error)),
        }
    }
}

/// The one token that the headers name.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(authorization), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

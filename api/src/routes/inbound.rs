use axum::{
    Json,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use common::{
    answers::AnswerError,
    deliveries::{self, Inbound, InboundFilter, LedgerFilter, LedgerRow, ProcessError},
    ids::LeadId,
    intake::{self, DecideError, IntakeError, ReadError},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::{Tenant, answer},
    extract::{InPath, InboundId, PathId, ValidQuery},
    idempotency::Answered,
    openapi::{ConflictProblems, MemberProblems, MissingInbound, QueryProblems},
    permissions::Action,
    problem::Problem,
    replica::Reader,
};

/// What came in for your dealership and what became of it, newest first. `status=parked` is what a person has to decide.
#[utoipa::path(
    get, path = "/inbound", tag = "Sources", operation_id = "listInbound", params(InboundFilter),
    responses(
        (status = 200, description = "At most a hundred; Link says where older ones are, if there are any", body = Vec<Inbound>,
            headers(("Link" = String, description = "The next part, as `<…>; rel=\"next\"`"))),
        MemberProblems, QueryProblems,
    ),
)]
pub(crate) async fn list(
    Reader(mut tenant): Reader,
    ValidQuery(filter): ValidQuery<InboundFilter>,
) -> Result<Response, Problem> {
    let (items, more) = deliveries::list_own(&mut tenant.tx, &filter).await?;
    tenant.leave();
    let next = items.last().filter(|_| more).map(|last| next(&filter, last.id));
    let link = next.and_then(|next| HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).ok());
    Ok((link.map(|link| [(header::LINK, link)]), Json(items)).into_response())
}

fn next(filter: &InboundFilter, last: i64) -> String {
    let status = filter.status.map(|status| format!("&status={}", status.as_str())).unwrap_or_default();
    let source = filter.source.map(|source| format!("&source={}", source.as_str())).unwrap_or_default();
    format!("/api/v1/inbound?before={last}{status}{source}")
}

/// One thing that came in.
#[utoipa::path(
    get, path = "/inbound/{id}", tag = "Sources", operation_id = "getInbound", params(("id" = i64, Path)),
    responses((status = 200, description = "It", body = Inbound), MemberProblems, MissingInbound),
)]
pub(crate) async fn show(
    mut tenant: Tenant,
    PathId(InboundId(id)): PathId<InboundId>,
) -> Result<Json<Inbound>, Problem> {
    let found = deliveries::find_own(&mut tenant.tx, id).await?;
    tenant.leave();
    found.map(Json).ok_or_else(InboundId::not_found)
}

/// What came from each kind of source on each day, and what became of it. All that came is in one of the columns.
#[utoipa::path(
    get, path = "/inbound/ledger", tag = "Sources", operation_id = "getInboundLedger", params(LedgerFilter),
    responses((status = 200, description = "The ledger, newest day first", body = Vec<LedgerRow>), MemberProblems, QueryProblems),
)]
pub(crate) async fn ledger(
    Reader(mut tenant): Reader,
    ValidQuery(filter): ValidQuery<LedgerFilter>,
) -> Result<Json<Vec<LedgerRow>>, Problem> {
    let rows = deliveries::ledger(&mut tenant.tx, filter).await?;
    tenant.leave();
    Ok(Json(rows))
}

/// What became of something that was parked.
#[derive(Serialize, ToSchema)]
pub(crate) struct AcceptedInbound {
    /// The leads that it made, or that it was added to.
    lead_ids: Vec<LeadId>,
}

/// Makes leads of something that is parked. For managers and admins.
#[utoipa::path(
    post, path = "/inbound/{id}/accept", tag = "Sources", operation_id = "acceptInbound", extensions(("x-role" = json!("manager"))), params(("id" = i64, Path)),
    responses((status = 200, description = "The leads", body = AcceptedInbound), MemberProblems, MissingInbound, ConflictProblems),
)]
pub(crate) async fn accept(mut tenant: Tenant, PathId(InboundId(id)): PathId<InboundId>) -> Result<Answered, Problem> {
    tenant.require(Action::DecideOnInbound)?;
    answer!(tenant, async {
        let lead_ids = intake::accept(&mut tenant.tx, id).await?;
        Answered::ok(&AcceptedInbound { lead_ids })
    })
}

/// Puts something that is parked away and erases its content. For managers and admins.
#[utoipa::path(
    post, path = "/inbound/{id}/reject", tag = "Sources", operation_id = "rejectInbound", extensions(("x-role" = json!("manager"))), params(("id" = i64, Path)),
    responses((status = 204, description = "It is put away"), MemberProblems, MissingInbound, ConflictProblems),
)]
pub(crate) async fn reject(mut tenant: Tenant, PathId(InboundId(id)): PathId<InboundId>) -> Result<Answered, Problem> {
    tenant.require(Action::DecideOnInbound)?;
    answer!(tenant, async {
        intake::reject(&mut tenant.tx, id).await?;
        Ok::<_, Problem>(Answered::nothing())
    })
}

impl From<DecideError> for Problem {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::NotParked => Self::not_parked(),
            DecideError::NothingInIt | DecideError::Read(ReadError::NotHere) => Self::nothing_in_it(),
            DecideError::Read(ReadError::Process(ProcessError::Missing)) => InboundId::not_found(),
            DecideError::Read(ReadError::Process(ProcessError::Db(error)) | ReadError::Db(error)) => error.into(),
            DecideError::Read(ReadError::Intake(error)) => error.into(),
        }
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Lead(error) => error.into(),
            IntakeError::Message(error) | IntakeError::Answer(AnswerError::Write(error)) => error.into(),
            IntakeError::Answer(AnswerError::Db(error)) | IntakeError::Db(error) => error.into(),
        }
    }
}

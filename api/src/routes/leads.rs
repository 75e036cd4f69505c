use axum::{Json, http::StatusCode};
use common::{
    db,
    ids::LeadId,
    input::FieldError,
    leads::{self, Lead, LeadFilter, LeadPage, LeadPatch, LeadQuery, NewLead, StatusChange},
};

use crate::{
    auth::Tenant,
    created::Created,
    extract::{InPath, NoQuery, PathId, ValidJson, ValidQuery},
    openapi::{BodyProblems, MemberProblems, MissingProblem, QueryProblems},
    permissions::Action,
    problem::Problem,
};

/// The leads, newest first.
#[utoipa::path(
    get, path = "/leads", tag = "Leads", operation_id = "listLeads",
    params(
        LeadFilter,
        ("offset" = Option<i64>, Query, description = "Skip this many.", minimum = 0, maximum = 1_000_000_000),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before; not with `offset`."),
    ),
    responses((status = 200, description = "One page", body = LeadPage), MemberProblems, QueryProblems),
)]
pub(crate) async fn list(
    mut tenant: Tenant,
    ValidQuery(query): ValidQuery<LeadQuery>,
) -> Result<Json<LeadPage>, Problem> {
    let filter = query.of(tenant.caller.id);
    Ok(Json(leads::page(&mut tenant.tx, &filter).await?))
}

/// One lead.
#[utoipa::path(
    get, path = "/leads/{id}", tag = "Leads", operation_id = "getLead", params(("id" = LeadId, Path)),
    responses((status = 200, description = "The lead", body = Lead), MemberProblems, MissingProblem),
)]
pub(crate) async fn show(mut tenant: Tenant, PathId(id): PathId<LeadId>) -> Result<Json<Lead>, Problem> {
    leads::find(&mut tenant.tx, id).await?.map(Json).ok_or_else(LeadId::not_found)
}

/// Creates a lead by hand.
#[utoipa::path(
    post, path = "/leads", tag = "Leads", operation_id = "createLead", request_body = NewLead,
    responses((status = 201, description = "The lead; Location says where", body = Lead), MemberProblems, BodyProblems),
)]
pub(crate) async fn create(mut tenant: Tenant, ValidJson(new): ValidJson<NewLead>) -> Result<Created<Lead>, Problem> {
    let lead = leads::create(&mut tenant.tx, &new).await.map_err(assignee)?;
    tenant.commit().await?;
    Ok(Created::at(format!("/api/v1/leads/{}", lead.id), lead))
}

/// Changes the given fields of a lead. Fields that cannot be changed are ignored, so that a whole lead may be sent back.
#[utoipa::path(
    patch, path = "/leads/{id}", tag = "Leads", operation_id = "updateLead", params(("id" = LeadId, Path)),
    request_body = LeadPatch,
    responses((status = 200, description = "The lead", body = Lead), MemberProblems, BodyProblems, MissingProblem),
)]
pub(crate) async fn update(
    mut tenant: Tenant,
    PathId(id): PathId<LeadId>,
    ValidJson(patch): ValidJson<LeadPatch>,
) -> Result<Json<Lead>, Problem> {
    let lead = leads::update(&mut tenant.tx, id, &patch, &tenant.caller).await.map_err(assignee)?;
    tenant.commit().await?;
    lead.map(Json).ok_or_else(LeadId::not_found)
}

/// Removes a lead with its messages and its history. For managers and admins.
#[utoipa::path(
    delete, path = "/leads/{id}", tag = "Leads", operation_id = "deleteLead", params(("id" = LeadId, Path)),
    responses((status = 204, description = "It is gone"), MemberProblems, MissingProblem),
)]
pub(crate) async fn delete(mut tenant: Tenant, PathId(id): PathId<LeadId>) -> Result<StatusCode, Problem> {
    tenant.require(Action::DeleteLeads)?;
    let deleted = leads::delete(&mut tenant.tx, id).await?;
    tenant.commit().await?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(LeadId::not_found()) }
}

/// How a lead's status changed, newest first: from what to what, by whom and when.
#[utoipa::path(
    get, path = "/leads/{id}/history", tag = "Leads", operation_id = "getLeadHistory", params(("id" = LeadId, Path)),
    responses((status = 200, description = "The changes", body = Vec<StatusChange>), MemberProblems, QueryProblems, MissingProblem),
)]
pub(crate) async fn history(
    mut tenant: Tenant,
    PathId(id): PathId<LeadId>,
    _: NoQuery,
) -> Result<Json<Vec<StatusChange>>, Problem> {
    leads::find(&mut tenant.tx, id).await?.ok_or_else(LeadId::not_found)?;
    Ok(Json(leads::history(&mut tenant.tx, id).await?))
}

fn assignee(error: db::Error) -> Problem {
    if error.violates(leads::ASSIGNEE) {
        let message = "must be a member of your dealership; GET /api/v1/users lists them".to_owned();
        return Problem::invalid_input(vec![FieldError { field: "assigned_to".to_owned(), message }]);
    }
    error.into()
}

use axum::{
    Json,
    http::{StatusCode, header},
    response::IntoResponse,
};
use common::{
    db::AccessError,
    ids::{LeadId, StatusChangeId},
    inquiry::adf::{self, AdfLead},
    intake,
    leads::{self, Lead, LeadFilter, LeadPage, LeadPatch, LeadQuery, NewLead, StatusChange, WriteError},
    page::Before,
};

use crate::{
    answers::WrittenJson,
    auth::{Tenant, answer, commit},
    extract::{InPath, PathId, ValidJson, ValidQuery},
    idempotency::Answered,
    linked::{BeforeParams, Linked, not_in_list},
    openapi::{BodyProblems, MemberProblems, MissingLead, QueryProblems},
    permissions::Action,
    problem::Problem,
    replica::Reader,
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
    Reader(mut tenant): Reader,
    ValidQuery(query): ValidQuery<LeadQuery>,
) -> Result<WrittenJson, Problem> {
    let filter = query.of(tenant.caller.id);
    let page = leads::page(&mut tenant.tx, &filter).await?;
    tenant.answer(&page)
}

/// One lead, by its id or by the receipt that was given to whoever sent its inquiry.
#[utoipa::path(
    get, path = "/leads/{id}", tag = "Leads", operation_id = "getLead", params(("id" = LeadId, Path)),
    responses((status = 200, description = "The lead", body = Lead), MemberProblems, MissingLead),
)]
pub(crate) async fn show(mut tenant: Tenant, PathId(id): PathId<LeadId>) -> Result<Json<Lead>, Problem> {
    let mut found = leads::find(&mut tenant.tx, id).await?;
    if found.is_none()
        && let Some(lead) = intake::lead_of_receipt(&mut tenant.tx, id).await?
    {
        found = leads::find(&mut tenant.tx, lead).await?;
    }
    tenant.leave();
    found.map(Json).ok_or_else(LeadId::not_found)
}

/// Creates a lead by hand.
#[utoipa::path(
    post, path = "/leads", tag = "Leads", operation_id = "createLead", 
    request_body(content = NewLead, example = json!({ "customer_name": "Bjørn Håkonsen", "customer_email": "bjorn.hakonsen@example.no", "customer_phone": "+47 912 34 567", "vehicle_interest": "Tesla Model Y Long Range", "initial_message": "Hei! Har dere denne på lager?", "source": "website", "source_url": "https://www.finn.no/mobility/item/123456789", "source_metadata": { "campaign": "høst" }, "lead_score": 70 })),
    responses((status = 201, description = "The lead; Location says where", body = Lead, headers(("Location" = String, description = "The path of what was created."))), MemberProblems, BodyProblems),
)]
pub(crate) async fn create(mut tenant: Tenant, ValidJson(new): ValidJson<NewLead>) -> Result<Answered, Problem> {
    answer!(tenant, async {
        let lead = leads::create(&mut tenant.tx, &new).await?;
        Answered::created_at(format!("/api/v1/leads/{}", lead.id), &lead)
    })
}

/// Changes the given fields of a lead. Fields that cannot be changed are ignored, so that a whole lead may be sent back.
#[utoipa::path(
    patch, path = "/leads/{id}", tag = "Leads", operation_id = "updateLead", params(("id" = LeadId, Path)),
    request_body(content = LeadPatch, example = json!({ "status": "contacted", "lead_score": 80, "vehicle_interest": null })),
    responses((status = 200, description = "The lead", body = Lead), MemberProblems, BodyProblems, MissingLead),
)]
pub(crate) async fn update(
    mut tenant: Tenant,
    PathId(id): PathId<LeadId>,
    ValidJson(patch): ValidJson<LeadPatch>,
) -> Result<Json<Lead>, Problem> {
    let lead = commit!(tenant, leads::update(&mut tenant.tx, id, &patch, &tenant.caller));
    lead.map(Json).ok_or_else(LeadId::not_found)
}

/// Removes a lead with its messages and its history. For managers and admins.
#[utoipa::path(
    delete, path = "/leads/{id}", tag = "Leads", operation_id = "deleteLead", extensions(("x-role" = json!("manager"))), params(("id" = LeadId, Path)),
    responses((status = 204, description = "It is gone"), MemberProblems, MissingLead),
)]
pub(crate) async fn delete(mut tenant: Tenant, PathId(id): PathId<LeadId>) -> Result<StatusCode, Problem> {
    tenant.require(Action::DeleteLeads)?;
    let deleted = commit!(tenant, leads::delete(&mut tenant.tx, id));
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(LeadId::not_found()) }
}

/// How a lead's status changed, newest first: from what to what, by whom and when.
#[utoipa::path(
    get, path = "/leads/{id}/history", tag = "Leads", operation_id = "getLeadHistory",
    params(("id" = LeadId, Path), BeforeParams),
    responses(
        (status = 200, description = "The changes; Link says where older ones are, if there are any", body = Vec<StatusChange>,
            headers(("Link" = String, description = "The next part, as `<…>; rel=\"next\"`"))),
        MemberProblems, QueryProblems, MissingLead,
    ),
)]
pub(crate) async fn history(
    Reader(mut tenant): Reader,
    PathId(id): PathId<LeadId>,
    ValidQuery(request): ValidQuery<Before<StatusChangeId>>,
) -> Result<Linked, Problem> {
    if !leads::exists(&mut tenant.tx, id).await? {
        return Err(LeadId::not_found());
    }
    let part = leads::history(&mut tenant.tx, id, request).await?.ok_or_else(|| not_in_list("before"))?;
    Linked::new(tenant, &part, |last| format!("/api/v1/leads/{id}/history?before={}", last.id))
}

/// The other leads of the same customer, newest first: who takes care of one sees what else they asked.
#[utoipa::path(
    get, path = "/leads/{id}/related", tag = "Leads", operation_id = "listRelatedLeads", params(("id" = LeadId, Path)),
    responses((status = 200, description = "At most a hundred", body = Vec<Lead>), MemberProblems, MissingLead),
)]
pub(crate) async fn related(Reader(mut tenant): Reader, PathId(id): PathId<LeadId>) -> Result<WrittenJson, Problem> {
    let related = leads::related(&mut tenant.tx, id).await?.ok_or_else(LeadId::not_found)?;
    tenant.answer(&related)
}

/// The lead as an ADF document, for other systems.
#[utoipa::path(
    get, path = "/leads/{id}/adf", tag = "Leads", operation_id = "exportLeadAsAdf", params(("id" = LeadId, Path)),
    responses((status = 200, description = "The document", body = String, content_type = "application/x-adf+xml"), MemberProblems, MissingLead),
)]
pub(crate) async fn adf(Reader(mut tenant): Reader, PathId(id): PathId<LeadId>) -> Result<impl IntoResponse, Problem> {
    let lead = leads::find(&mut tenant.tx, id).await?.ok_or_else(LeadId::not_found)?;
    let vendor_name = tenant.caller.dealership_name.clone();
    tenant.leave();
    let document = adf::write(&AdfLead {
        id: lead.id.to_string(),
        requested_at: lead.created_at,
        source: lead.source.as_str().to_owned(),
        name: lead.customer_name,
        email: lead.customer_email,
        phone: lead.customer_phone,
        vehicle: lead.vehicle_interest,
        comments: lead.initial_message,
        vendor_name,
    });
    Ok(([(header::CONTENT_TYPE, "application/x-adf+xml; charset=utf-8")], document))
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::AssigneeNotAMember => {
                let message = "must be a member of your dealership; GET /api/v1/users lists them";
                Self::invalid_field("assigned_to", message)
            }
            WriteError::AssigneeSuspended => {
                let message = "is suspended and has no access at present; choose another member of your dealership";
                Self::invalid_field("assigned_to", message)
            }
            WriteError::NoContact => {
                Self::invalid_field("customer_email", "is required, unless customer_phone is given")
            }
            WriteError::AuthorGone | WriteError::DealershipGone => AccessError::NotAMember.into(),
            WriteError::Db(error) => error.into(),
        }
    }
}

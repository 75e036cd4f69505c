use axum::{Json, http::StatusCode};
use common::{
    conversations::{self, Message, Reply},
    ids::LeadId,
    leads,
};

use crate::{
    auth::Tenant,
    extract::{InPath, NoQuery, PathId, ValidJson},
    openapi::{BodyProblems, MemberProblems, MissingProblem, QueryProblems},
    problem::Problem,
};

/// The messages of a lead, newest first.
#[utoipa::path(
    get, path = "/leads/{id}/conversations", tag = "Conversations", operation_id = "listConversations",
    params(("id" = LeadId, Path)),
    responses((status = 200, description = "The messages", body = Vec<Message>), MemberProblems, QueryProblems, MissingProblem),
)]
pub(crate) async fn list(
    mut tenant: Tenant,
    PathId(id): PathId<LeadId>,
    _: NoQuery,
) -> Result<Json<Vec<Message>>, Problem> {
    leads::find(&mut tenant.tx, id).await?.ok_or_else(LeadId::not_found)?;
    Ok(Json(conversations::of_lead(&mut tenant.tx, id).await?))
}

/// Records an answer to a customer. The first one is the lead's first response.
#[utoipa::path(
    post, path = "/conversations", tag = "Conversations", operation_id = "createConversation", request_body = Reply,
    responses((status = 201, description = "The message", body = Message), MemberProblems, BodyProblems, MissingProblem),
)]
pub(crate) async fn create(
    mut tenant: Tenant,
    ValidJson(reply): ValidJson<Reply>,
) -> Result<(StatusCode, Json<Message>), Problem> {
    let message = conversations::create(&mut tenant.tx, &reply.from(&tenant.caller)).await?;
    tenant.commit().await?;
    message.map(|message| (StatusCode::CREATED, Json(message))).ok_or_else(LeadId::not_found)
}

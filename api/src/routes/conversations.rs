use axum::{Json, http::StatusCode};
use common::{
    conversations::{self, Message, Reply, WriteError},
    db::AccessError,
    ids::{LeadId, MessageId},
    leads,
    page::Before,
};

use crate::{
    auth::{Tenant, commit},
    extract::{InPath, PathId, ValidJson, ValidQuery},
    linked::{BeforeParams, Linked, not_in_list},
    openapi::{BodyProblems, MemberProblems, MissingLead, QueryProblems},
    problem::Problem,
};

/// The messages of a lead, newest first.
///
/// At most 500 of them, and at most 1 MiB; `Link` says where older ones are, if there are any.
#[utoipa::path(
    get, path = "/leads/{id}/conversations", tag = "Conversations", operation_id = "listConversations",
    params(("id" = LeadId, Path), BeforeParams),
    responses(
        (status = 200, description = "The messages; Link says where older ones are, if there are any", body = Vec<Message>,
            headers(("Link" = String, description = "The next part, as `<…>; rel=\"next\"`"))),
        MemberProblems, QueryProblems, MissingLead,
    ),
)]
pub(crate) async fn list(
    mut tenant: Tenant,
    PathId(id): PathId<LeadId>,
    ValidQuery(request): ValidQuery<Before<MessageId>>,
) -> Result<Linked, Problem> {
    if !leads::exists(&mut tenant.tx, id).await? {
        return Err(LeadId::not_found());
    }
    let part = conversations::of_lead(&mut tenant.tx, id, request).await?.ok_or_else(|| not_in_list("before"))?;
    Linked::new(tenant, &part, |last| format!("/api/v1/leads/{id}/conversations?before={}", last.id))
}

/// Records an answer to a customer. The first one is the lead's first response.
#[utoipa::path(
    post, path = "/conversations", tag = "Conversations", operation_id = "createConversation", 
    request_body(content = Reply, example = json!({ "lead_id": "c0fc3c7a-637f-54ae-b716-20b57e2d6261", "message_content": "Hei Bjørn! Ja, vi har to på lager.", "channel": "email" })),
    responses((status = 201, description = "The message", body = Message), MemberProblems, BodyProblems, MissingLead),
)]
pub(crate) async fn create(
    mut tenant: Tenant,
    ValidJson(reply): ValidJson<Reply>,
) -> Result<(StatusCode, Json<Message>), Problem> {
    let message = commit!(tenant, conversations::create(&mut tenant.tx, &reply.by(&tenant.caller)));
    message.map(|message| (StatusCode::CREATED, Json(message))).ok_or_else(LeadId::not_found)
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::AuthorGone => AccessError::NotAMember.into(),
            WriteError::Db(error) => error.into(),
        }
    }
}

use axum::extract::State;
use common::{
    conversations::{self, Channel, Delivery, Message, Reply, WriteError},
    db::AccessError,
    ids::{LeadId, MessageId},
    leads,
    messages::{self, Preview},
    outbox::{self, NotAgain},
    page::Before,
};

use crate::{
    auth::{Tenant, answer},
    extract::{InPath, PathId, ValidJson, ValidQuery},
    idempotency::Answered,
    linked::{BeforeParams, Linked, not_in_list},
    openapi::{BodyProblems, ConflictProblems, MemberProblems, MissingLead, MissingMessage, QueryProblems},
    problem::Problem,
    replica::Reader,
    state::AppState,
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
    Reader(mut tenant): Reader,
    PathId(id): PathId<LeadId>,
    ValidQuery(request): ValidQuery<Before<MessageId>>,
) -> Result<Linked, Problem> {
    if !leads::exists(&mut tenant.tx, id).await? {
        return Err(LeadId::not_found());
    }
    let part = conversations::of_lead(&mut tenant.tx, id, request).await?.ok_or_else(|| not_in_list("before"))?;
    Linked::new(tenant, &part, |last| format!("/api/v1/leads/{id}/conversations?before={}", last.id))
}

/// Answers a customer. By `email` and `sms` it is sent, and `delivery` tells what becomes of it: it is the lead's first response
/// once it has arrived. Through other channels it is only written down, and counts at once.
#[utoipa::path(
    post, path = "/conversations", tag = "Conversations", operation_id = "createConversation", 
    request_body(content = Reply, example = json!({ "lead_id": "c0fc3c7a-637f-54ae-b716-20b57e2d6261", "message_content": "Hei Bjørn! Ja, vi har to på lager.", "channel": "email" })),
    responses((status = 201, description = "The message", body = Message), MemberProblems, BodyProblems, MissingLead),
)]
pub(crate) async fn create(mut tenant: Tenant, ValidJson(reply): ValidJson<Reply>) -> Result<Answered, Problem> {
    let new = reply.by(&tenant.caller);
    answer!(tenant, async {
        let message = messages::answer(&mut tenant.tx, &new).await?;
        Answered::created(&message.ok_or_else(LeadId::not_found)?)
    })
}

/// Shows what the customer would see of a message by `email` or `sms`, and how many text messages it is paid as. Nothing is sent.
#[utoipa::path(
    post, path = "/conversations/preview", tag = "Conversations", operation_id = "previewConversation",
    request_body(content = Reply, example = json!({ "lead_id": "c0fc3c7a-637f-54ae-b716-20b57e2d6261", "message_content": "Hei Bjørn! Ja, vi har to på lager.", "channel": "email" })),
    responses((status = 200, description = "What the customer would see", body = Preview), MemberProblems, BodyProblems, MissingLead),
)]
pub(crate) async fn preview(
    State(state): State<AppState>,
    mut tenant: Tenant,
    ValidJson(reply): ValidJson<Reply>,
) -> Result<Answered, Problem> {
    if !matches!(reply.channel, Channel::Email | Channel::Sms) {
        return Err(Problem::invalid_field("channel", "must be email or sms: nothing is sent through others"));
    }
    let new = reply.by(&tenant.caller);
    answer!(tenant, async {
        let preview = messages::preview(&mut tenant.tx, &new, state.addresses.inbound_domain.as_deref()).await?;
        Answered::ok(&preview.ok_or_else(LeadId::not_found)?)
    })
}

/// Sends a message once more that failed, came back, or may have been lost. If it was not lost, the customer gets it twice.
#[utoipa::path(
    post, path = "/conversations/{id}/send-again", tag = "Conversations", operation_id = "sendConversationAgain",
    params(("id" = MessageId, Path)),
    responses((status = 200, description = "It is on its way again", body = Delivery), MemberProblems, MissingMessage, ConflictProblems),
)]
pub(crate) async fn send_again(mut tenant: Tenant, PathId(id): PathId<MessageId>) -> Result<Answered, Problem> {
    answer!(tenant, async { Answered::ok(&outbox::send_again(&mut tenant.tx, id).await?) })
}

impl From<NotAgain> for Problem {
    fn from(error: NotAgain) -> Self {
        match error {
            NotAgain::Missing => MessageId::not_found(),
            NotAgain::NotLost => Self::not_lost(),
            NotAgain::NoAddress => Self::no_address(),
            NotAgain::Db(error) => error.into(),
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::AuthorGone => AccessError::NotAMember.into(),
            WriteError::Db(error) => error.into(),
        }
    }
}

use axum::Json;
use common::{
    answers::{self, Answer, AnswerSettings, AnswerSettingsPatch},
    conversations::Message,
    ids::LeadId,
    leads,
    messages::{self, DraftText},
};

use crate::{
    answers::WrittenJson,
    auth::{Tenant, answer, commit},
    extract::{InPath, PathId, ValidJson},
    idempotency::Answered,
    openapi::{BodyProblems, ConflictProblems, MemberProblems, MissingLead},
    permissions::Action,
    problem::Problem,
    replica::Reader,
};

/// The automatic answers of a lead, newest first: what the assistant was given, what came back, what the gate said of it, and
/// what became of it.
#[utoipa::path(
    get, path = "/leads/{id}/answers", tag = "Conversations", operation_id = "listAnswers", params(("id" = LeadId, Path)),
    responses((status = 200, description = "The answers", body = Vec<Answer>), MemberProblems, MissingLead),
)]
pub(crate) async fn list(Reader(mut tenant): Reader, PathId(id): PathId<LeadId>) -> Result<WrittenJson, Problem> {
    if !leads::exists(&mut tenant.tx, id).await? {
        return Err(LeadId::not_found());
    }
    let found = answers::of_lead(&mut tenant.tx, id).await?;
    tenant.answer(&found)
}

/// Sends what was drafted for a lead, as your answer: as it is, or as you have changed it.
#[utoipa::path(
    post, path = "/leads/{id}/draft", tag = "Conversations", operation_id = "sendDraft", params(("id" = LeadId, Path)),
    request_body(content = DraftText, example = json!({ "message_content": "Hei Bjørn! Ja, vi har to på lager." })),
    responses((status = 201, description = "The message", body = Message), MemberProblems, BodyProblems, MissingLead, ConflictProblems),
)]
pub(crate) async fn send_draft(
    mut tenant: Tenant,
    PathId(id): PathId<LeadId>,
    ValidJson(draft): ValidJson<DraftText>,
) -> Result<Answered, Problem> {
    answer!(tenant, async {
        if !leads::exists(&mut tenant.tx, id).await? {
            return Err(LeadId::not_found());
        }
        let message = messages::send_draft(&mut tenant.tx, id, &draft, &tenant.caller).await?;
        Answered::created(&message.ok_or_else(Problem::no_draft)?)
    })
}

/// How your dealership answers automatically.
#[utoipa::path(
    get, path = "/dealership/answers", tag = "Dealership", operation_id = "getAnswerSettings",
    responses((status = 200, description = "The settings", body = AnswerSettings), MemberProblems),
)]
pub(crate) async fn settings(mut tenant: Tenant) -> Result<Json<AnswerSettings>, Problem> {
    let settings = answers::settings(&mut tenant.tx).await?;
    tenant.leave();
    Ok(Json(settings))
}

/// Changes the given fields of how your dealership answers automatically. For admins.
#[utoipa::path(
    patch, path = "/dealership/answers", tag = "Dealership", operation_id = "updateAnswerSettings", extensions(("x-role" = json!("admin"))),
    request_body(content = AnswerSettingsPatch, example = json!({
        "tone": "vennlig og uformell",
        "opening_times": {
            "monday": [{ "from": "09:00", "to": "17:00" }], "tuesday": [{ "from": "09:00", "to": "17:00" }],
            "wednesday": [{ "from": "09:00", "to": "17:00" }], "thursday": [{ "from": "09:00", "to": "17:00" }],
            "friday": [{ "from": "09:00", "to": "17:00" }], "saturday": [{ "from": "10:00", "to": "15:00" }], "sunday": [],
        },
        "closed_days": ["2026-12-24"],
    })),
    responses((status = 200, description = "The settings", body = AnswerSettings), MemberProblems, BodyProblems),
)]
pub(crate) async fn update_settings(
    mut tenant: Tenant,
    ValidJson(patch): ValidJson<AnswerSettingsPatch>,
) -> Result<Json<AnswerSettings>, Problem> {
    tenant.require(Action::ChangeDealership)?;
    let settings = commit!(tenant, answers::update_settings(&mut tenant.tx, &patch));
    Ok(Json(settings))
}

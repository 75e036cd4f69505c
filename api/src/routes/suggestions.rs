use axum::{Json, extract::State};
use common::{
    answers::{self, NotAsked, SuggestError, Suggestion},
    ids::LeadId,
    leads,
};

use crate::{
    auth::{Tenant, answer},
    extract::{InPath, PathId},
    idempotency::Answered,
    openapi::{ConflictProblems, MemberProblems, MissingLead},
    problem::Problem,
    state::HasAssistant,
};

/// Asks the assistant what you may answer, and for a summary of what was written so far. It is written within a minute: read it
/// with `GET`. What is being written already is not asked for twice. Nothing of it is sent unless you send it as yours.
#[utoipa::path(
    post, path = "/leads/{id}/suggestions", tag = "Conversations", operation_id = "createSuggestion", params(("id" = LeadId, Path)),
    responses(
        (status = 202, description = "It will be written", body = Suggestion), MemberProblems, MissingLead, ConflictProblems,
    ),
)]
pub(crate) async fn create(
    State(HasAssistant(has_assistant)): State<HasAssistant>,
    mut tenant: Tenant,
    PathId(id): PathId<LeadId>,
) -> Result<Answered, Problem> {
    answer!(tenant, async {
        let suggestion = answers::suggest(&mut tenant.tx, id, has_assistant).await?;
        Answered::accepted(&suggestion.ok_or_else(LeadId::not_found)?)
    })
}

/// What the assistant suggested for a lead, newest first: what you may answer, a summary, and what to look at before you
/// send it.
#[utoipa::path(
    get, path = "/leads/{id}/suggestions", tag = "Conversations", operation_id = "listSuggestions", params(("id" = LeadId, Path)),
    responses((status = 200, description = "At most twenty", body = Vec<Suggestion>), MemberProblems, MissingLead),
)]
pub(crate) async fn list(mut tenant: Tenant, PathId(id): PathId<LeadId>) -> Result<Json<Vec<Suggestion>>, Problem> {
    if !leads::exists(&mut tenant.tx, id).await? {
        return Err(LeadId::not_found());
    }
    let found = answers::suggestions(&mut tenant.tx, id).await?;
    tenant.leave();
    Ok(Json(found))
}

impl From<SuggestError> for Problem {
    fn from(error: SuggestError) -> Self {
        match error {
            SuggestError::NotAsked(NotAsked::NoAssistant) => Self::no_assistant(),
            SuggestError::NotAsked(NotAsked::Off) => Self::assistant_off(),
            SuggestError::NotAsked(NotAsked::Capped) => Self::assistant_limit(),
            SuggestError::Db(error) => error.into(),
        }
    }
}

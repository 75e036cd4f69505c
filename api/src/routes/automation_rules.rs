use axum::{Json, http::StatusCode};
use common::{
    automation_rules::{self, AutomationRule, AutomationRulePatch, NewAutomationRule, WriteError},
    db::AccessError,
    ids::AutomationRuleId,
    page::{Page, PageRequest},
};

use crate::{
    answers::WrittenJson,
    auth::{Tenant, answer, commit},
    extract::{InPath, PathId, ValidJson, ValidQuery},
    idempotency::Answered,
    openapi::{BodyProblems, MemberProblems, MissingAutomationRule, QueryProblems},
    permissions::Action,
    problem::Problem,
    replica::Reader,
};

/// The rules, newest first.
#[utoipa::path(
    get, path = "/automation-rules", tag = "Automation rules", operation_id = "listAutomationRules", params(PageRequest),
    responses((status = 200, description = "One page", body = Page<AutomationRule>), MemberProblems, QueryProblems),
)]
pub(crate) async fn list(
    Reader(mut tenant): Reader,
    ValidQuery(filter): ValidQuery<PageRequest>,
) -> Result<WrittenJson, Problem> {
    let page = automation_rules::list(&mut tenant.tx, filter).await?;
    tenant.answer(&page)
}

/// One rule.
#[utoipa::path(
    get, path = "/automation-rules/{id}", tag = "Automation rules", operation_id = "getAutomationRule", params(("id" = AutomationRuleId, Path)),
    responses((status = 200, description = "The rule", body = AutomationRule), MemberProblems, MissingAutomationRule),
)]
pub(crate) async fn show(
    mut tenant: Tenant,
    PathId(id): PathId<AutomationRuleId>,
) -> Result<Json<AutomationRule>, Problem> {
    let found = automation_rules::find(&mut tenant.tx, id).await?;
    tenant.leave();
    found.map(Json).ok_or_else(AutomationRuleId::not_found)
}

/// Adds a rule. For managers and admins.
#[utoipa::path(
    post, path = "/automation-rules", tag = "Automation rules", operation_id = "createAutomationRule", extensions(("x-role" = json!("manager"))), 
    request_body(content = NewAutomationRule, example = json!({ "name": "Svar på nye leads om natten", "trigger_type": "lead.created", "trigger_conditions": { "source": "website" }, "actions": [{ "type": "send_email", "template": "welcome" }], "is_active": true })),
    responses(
        (status = 201, description = "The rule; Location says where", body = AutomationRule, headers(("Location" = String, description = "The path of what was created."))), MemberProblems, BodyProblems,
    ),
)]
pub(crate) async fn create(
    mut tenant: Tenant,
    ValidJson(new): ValidJson<NewAutomationRule>,
) -> Result<Answered, Problem> {
    tenant.require(Action::ChangeAutomationRules)?;
    answer!(tenant, async {
        let created = automation_rules::create(&mut tenant.tx, &new).await?;
        Answered::created_at(format!("/api/v1/automation-rules/{}", created.id), &created)
    })
}

/// Changes the given fields of a rule. For managers and admins.
#[utoipa::path(
    patch, path = "/automation-rules/{id}", tag = "Automation rules", operation_id = "updateAutomationRule", extensions(("x-role" = json!("manager"))), params(("id" = AutomationRuleId, Path)),
    request_body(content = AutomationRulePatch, example = json!({ "is_active": false })),
    responses((status = 200, description = "The rule", body = AutomationRule), MemberProblems, BodyProblems, MissingAutomationRule),
)]
pub(crate) async fn update(
    mut tenant: Tenant,
    PathId(id): PathId<AutomationRuleId>,
    ValidJson(patch): ValidJson<AutomationRulePatch>,
) -> Result<Json<AutomationRule>, Problem> {
    tenant.require(Action::ChangeAutomationRules)?;
    let updated = commit!(tenant, automation_rules::update(&mut tenant.tx, id, &patch));
    updated.map(Json).ok_or_else(AutomationRuleId::not_found)
}

/// Removes a rule. For managers and admins.
#[utoipa::path(
    delete, path = "/automation-rules/{id}", tag = "Automation rules", operation_id = "deleteAutomationRule", extensions(("x-role" = json!("manager"))), params(("id" = AutomationRuleId, Path)),
    responses((status = 204, description = "It is gone"), MemberProblems, MissingAutomationRule),
)]
pub(crate) async fn delete(mut tenant: Tenant, PathId(id): PathId<AutomationRuleId>) -> Result<StatusCode, Problem> {
    tenant.require(Action::ChangeAutomationRules)?;
    let deleted = commit!(tenant, automation_rules::delete(&mut tenant.tx, id));
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(AutomationRuleId::not_found()) }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::DealershipGone => AccessError::NotAMember.into(),
            WriteError::Db(error) => error.into(),
        }
    }
}

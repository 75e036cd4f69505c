//! What happens by itself.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;
use utoipa::ToSchema;

use crate::{
    db::{Error, Result, TenantTx},
    ids::{AutomationRuleId, DealershipId},
    input::{Fields, FromFields, JsonText, boolean, json_object, json_objects, text},
    page::{Page, PageRequest},
    update::{Update, lock, lock_statement},
};

/// Bytes of JSON that conditions and actions may have.
const JSON_LIMIT: usize = 20_000;

/// When something happens, do something.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
pub struct AutomationRule {
    /// Identifies the rule.
    pub id: AutomationRuleId,
    /// The dealership it belongs to.
    pub dealership_id: DealershipId,
    /// What people call it.
    #[schema(example = "Svar på nye leads om natten")]
    pub name: String,
    /// What sets it off.
    #[schema(example = "lead.created")]
    pub trigger_type: String,
    /// What else must be the case.
    #[schema(value_type = Object, example = json!({ "source": "website" }))]
    pub trigger_conditions: JsonText,
    /// What it does, in order.
    #[schema(value_type = Vec<Object>, example = json!([{ "type": "send_email", "template": "welcome" }]))]
    pub actions: JsonText,
    /// Whether it does it.
    pub is_active: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// A rule to be made.
#[derive(Debug, Clone, ToSchema)]
pub struct NewAutomationRule {
    /// Its id, if one is given. Not for requests.
    #[schema(ignore)]
    pub id: Option<AutomationRuleId>,
    /// What people call it.
    #[schema(min_length = 1, max_length = 200, example = "Svar på nye leads om natten")]
    pub name: String,
    /// What sets it off.
    #[schema(min_length = 1, max_length = 100, example = "lead.created")]
    pub trigger_type: String,
    /// What else must be the case; nothing by default.
    #[schema(value_type = Option<Object>, example = json!({ "source": "website" }))]
    pub trigger_conditions: JsonText,
    /// What it does, in order; nothing by default.
    #[schema(value_type = Option<Vec<Object>>, example = json!([{ "type": "send_email", "template": "welcome" }]))]
    pub actions: JsonText,
    /// Whether it does it; by default it does.
    #[schema(value_type = Option<bool>)]
    pub is_active: bool,
}

/// What changes about a rule; only given fields change.
#[derive(Debug, Clone, ToSchema)]
pub struct AutomationRulePatch {
    /// What people call it.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200, example = "Svar på nye leads om natten")]
    pub name: Option<String>,
    /// What sets it off.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 100, example = "lead.created")]
    pub trigger_type: Option<String>,
    /// What else must be the case.
    #[schema(value_type = Object, required = false, example = json!({ "source": "website" }))]
    pub trigger_conditions: Option<JsonText>,
    /// What it does, in order.
    #[schema(value_type = Vec<Object>, required = false, example = json!([{ "type": "send_email", "template": "welcome" }]))]
    pub actions: Option<JsonText>,
    /// Whether it does it.
    #[schema(value_type = bool, required = false)]
    pub is_active: Option<bool>,
}

impl FromFields for NewAutomationRule {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (name, trigger) = (fields.required("name", text(200)), fields.required("trigger_type", text(100)));
        let conditions = fields.optional_json("trigger_conditions", json_object(JSON_LIMIT));
        let actions = fields.optional_json("actions", json_objects(JSON_LIMIT));
        let is_active = fields.optional("is_active", boolean).unwrap_or(true);
        Some(Self {
            id: None,
            name: name?,
            trigger_type: trigger?,
            trigger_conditions: conditions.unwrap_or_else(|| json!({}).into()),
            actions: actions.unwrap_or_else(|| json!([]).into()),
            is_active,
        })
    }
}

impl FromFields for AutomationRulePatch {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            name: fields.change("name", text(200)),
            trigger_type: fields.change("trigger_type", text(100)),
            trigger_conditions: fields.change_json("trigger_conditions", json_object(JSON_LIMIT)),
            actions: fields.change_json("actions", json_objects(JSON_LIMIT)),
            is_active: fields.change("is_active", boolean),
        })
    }
}

/// Why a rule was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The dealership has been destroyed meanwhile.
    #[error("the dealership does not exist any more")]
    DealershipGone,
    /// The database did not do it.
    #[error(transparent)]
    Db(Error),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        let error = Error::from(error);
        match error.constraint() {
            Some("automation_rules_dealership_id_fkey") => Self::DealershipGone,
            _ => Self::Db(error),
        }
    }
}

/// What is read of a row. Never `*`: a column that a later release adds must not change what this one prepared.
macro_rules! columns {
    () => {
        "id, dealership_id, name, trigger_type, trigger_conditions, actions, is_active, created_at, updated_at"
    };
}

/// The dealership's rules, newest first.
pub async fn list(tx: &mut TenantTx, request: PageRequest) -> Result<Page<AutomationRule>> {
    let items = sqlx::query_as(concat!(
        "-- automation_rules::list
         SELECT ",
        columns!(),
        " FROM automation_rules WHERE dealership_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3"
    ))
    .bind(tx.dealership())
    .bind(request.limit)
    .bind(request.offset)
    .fetch_all(tx.conn())
    .await?;
    let total =
        sqlx::query_scalar("-- automation_rules::list\nSELECT count(*) FROM automation_rules WHERE dealership_id = $1")
            .bind(tx.dealership())
            .fetch_one(tx.conn())
            .await?;
    Ok(Page::new(items, total, request))
}

/// The rule with this id, unless the dealership has none such.
pub async fn find(tx: &mut TenantTx, id: AutomationRuleId) -> Result<Option<AutomationRule>> {
    Ok(sqlx::query_as(concat!(
        "-- automation_rules::find\nSELECT ",
        columns!(),
        " FROM automation_rules WHERE id = $1 AND dealership_id = $2"
    ))
    .bind(id)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await?)
}

pub async fn create(tx: &mut TenantTx, new: &NewAutomationRule) -> Result<AutomationRule, WriteError> {
    let rule = sqlx::query_as(concat!(
        "-- automation_rules::create
         INSERT INTO automation_rules (id, dealership_id, name, trigger_type, trigger_conditions, actions, is_active)
         VALUES (coalesce($7, gen_random_uuid()), $1, $2, $3, $4, $5, $6) RETURNING ",
        columns!()
    ))
    .bind(tx.dealership())
    .bind(&new.name)
    .bind(&new.trigger_type)
    .bind(&new.trigger_conditions)
    .bind(&new.actions)
    .bind(new.is_active)
    .bind(new.id)
    .fetch_one(tx.conn())
    .await?;
    Ok(rule)
}

/// Changes a rule, unless the dealership has none such.
pub async fn update(
    tx: &mut TenantTx,
    id: AutomationRuleId,
    patch: &AutomationRulePatch,
) -> Result<Option<AutomationRule>> {
    let Some(now) = lock(tx, lock_statement!("automation_rules"), id).await? else { return Ok(None) };
    let mut update = Update::at("-- automation_rules::update\nUPDATE automation_rules", now);
    update.change("name", patch.name.as_ref());
    update.change("trigger_type", patch.trigger_type.as_ref());
    update.change("trigger_conditions", patch.trigger_conditions.as_ref());
    update.change("actions", patch.actions.as_ref());
    update.change("is_active", patch.is_active);
    let mut query = update.finish();
    query.push(" WHERE id = ").push_bind(id).push(" AND dealership_id = ").push_bind(tx.dealership());
    query.push(concat!(" RETURNING ", columns!()));
    Ok(query.build_query_as().fetch_optional(tx.conn()).await?)
}

/// Removes a rule, and says whether there was one.
pub async fn delete(tx: &mut TenantTx, id: AutomationRuleId) -> Result<bool> {
    tx.delete("-- automation_rules::delete\nDELETE FROM automation_rules WHERE id = $1 AND dealership_id = $2", id)
        .await
}

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{FromRow, types::Json};
use utoipa::ToSchema;

use super::{spending::Usage, template::check_template};
use crate::{
    db::{Result, TenantTx},
    input::{Fields, FromFields, Invalid, JsonText, Patch, integer, json_object, text, web_page},
    language::Language,
    opening::{Opening, OpeningTimes, closed_days},
    text_enum::text_enum,
    update::Update,
};

text_enum!(
    /// Whether new leads are answered automatically.
    AnswerMode {
        /// People answer.
        Off = "off",
        /// A person sends what was written.
        Draft = "draft",
        /// Within 90 seconds, at any hour.
        On = "on",
    }
);

/// How a dealership answers automatically.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
pub struct AnswerSettings {
    /// Whether it does.
    pub mode: AnswerMode,
    /// How it sounds, for the assistant.
    #[schema(example = "vennlig og uformell")]
    pub tone: Option<String>,
    /// What stands below each message.
    #[schema(example = "Hilsen oss på Tesla Oslo")]
    pub signature: Option<String>,
    /// When somebody is there, in your words; told to customers where `opening_times` are not set.
    #[schema(example = "mandag–fredag 9–17, lørdag 10–15")]
    pub opening_hours: Option<String>,
    /// When somebody is there, by weekday and in Norwegian time. Customers are told these hours and no others, and when
    /// somebody is back.
    #[schema(value_type = Option<OpeningTimes>)]
    pub opening_times: Option<Json<OpeningTimes>>,
    /// Days on which nobody is there besides.
    #[schema(example = json!(["2026-12-24"]))]
    pub closed_days: Vec<NaiveDate>,
    /// Shown at the top of mails.
    pub logo_url: Option<String>,
    /// The dealership's own text of the template, by language (`nb`, `nn`, `en`, …). It may hold `{{ customer }}`,
    /// `{{ dealership }}`, `{{ vehicle }}`, `{{ phone }}` and `{{ back }}`: when somebody is there again, empty while somebody is.
    #[schema(value_type = Object)]
    pub templates: JsonText,
    /// How many automatic answers a lead gets, should the customer write again.
    pub turns: i16,
    /// Automatic answers and suggestions to people in 24 hours; after it people answer, by themselves.
    pub daily_cap: i32,
    /// What the assistant may read and write in 24 hours; after it the template answers.
    pub daily_tokens_cap: i64,
    /// When it last changed; null for the defaults.
    pub updated_at: Option<DateTime<Utc>>,
}

impl AnswerSettings {
    /// Whether the assistant may be asked once more.
    pub(super) fn allows(&self, usage: Usage) -> bool {
        self.allows_tokens(usage) && usage.answers < i64::from(self.daily_cap)
    }

    /// Whether the assistant may cost more.
    pub(super) fn allows_tokens(&self, usage: Usage) -> bool {
        usage.tokens < self.daily_tokens_cap
    }

    /// When somebody is there, if that is known by weekday.
    pub(super) fn opening(&self) -> Option<Opening> {
        let Json(times) = self.opening_times.clone()?;
        Some(Opening { times, closed_days: self.closed_days.clone() })
    }

    /// The dealership's own text of the template.
    pub(super) fn template(&self, language: Language) -> Option<String> {
        let templates: BTreeMap<String, String> = serde_json::from_str(self.templates.get()).ok()?;
        templates.into_iter().find(|(tag, _)| Language::of_tag(tag) == Some(language)).map(|(_, text)| text)
    }
}

/// What changes about it; only given fields change.
#[derive(Debug, Clone, Default, ToSchema)]
pub struct AnswerSettingsPatch {
    /// Whether new leads are answered automatically.
    #[schema(value_type = AnswerMode, required = false)]
    pub mode: Option<AnswerMode>,
    /// How it sounds; null clears it.
    #[schema(value_type = Option<String>, max_length = 300)]
    pub tone: Patch<String>,
    /// What stands below each message; null clears it.
    #[schema(value_type = Option<String>, max_length = 500)]
    pub signature: Patch<String>,
    /// When somebody is there, in your words; null clears it.
    #[schema(value_type = Option<String>, max_length = 300)]
    pub opening_hours: Patch<String>,
    /// When somebody is there, by weekday and in Norwegian time; days that are not named are closed; null clears them.
    #[schema(value_type = Option<OpeningTimes>)]
    pub opening_times: Patch<Json<OpeningTimes>>,
    /// Days on which nobody is there besides, all of them.
    #[schema(value_type = Vec<NaiveDate>, required = false, max_items = 100)]
    pub closed_days: Option<Vec<NaiveDate>>,
    /// Shown at the top of mails; null clears it.
    #[schema(value_type = Option<String>, max_length = 2000)]
    pub logo_url: Patch<String>,
    /// The dealership's own text of the template, by language.
    #[schema(value_type = Object, required = false)]
    pub templates: Option<JsonText>,
    /// How many automatic answers a lead gets.
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 5)]
    pub turns: Option<i16>,
    /// Automatic answers and suggestions in 24 hours.
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 100_000)]
    pub daily_cap: Option<i32>,
    /// What the assistant may read and write in 24 hours.
    #[schema(value_type = Option<i64>, minimum = 0)]
    pub daily_tokens_cap: Option<i64>,
}

impl FromFields for AnswerSettingsPatch {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            mode: fields.change("mode", AnswerMode::parse),
            tone: fields.patch("tone", text(300)),
            signature: fields.patch("signature", text(500)),
            opening_hours: fields.patch("opening_hours", text(300)),
            opening_times: fields.patch("opening_times", |value| OpeningTimes::read(value).map(Json)),
            closed_days: fields.change("closed_days", closed_days),
            logo_url: fields.patch("logo_url", web_page),
            templates: fields.change_json("templates", templates),
            turns: fields.change("turns", integer(1..=5)).and_then(|turns| turns.try_into().ok()),
            daily_cap: fields.change("daily_cap", integer(0..=100_000)).and_then(|cap| cap.try_into().ok()),
            daily_tokens_cap: fields.change("daily_tokens_cap", integer(0..=1_000_000_000)),
        })
    }
}

const MAX_TEMPLATES: usize = 20_000;

/// Every template is tried: what is wrong with one is told when it is saved, not when a customer waits.
fn templates(value: &serde_json::value::RawValue) -> std::result::Result<JsonText, Invalid> {
    let templates = json_object(MAX_TEMPLATES)(value)?;
    let read: BTreeMap<String, String> = serde_json::from_str(templates.get()).map_err(|_| {
        Invalid("must be an object of texts by language, such as {\"nb\": \"Hei {{ customer }}! …\"}".to_owned())
    })?;
    for (language, template) in &read {
        Language::of_tag(language)
            .ok_or_else(|| Invalid(format!("has no language {language}: nb, nn, en, sv, da, pl or de")))?;
        check_template(template).map_err(|problem| Invalid(format!("has a wrong text for {language}: {problem}")))?;
    }
    Ok(templates)
}

/// How the dealership answers, by the defaults where it has said nothing.
pub async fn settings(tx: &mut TenantTx) -> Result<AnswerSettings> {
    let settings = sqlx::query_as(
        "-- answers::settings
         SELECT mode, tone, signature, opening_hours, opening_times, closed_days, logo_url, templates, turns, daily_cap,
                daily_tokens_cap, updated_at
         FROM answer_settings WHERE dealership_id = $1",
    );
    let settings = settings.bind(tx.dealership()).fetch_optional(tx.conn()).await?;
    Ok(settings.unwrap_or_else(|| AnswerSettings {
        mode: AnswerMode::On,
        tone: None,
        signature: None,
        opening_hours: None,
        opening_times: None,
        closed_days: Vec::new(),
        logo_url: None,
        templates: json!({}).into(),
        turns: 1,
        daily_cap: 5_000,
        daily_tokens_cap: 2_000_000,
        updated_at: None,
    }))
}

/// Changes how the dealership answers. `None` if it has been destroyed meanwhile.
pub async fn update(tx: &mut TenantTx, patch: &AnswerSettingsPatch) -> Result<AnswerSettings> {
    sqlx::query(
        "-- answers::update_settings
         INSERT INTO answer_settings (dealership_id) VALUES ($1) ON CONFLICT (dealership_id) DO NOTHING",
    )
    .bind(tx.dealership())
    .execute(tx.conn())
    .await?;
    let now: DateTime<Utc> = sqlx::query_scalar(
        "-- answers::update_settings
         SELECT clock_timestamp() FROM answer_settings WHERE dealership_id = $1 FOR NO KEY UPDATE",
    )
    .bind(tx.dealership())
    .fetch_one(tx.conn())
    .await?;
    let mut update = Update::at("-- answers::update_settings\nUPDATE answer_settings", now);
    update.change("mode", patch.mode);
    update.patch("tone", patch.tone.as_ref());
    update.patch("signature", patch.signature.as_ref());
    update.patch("opening_hours", patch.opening_hours.as_ref());
    update.patch("opening_times", patch.opening_times.as_ref());
    update.change("closed_days", patch.closed_days.as_ref());
    update.patch("logo_url", patch.logo_url.as_ref());
    update.change("templates", patch.templates.as_ref());
    update.change("turns", patch.turns);
    update.change("daily_cap", patch.daily_cap);
    update.change("daily_tokens_cap", patch.daily_tokens_cap);
    let mut query = update.finish();
    query.push(" WHERE dealership_id = ").push_bind(tx.dealership());
    query.build().execute(tx.conn()).await?;
    settings(tx).await
}

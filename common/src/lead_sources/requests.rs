use serde_json::json;
use utoipa::ToSchema;

use super::{Language, SourceKind};
use crate::{
    ids::UserId,
    input::{Fields, FromFields, JsonText, Patch, boolean, json_objects, origins, text, uuid, web_page},
    secrets::Secret,
};

/// Origins that a form may have.
const MAX_ORIGINS: usize = 50;
/// Bytes of JSON that the rules for senders may have.
const RULES_LIMIT: usize = 20_000;

/// A source to be made.
#[derive(Debug, Clone, ToSchema)]
pub struct NewSource {
    /// What kind of source it is. Pages of Facebook are connected instead.
    pub kind: SourceKind,
    /// What to call it.
    #[schema(max_length = 100, example = "Kampanjeside")]
    pub name: String,
    /// In which language its customers are addressed; `nb` by default.
    #[schema(value_type = Option<Language>)]
    pub language: Language,
    /// Web sites whose pages may send the form; any, if empty.
    #[schema(value_type = Option<Vec<String>>, max_items = 50, example = json!(["https://www.bilvest.example"]))]
    pub allowed_origins: Vec<String>,
    /// Where the customer is sent after a plain form.
    #[schema(max_length = 2000)]
    pub thank_you_url: Option<String>,
    /// Who gets its leads: the id of a member of the dealership.
    #[schema(value_type = Option<String>)]
    pub assigned_to: Option<UserId>,
}

impl FromFields for NewSource {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let kind = fields.required("kind", SourceKind::parse);
        if kind == Some(SourceKind::Facebook) {
            fields.report(
                "kind",
                "must be another one: pages of Facebook are connected at /lead-sources/facebook/connect",
            );
        }
        let name = fields.required("name", text(100));
        let language = fields.optional("language", Language::parse).unwrap_or(Language::Nb);
        let allowed_origins = fields.optional("allowed_origins", origins(MAX_ORIGINS)).unwrap_or_default();
        let thank_you_url = fields.optional("thank_you_url", web_page);
        let assigned_to = fields.optional("assigned_to", uuid("a user"));
        Some(Self { kind: kind?, name: name?, language, allowed_origins, thank_you_url, assigned_to })
    }
}

/// What a request changes of a source; only given fields change.
#[derive(Debug, Clone, ToSchema)]
pub struct SourcePatch {
    /// What to call it.
    #[schema(value_type = Option<String>, max_length = 100)]
    pub name: Option<String>,
    /// Whether it is switched on.
    pub enabled: Option<bool>,
    /// In which language its customers are addressed.
    #[schema(value_type = Option<Language>)]
    pub language: Option<Language>,
    /// Web sites whose pages may send the form; any, if empty.
    #[schema(value_type = Option<Vec<String>>, max_items = 50)]
    pub allowed_origins: Patch<Vec<String>>,
    /// Where the customer is sent after a plain form.
    #[schema(value_type = Option<String>, max_length = 2000)]
    pub thank_you_url: Patch<String>,
    /// Who gets its leads; null for nobody.
    #[schema(value_type = Option<String>)]
    pub assigned_to: Patch<UserId>,
    /// Whether its leads are answered automatically.
    pub automatic_answer: Option<bool>,
    /// What labels in the mails of which senders mean.
    #[schema(value_type = Option<Vec<Object>>)]
    pub sender_rules: Option<JsonText>,
    /// Cloudflare's key of the form's check for bots; null for no check.
    #[schema(value_type = Option<String>, max_length = 200)]
    pub turnstile_site_key: Patch<String>,
    /// The secret for that check. It is stored sealed and never shown.
    #[schema(value_type = Option<String>, max_length = 200, write_only)]
    pub turnstile_secret: Patch<Secret>,
}

impl FromFields for SourcePatch {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            name: fields.change("name", text(100)),
            enabled: fields.change("enabled", boolean),
            language: fields.change("language", Language::parse),
            allowed_origins: fields.patch("allowed_origins", origins(MAX_ORIGINS)),
            thank_you_url: fields.patch("thank_you_url", web_page),
            assigned_to: fields.patch("assigned_to", uuid("a user")),
            automatic_answer: fields.change("automatic_answer", boolean),
            sender_rules: fields.change_json("sender_rules", json_objects(RULES_LIMIT)),
            turnstile_site_key: fields.patch("turnstile_site_key", text(200)),
            turnstile_secret: fields.patch("turnstile_secret", text(200)).map(Secret::from),
        })
    }
}

pub(super) fn no_rules() -> JsonText {
    json!([]).into()
}

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{Unreadable, id, maybe_id, maybe_time};

/// What Meta's dashboard sends as the id of everything, to try a webhook.
const TEST_ID: &str = "444444444444";

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    /// A webhook with this change and no other, which [`read_webhook`] reads as this change.
    pub raw: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// Somebody filled in a form.
    Leadgen(Leadgen),
    /// Of no use by design: another field, or of another object than a page.
    Ignored,
    /// Meant to be a lead, without the ids that one needs.
    Unreadable,
}

/// Which lead there is to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadgen {
    pub leadgen_id: String,
    pub page_id: String,
    pub form_id: Option<String>,
    pub created_time: Option<DateTime<Utc>>,
    /// Whose entry it was: the page, or `0` in a test.
    entry_id: Option<String>,
}

#[derive(Deserialize)]
struct Webhook {
    object: Value,
    #[serde(default)]
    entry: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default, deserialize_with = "maybe_id")]
    id: Option<String>,
    /// As it was written.
    #[serde(default)]
    time: Option<Box<RawValue>>,
    #[serde(default)]
    changes: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct RawChange {
    field: String,
    value: Box<RawValue>,
}

#[derive(Deserialize)]
struct LeadgenValue {
    #[serde(deserialize_with = "id")]
    leadgen_id: String,
    #[serde(default, deserialize_with = "maybe_id")]
    page_id: Option<String>,
    #[serde(default, deserialize_with = "maybe_id")]
    form_id: Option<String>,
    #[serde(default, deserialize_with = "maybe_time")]
    created_time: Option<DateTime<Utc>>,
}

/// Reads the body of a webhook, which may hold a thousand changes of many pages. One that cannot be read hides no other.
pub fn read_webhook(body: &[u8]) -> Result<Vec<Change>, Unreadable> {
    let webhook: Webhook = serde_json::from_slice(body).map_err(|_| Unreadable("the webhook"))?;
    let is_page = webhook.object == "page";
    let mut changes = Vec::new();
    for raw in webhook.entry {
        let Ok(entry) = serde_json::from_str::<Entry>(raw.get()) else {
            let kind = if is_page { ChangeKind::Unreadable } else { ChangeKind::Ignored };
            changes.push(Change { kind, raw: alone(&webhook.object, raw.get()) });
            continue;
        };
        changes.extend(entry.changes.iter().map(|change| Change {
            kind: if is_page { kind(&entry, change.get()) } else { ChangeKind::Ignored },
            raw: alone(&webhook.object, &entry.with(change.get())),
        }));
    }
    Ok(changes)
}

/// Whether Meta's dashboard made it up.
pub fn is_test(change: &Change) -> bool {
    let ChangeKind::Leadgen(lead) = &change.kind else { return false };
    let ids = [Some(&lead.leadgen_id), Some(&lead.page_id), lead.form_id.as_ref()];
    lead.entry_id.as_deref() == Some("0") || ids.into_iter().flatten().any(|id| id == TEST_ID)
}

fn kind(entry: &Entry, change: &str) -> ChangeKind {
    let Ok(change) = serde_json::from_str::<RawChange>(change) else { return ChangeKind::Unreadable };
    if change.field != "leadgen" {
        return ChangeKind::Ignored;
    }
    let Ok(value) = serde_json::from_str::<LeadgenValue>(change.value.get()) else { return ChangeKind::Unreadable };
    let Some(page_id) = value.page_id.or_else(|| entry.id.clone()) else { return ChangeKind::Unreadable };
    ChangeKind::Leadgen(Leadgen {
        leadgen_id: value.leadgen_id,
        page_id,
        form_id: value.form_id,
        created_time: value.created_time,
        entry_id: entry.id.clone(),
    })
}

impl Entry {
    fn with(&self, change: &str) -> String {
        let time = self.time.as_ref().map_or("null", |time| time.get());
        format!(r#"{{"id":{},"time":{time},"changes":[{change}]}}"#, json!(self.id))
    }
}

fn alone(object: &Value, entry: &str) -> String {
    format!(r#"{{"object":{object},"entry":[{entry}]}}"#)
}

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::random;

#[derive(Debug, Clone, Default)]
pub struct State {
    pub pages: Vec<Page>,
    pub forms: Vec<Form>,
    leads: Vec<Lead>,
    /// Tokens that were valid once.
    retired: BTreeSet<String>,
    /// Of users who logged in, each with what they have not allowed.
    pub(super) user_tokens: BTreeMap<String, Vec<String>>,
    /// What logins ended with.
    pub(super) codes: BTreeMap<String, Login>,
    /// Of the last thing that was made.
    last_id: u64,
}

/// A user who has agreed.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) redirect_uri: String,
    pub(super) refused: Vec<String>,
    /// A code is good once.
    pub(super) is_used: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub id: String,
    pub name: String,
    pub token: String,
    /// Whether webhooks tell of its leads.
    pub subscribed: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    pub id: String,
    pub page_id: String,
    pub name: String,
    /// As Graph lists them.
    pub questions: Value,
}

#[derive(Debug, Clone)]
struct Lead {
    id: String,
    form_id: String,
    created_time: DateTime<Utc>,
    field_data: Value,
}

/// What somebody filled in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewLead {
    /// The first form by default.
    pub form: Option<String>,
    /// One text or a list of texts by the key of each question; somebody made up by default.
    #[serde(default)]
    pub fields: BTreeMap<String, Value>,
}

/// There is no such thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {0} with that id")]
pub struct Unknown(pub &'static str);

impl State {
    /// A page with one form.
    pub fn demo() -> Self {
        // Longer than what a floating-point number keeps.
        let mut state = Self { last_id: 9_100_200_300_400_500, ..Self::default() };
        let page = state.add_page("Tesla Oslo");
        let questions = json!([
            { "key": "full_name", "label": "Fullt navn", "type": "FULL_NAME", "id": "1" },
            { "key": "email", "label": "E-postadresse", "type": "EMAIL", "id": "2" },
            { "key": "phone_number", "label": "Telefonnummer", "type": "PHONE", "id": "3" },
            { "key": "hvilken_modell_er_du_interessert_i?", "label": "Hvilken modell er du interessert i?", "type": "CUSTOM", "id": "4",
              "options": [{ "key": "model_y", "value": "Model Y" }, { "key": "model_3", "value": "Model 3" }] },
            { "key": "når_kan_vi_ringe_deg?", "label": "Når kan vi ringe deg?", "type": "CUSTOM", "id": "5" },
        ]);
        state.add_form(&page.id, "Prøvekjøring", questions).expect("the page was just made");
        state
    }

    /// Leaves out so many ids for what is made from now on: what an earlier run made is known by its ids.
    #[must_use]
    pub fn skipping(self, ids: u64) -> Self {
        Self { last_id: self.last_id + ids, ..self }
    }

    /// Gives its pages this token, which an earlier run gave to those who keep it.
    #[must_use]
    pub fn with_page_token(mut self, token: &str) -> Self {
        for page in &mut self.pages {
            token.clone_into(&mut page.token);
        }
        self
    }

    pub fn add_page(&mut self, name: &str) -> Page {
        self.put_page(name, None, None)
    }

    /// Adds a page, or replaces the one with this id. Without an id or a token it gets one.
    pub fn put_page(&mut self, name: &str, id: Option<String>, token: Option<String>) -> Page {
        let id = id.unwrap_or_else(|| self.next_id());
        let token = token.unwrap_or_else(page_token);
        let page = Page { id, name: name.to_owned(), token, subscribed: false };
        self.pages.retain(|other| other.id != page.id);
        self.pages.push(page.clone());
        page
    }

    pub fn add_form(&mut self, page_id: &str, name: &str, questions: Value) -> Result<Form, Unknown> {
        let page_id = self.page(page_id)?.id.clone();
        let form = Form { id: self.next_id(), page_id, name: name.to_owned(), questions };
        self.forms.push(form.clone());
        Ok(form)
    }

    /// Returns the lead's id.
    pub fn add_lead(&mut self, new: &NewLead, now: DateTime<Utc>) -> Result<String, Unknown> {
        let form = match &new.form {
            Some(id) => self.form(id)?,
            None => self.forms.first().ok_or(Unknown("form"))?,
        };
        let form_id = form.id.clone();
        let id = self.next_id();
        let fields = if new.fields.is_empty() { somebody() } else { new.fields.clone() };
        let answer = |(name, value): (&String, &Value)| {
            let values = if value.is_array() { value.clone() } else { json!([value]) };
            json!({ "name": name, "values": values })
        };
        let field_data = fields.iter().map(answer).collect();
        self.leads.push(Lead { id: id.clone(), form_id, created_time: now, field_data });
        Ok(id)
    }

    /// Gives the page another token; the one before has expired.
    pub fn renew_token(&mut self, page_id: &str) -> Result<Page, Unknown> {
        let page = self.pages.iter_mut().find(|page| page.id == page_id).ok_or(Unknown("page"))?;
        self.retired.insert(std::mem::replace(&mut page.token, page_token()));
        Ok(page.clone())
    }

    pub fn page(&self, id: &str) -> Result<&Page, Unknown> {
        self.pages.iter().find(|page| page.id == id).ok_or(Unknown("page"))
    }

    pub fn form(&self, id: &str) -> Result<&Form, Unknown> {
        self.forms.iter().find(|form| form.id == id).ok_or(Unknown("form"))
    }

    pub(super) fn page_by_token(&self, token: &str) -> Option<&Page> {
        self.pages.iter().find(|page| page.token == token)
    }

    pub(super) fn has_expired(&self, token: &str) -> bool {
        self.retired.contains(token)
    }

    pub(super) fn subscribe(&mut self, page_id: &str) {
        self.pages.iter_mut().filter(|page| page.id == page_id).for_each(|page| page.subscribed = true);
    }

    /// The page and the form that a lead is of, and when it came.
    pub(super) fn origin(&self, lead_id: &str) -> Option<(&Page, &Form, DateTime<Utc>)> {
        let lead = self.leads.iter().find(|lead| lead.id == lead_id)?;
        let form = self.form(&lead.form_id).ok()?;
        Some((self.page(&form.page_id).ok()?, form, lead.created_time))
    }

    /// A lead, form or page, as Graph shows it to the page's own token.
    pub(super) fn object(&self, id: &str, page_id: &str) -> Option<Value> {
        if let Some((page, ..)) = self.origin(id) {
            let lead = self.leads.iter().find(|lead| lead.id == id)?;
            return Some(lead.to_json()).filter(|_| page.id == page_id);
        }
        if let Ok(form) = self.form(id) {
            return Some(self.form_json(form)).filter(|_| form.page_id == page_id);
        }
        self.page(id).ok().filter(|page| page.id == page_id).map(|page| json!({ "id": page.id, "name": page.name }))
    }

    pub(super) fn forms_of(&self, page_id: &str) -> Vec<Value> {
        self.forms.iter().filter(|form| form.page_id == page_id).map(|form| self.form_json(form)).collect()
    }

    /// The newest first.
    pub(super) fn leads_of(&self, form_id: &str, after: i64) -> Vec<Value> {
        let leads = self.leads.iter().rev().filter(|lead| lead.form_id == form_id);
        leads.filter(|lead| lead.created_time.timestamp() > after).map(Lead::to_json).collect()
    }

    fn form_json(&self, form: &Form) -> Value {
        let count = self.leads.iter().filter(|lead| lead.form_id == form.id).count();
        json!({ "id": form.id, "name": form.name, "status": "ACTIVE", "leads_count": count, "questions": form.questions })
    }

    fn next_id(&mut self) -> String {
        self.last_id += 1;
        self.last_id.to_string()
    }
}

impl Lead {
    fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "created_time": self.created_time.format("%Y-%m-%dT%H:%M:%S+0000").to_string(),
            "form_id": self.form_id,
            "ad_id": "120210000000000001",
            "ad_name": "Høstkampanje",
            "campaign_name": "Elbil 2026",
            "platform": "fb",
            "is_organic": false,
            "field_data": self.field_data,
        })
    }
}

/// A new one, of the shape that Meta's have.
pub fn page_token() -> String {
    format!("EAAG{}", random::password())
}

fn somebody() -> BTreeMap<String, Value> {
    let fields = [
        ("full_name", json!("Torill Vik")),
        ("email", json!("torill.vik@example.no")),
        ("phone_number", json!("+4792233445")),
        ("hvilken_modell_er_du_interessert_i?", json!("model_y")),
        ("når_kan_vi_ringe_deg?", json!("Etter kl. 16")),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into()
}

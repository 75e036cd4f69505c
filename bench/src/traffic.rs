//! What is asked of the API, and how a right answer looks.

use std::{collections::HashMap, fmt::Write, sync::Arc};

use chrono::TimeDelta;
use common::clock::Clock;
use dev::stand_ins::clerk::{SessionToken, SigningKey, signed_headers};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Outcome,
    data::{Sample, Samples},
    load::Requests,
    processes::WEBHOOK_SECRET,
    random::Random,
};

/// What the requests of one connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// The first page of leads, with the exact total.
    Page,
    Lead,
    Create,
    /// A person answers a customer by mail.
    Reply,
    /// An event of Clerk's about somebody who is known.
    Webhook,
    /// Pages and single leads in turn.
    Mixed,
}

/// Valid tokens for everybody, valid for as long as one measurement may take.
#[derive(Clone)]
pub(crate) struct Tokens(Arc<HashMap<String, String>>);

impl Tokens {
    pub(crate) fn mint(samples: &Samples, key: &SigningKey) -> Self {
        let mut tokens = HashMap::new();
        for Sample { user_id, org_id, .. } in samples.readers.iter().chain(&samples.writers) {
            tokens.entry(user_id.clone()).or_insert_with(|| {
                let token = SessionToken::for_user(user_id).organization(org_id, "slug", "org:admin");
                token.ttl(TimeDelta::minutes(10)).mint(key)
            });
        }
        Self(Arc::new(tokens))
    }
}

/// The requests of one connection.
pub(crate) struct Traffic {
    path: Path,
    samples: Arc<Samples>,
    tokens: Tokens,
    clock: Clock,
    random: Random,
    /// What the last request was about.
    pub(crate) subject: Option<Sample>,
    /// What its answer must show.
    expected: Expected,
    text: String,
}

enum Expected {
    Nothing,
    Page { total: i64 },
    Lead(Uuid),
    Created { name: String },
    Written,
    Accepted,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<IgnoredAny>,
    total: i64,
}

#[derive(Deserialize)]
struct Lead {
    id: Uuid,
}

#[derive(Deserialize)]
struct Created<'a> {
    #[serde(rename = "id")]
    _id: Uuid,
    customer_name: &'a str,
}

impl Requests for Traffic {
    fn next(&mut self) -> Outcome<&[u8]> {
        let path = match self.path {
            Path::Mixed if self.random.next().is_multiple_of(2) => Path::Page,
            Path::Mixed => Path::Lead,
            path => path,
        };
        let samples =
            if matches!(path, Path::Create | Path::Reply) { &self.samples.writers } else { &self.samples.readers };
        let sample = self.random.pick(samples).clone();
        self.text.clear();
        match path {
            Path::Page | Path::Mixed => {
                self.expected = Expected::Page { total: sample.total };
                self.get("/api/v1/leads", &sample)?;
            }
            Path::Lead => {
                self.expected = Expected::Lead(sample.lead);
                self.get(&format!("/api/v1/leads/{}", sample.lead), &sample)?;
            }
            Path::Create => self.create(&sample)?,
            Path::Reply => self.reply(&sample)?,
            Path::Webhook => self.webhook(&sample)?,
        }
        self.subject = Some(sample);
        Ok(self.text.as_bytes())
    }

    fn check(&self, status: u16, body: &[u8]) -> Result<(), String> {
        let right = match &self.expected {
            Expected::Nothing => false,
            Expected::Page { total } => {
                let page = |page: Page| page.total == *total && page.items.len() == 25;
                status == 200 && serde_json::from_slice(body).is_ok_and(page)
            }
            Expected::Lead(id) => status == 200 && serde_json::from_slice(body).is_ok_and(|lead: Lead| lead.id == *id),
            Expected::Created { name } => {
                let created = |lead: Created<'_>| lead.customer_name == name;
                status == 201 && serde_json::from_slice(body).is_ok_and(created)
            }
            Expected::Written => status == 201,
            Expected::Accepted => status == 202 && body == br#"{"status":"accepted"}"#,
        };
        if right { Ok(()) } else { Err(format!("{status} {}", String::from_utf8_lossy(&body[..body.len().min(300)]))) }
    }
}

impl Traffic {
    pub(crate) fn new(path: Path, samples: Arc<Samples>, tokens: Tokens, seed: usize) -> Self {
        let (clock, random) = (Clock::system(), Random::new(seed));
        Self { path, samples, tokens, clock, random, subject: None, expected: Expected::Nothing, text: String::new() }
    }

    fn get(&mut self, target: &str, sample: &Sample) -> Outcome<()> {
        let token = &self.tokens.0[&sample.user_id];
        write!(self.text, "GET {target} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n")?;
        Ok(())
    }

    fn create(&mut self, sample: &Sample) -> Outcome<()> {
        let name = format!("Bjørn Håkonsen {:016x}", self.random.next());
        self.post("/api/v1/leads", &new_lead(&name), sample)?;
        self.expected = Expected::Created { name };
        Ok(())
    }

    fn reply(&mut self, sample: &Sample) -> Outcome<()> {
        let body = json!({
            "lead_id": sample.lead, "channel": "email",
            "message_content": "Hei! Bilen står her, og du er velkommen innom i morgen.",
        });
        self.expected = Expected::Written;
        self.post("/api/v1/conversations", &body.to_string(), sample)
    }

    fn post(&mut self, target: &str, body: &str, sample: &Sample) -> Outcome<()> {
        let token = &self.tokens.0[&sample.user_id];
        write!(
            self.text,
            "POST {target} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        Ok(())
    }

    fn webhook(&mut self, sample: &Sample) -> Outcome<()> {
        let body = user_updated(&sample.user_id, "Kari", self.clock.now().timestamp_millis());
        let id = format!("msg_{:016x}{:08x}", self.random.next(), self.random.next() >> 32);
        self.text = signed(&id, &body, &self.clock)?;
        self.expected = Expected::Accepted;
        Ok(())
    }
}

/// A lead to be created, as the dashboard sends it.
pub(crate) fn new_lead(name: &str) -> String {
    json!({
        "customer_name": name, "customer_email": "bjorn.hakonsen@example.no", "customer_phone": "+47 912 34 567",
        "source": "website", "vehicle_interest": "Tesla Model Y Long Range",
        "initial_message": "Hei! Jeg lurer på om dere har denne på lager, og om jeg kan prøvekjøre den i morgen. Mvh",
    })
    .to_string()
}

/// The event `user.updated` about somebody who is known by now as `name`, as much of it as Clerk sends.
pub(crate) fn user_updated(user: &str, name: &str, at: i64) -> String {
    json!({
        "object": "event", "type": "user.updated", "instance_id": "ins_bench", "timestamp": at,
        "event_attributes": { "http_request": { "client_ip": "127.0.0.1", "user_agent": "bench" } },
        "data": {
            "object": "user", "id": user, "first_name": name, "last_name": "Nordmann", "username": null, "banned": false,
            "primary_email_address_id": "idn_1", "created_at": 1_735_689_600_000_i64, "updated_at": at,
            "email_addresses": [{ "id": "idn_1", "object": "email_address", "email_address": format!("{user}@example.no"),
                                  "verification": { "status": "verified", "strategy": "email_code" } }],
            "image_url": "https://img.clerk.com/xxxxxx", "last_sign_in_at": at, "locked": false, "password_enabled": true,
            "external_accounts": [], "phone_numbers": [], "public_metadata": {}, "two_factor_enabled": false,
        },
    })
    .to_string()
}

/// The event `organizationMembership.created`: somebody joins an organization.
pub(crate) fn joined(user: &str, organization: &str, at: i64) -> String {
    json!({
        "object": "event", "type": "organizationMembership.created", "instance_id": "ins_bench", "timestamp": at,
        "data": {
            "object": "organization_membership", "id": format!("orgmem_{user}"), "role": "org:member",
            "created_at": at, "updated_at": at,
            "organization": { "object": "organization", "id": organization, "name": "Bilhuset AS", "slug": "bilhuset",
                              "created_at": 1_735_689_600_000_i64, "updated_at": 1_735_689_600_000_i64 },
            "public_user_data": { "user_id": user, "first_name": "Kari", "last_name": "Nordmann",
                                  "identifier": format!("{user}@example.no") },
        },
    })
    .to_string()
}

/// The request that delivers an event, signed.
pub(crate) fn signed(id: &str, body: &str, clock: &Clock) -> Outcome<String> {
    let headers = signed_headers(WEBHOOK_SECRET, id, clock.now(), body.as_bytes())?;
    let headers = headers.map(|(name, value)| format!("{name}: {value}\r\n")).concat();
    let length = body.len();
    Ok(format!(
        "POST /webhooks/clerk HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    ))
}

//! A stand-in for a resolver that is asked over HTTPS, in the shape of Cloudflare's and Google's, with zones of its own.
//! <https://developers.cloudflare.com/1.1.1.1/encryption/dns-over-https/make-api-requests/dns-json/>

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::{self, Query},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::serving::Serving;

/// Characters that one string of a TXT record has.
const STRING: usize = 255;

/// A running stand-in. It ends when it is dropped.
pub struct StandIn {
    zones: Zones,
    serving: Serving,
}

#[derive(Clone, Default)]
struct Zones(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By name and type.
    records: BTreeMap<(String, String), Vec<String>>,
    is_failing: bool,
}

#[derive(Deserialize)]
struct Question {
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Put {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    data: Vec<String>,
}

impl StandIn {
    /// Serves on `listener` until [`StandIn::stop`].
    pub async fn start(listener: TcpListener) -> Self {
        let zones = Zones::default();
        let router = Router::new()
            .route("/", get(index))
            .route("/dns-query", get(query))
            .route("/records", get(list).put(put))
            .with_state(zones.clone());
        Self { zones, serving: Serving::start(listener, router).await }
    }

    /// Where it is asked.
    pub fn query_url(&self) -> String {
        format!("{}/dns-query", self.serving.url())
    }

    /// Puts records there, in place of those that were.
    pub fn put(&self, name: &str, kind: &str, data: &[&str]) {
        self.zones.put(name, kind, data.iter().map(|&text| text.to_owned()).collect());
    }

    /// All that a domain needs whose mails go out through Resend or `SendGrid`.
    pub fn put_domain(&self, domain: &str) {
        self.put(domain, "TXT", &["v=spf1 include:sendgrid.net include:amazonses.com ~all"]);
        let key = format!("v=DKIM1; k=rsa; p={}", "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A".repeat(10));
        for selector in ["resend", "s1"] {
            self.put(&format!("{selector}._domainkey.{domain}"), "TXT", &[&key]);
        }
        self.put(&format!("_dmarc.{domain}"), "TXT", &["v=DMARC1; p=none"]);
        self.put(domain, "MX", &[&format!("10 mx.{domain}.")]);
    }

    /// Finds out nothing, until told otherwise.
    pub fn set_failing(&self, is_failing: bool) {
        self.zones.with(|state| state.is_failing = is_failing);
    }

    /// Finishes the requests under way and ends.
    pub async fn stop(self) {
        self.serving.stop().await;
    }
}

impl Zones {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, name: &str, kind: &str, data: Vec<String>) {
        let key = (canonical(name), kind.to_uppercase());
        self.with(|state| {
            if data.is_empty() {
                state.records.remove(&key)
            } else {
                state.records.insert(key, data)
            };
        });
    }
}

fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase()
}

async fn index() -> &'static str {
    "A stand-in for DNS over HTTPS, for development.\n\n\
     GET /dns-query?name=bilvest.example&type=TXT   as a resolver answers\n\
     GET /records                                   all that it knows\n\
     PUT /records   {\"name\": \"bilvest.example\", \"type\": \"TXT\", \"data\": [\"v=spf1 ~all\"]}   puts records there\n"
}

async fn query(zones: extract::State<Zones>, Query(question): Query<Question>) -> Response {
    let extract::State(zones) = zones;
    let kind = if question.kind.is_empty() { "A".to_owned() } else { question.kind.to_uppercase() };
    let Some(number) =
        [("A", 1), ("MX", 15), ("TXT", 16)].iter().find(|(name, _)| *name == kind).map(|(_, number)| *number)
    else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "Invalid query type" }))).into_response();
    };
    let name = canonical(&question.name);
    let (is_failing, data, is_known) = zones.with(|state| {
        let data = state.records.get(&(name.clone(), kind.clone())).cloned().unwrap_or_default();
        (state.is_failing, data, state.records.keys().any(|(known, _)| *known == name))
    });
    let status = match (is_failing, is_known) {
        (true, _) => 2,
        (false, true) => 0,
        (false, false) => 3,
    };
    let mut answer = json!({
        "Status": status, "TC": false, "RD": true, "RA": true, "AD": false, "CD": false,
        "Question": [{ "name": name, "type": number }],
    });
    if status == 0 && !data.is_empty() {
        let record = |text: &String| {
            let data = if kind == "TXT" { quoted(text) } else { text.clone() };
            json!({ "name": name, "type": number, "TTL": 300, "data": data })
        };
        answer["Answer"] = data.iter().map(record).collect::<Vec<Value>>().into();
    }
    ([(CONTENT_TYPE, "application/dns-json")], answer.to_string()).into_response()
}

/// A text as strings of at most [`STRING`] bytes, each in quotes.
fn quoted(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let strings = characters.chunks(STRING).map(|part| {
        let part: String = part.iter().collect();
        format!("\"{}\"", part.replace('\\', "\\\\").replace('"', "\\\""))
    });
    strings.collect::<Vec<_>>().join(" ")
}

async fn list(zones: extract::State<Zones>) -> Json<Value> {
    let record =
        |((name, kind), data): (&(String, String), &Vec<String>)| json!({ "name": name, "type": kind, "data": data });
    Json(zones.0.with(|state| state.records.iter().map(record).collect()))
}

async fn put(zones: extract::State<Zones>, body: String) -> Response {
    match serde_json::from_str::<Put>(&body) {
        Ok(Put { name, kind, data }) => {
            zones.0.put(&name, &kind, data);
            Json(json!({})).into_response()
        }
        Err(error) => {
            (StatusCode::UNPROCESSABLE_ENTITY, format!("the body is not as expected: {error}\n")).into_response()
        }
    }
}

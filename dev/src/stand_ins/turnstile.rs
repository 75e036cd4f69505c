//! A stand-in for Cloudflare's Turnstile, with its documented test secrets and tokens of its own that can be used once.
//! <https://developers.cloudflare.com/turnstile/troubleshooting/testing/>

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Form, Json, RequestExt, Router,
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use common::clock::Clock;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{random, serving::Serving};

/// Takes every token.
pub const ALWAYS_PASSES: &str = "1x0000000000000000000000000000000AA";
/// Takes none.
pub const ALWAYS_FAILS: &str = "2x0000000000000000000000000000000AA";
/// Takes every token for one that was used before.
pub const ALREADY_SPENT: &str = "3x0000000000000000000000000000000AA";

/// How long a token can be used.
const LIFETIME: TimeDelta = TimeDelta::seconds(300);

/// A running stand-in. It ends when it is dropped.
pub struct StandIn {
    turnstile: Turnstile,
    serving: Serving,
}

#[derive(Clone)]
struct Turnstile(Arc<Shared>);

struct Shared {
    /// Of the tokens that it gives out.
    secret: String,
    tokens: Mutex<HashMap<String, Token>>,
    outage: AtomicBool,
    clock: Clock,
}

/// A token that a page got for a visitor.
struct Token {
    hostname: String,
    action: String,
    given_at: DateTime<Utc>,
    spent: Option<Spent>,
}

/// That a token was verified, with which idempotency key.
#[derive(PartialEq)]
struct Spent(Option<String>);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    secret: String,
    response: String,
    idempotency_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    hostname: String,
    #[serde(default)]
    action: String,
}

impl StandIn {
    /// Serves on `listener` until [`StandIn::stop`]; `secret` is that of the tokens that it gives out.
    pub async fn start(listener: TcpListener, secret: &str, clock: Clock) -> Self {
        let turnstile = Turnstile(Arc::new(Shared {
            secret: secret.to_owned(),
            tokens: Mutex::default(),
            outage: AtomicBool::new(false),
            clock,
        }));
        let router = Router::new()
            .route("/", get(index))
            .route("/turnstile/v0/siteverify", post(verify))
            .route("/tokens", post(token))
            .route("/outage/{outage}", post(outage))
            .with_state(turnstile.clone());
        Self { turnstile, serving: Serving::start(listener, router).await }
    }

    pub fn url(&self) -> String {
        self.serving.url()
    }

    /// A token as a page of this host gets it for somebody who passed.
    pub fn token(&self, hostname: &str, action: &str) -> String {
        self.turnstile.give(hostname, action)
    }

    /// Answers with 503, until told otherwise.
    pub fn set_outage(&self, outage: bool) {
        self.turnstile.0.outage.store(outage, Ordering::Relaxed);
    }

    /// Finishes the requests under way and ends.
    pub async fn stop(self) {
        self.serving.stop().await;
    }
}

impl Turnstile {
    fn give(&self, hostname: &str, action: &str) -> String {
        let token = format!("0.{}", random::password());
        let (hostname, action) = (hostname.to_owned(), action.to_owned());
        let given = Token { hostname, action, given_at: self.0.clock.now(), spent: None };
        self.with_tokens(|tokens| tokens.insert(token.clone(), given));
        token
    }

    fn answer(&self, question: &Question) -> Value {
        let now = self.0.clock.now();
        match (question.secret.as_str(), question.response.as_str()) {
            ("", _) => refused("missing-input-secret"),
            (_, "") => refused("missing-input-response"),
            (ALWAYS_PASSES, _) => passed("example.com", "", now),
            (ALWAYS_FAILS, _) => refused("invalid-input-response"),
            (ALREADY_SPENT, _) => refused("timeout-or-duplicate"),
            (secret, token) if secret == self.0.secret => self.with_tokens(|tokens| match tokens.get_mut(token) {
                Some(token) => token.verify(question.idempotency_key.clone(), now),
                None => refused("invalid-input-response"),
            }),
            _ => refused("invalid-input-secret"),
        }
    }

    fn with_tokens<T>(&self, work: impl FnOnce(&mut HashMap<String, Token>) -> T) -> T {
        work(&mut self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Token {
    /// Once, or again with the key of that time.
    fn verify(&mut self, key: Option<String>, now: DateTime<Utc>) -> Value {
        let spent = Spent(key);
        let is_repeated = spent.0.is_some() && self.spent.as_ref() == Some(&spent);
        if !is_repeated && (self.spent.is_some() || now - self.given_at > LIFETIME) {
            return refused("timeout-or-duplicate");
        }
        self.spent = Some(spent);
        passed(&self.hostname, &self.action, self.given_at)
    }
}

fn passed(hostname: &str, action: &str, at: DateTime<Utc>) -> Value {
    let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    json!({ "success": true, "error-codes": [], "challenge_ts": at, "hostname": hostname, "action": action, "cdata": "" })
}

fn refused(code: &str) -> Value {
    json!({ "success": false, "error-codes": [code], "messages": [] })
}

/// Takes a form or JSON, by its content type.
async fn verify(State(turnstile): State<Turnstile>, request: Request) -> Response {
    if turnstile.0.outage.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "<h1>503 Service Unavailable</h1>").into_response();
    }
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let question = if content_type.starts_with("application/json") {
        request.extract::<Json<Question>, _>().await.ok().map(|Json(question)| question)
    } else {
        request.extract::<Form<Question>, _>().await.ok().map(|Form(question)| question)
    };
    match question {
        Some(question) => Json(turnstile.answer(&question)).into_response(),
        None => (StatusCode::BAD_REQUEST, Json(refused("bad-request"))).into_response(),
    }
}

async fn token(State(turnstile): State<Turnstile>, body: String) -> Result<String, (StatusCode, String)> {
    let NewToken { hostname, action } = serde_json::from_str(&body)
        .map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, format!("the body is not as expected: {error}\n")))?;
    Ok(turnstile.give(&hostname, &action))
}

async fn outage(State(turnstile): State<Turnstile>, axum::extract::Path(outage): axum::extract::Path<bool>) {
    turnstile.0.outage.store(outage, Ordering::Relaxed);
}

async fn index() -> &'static str {
    "A stand-in for Cloudflare's Turnstile, for development.\n\n\
     POST /tokens                        {\"hostname\": \"…\", \"action\": \"…\"}: a token that can be used once, within 300 s\n\
     POST /outage/true, /outage/false    answers with 503, or no longer\n\n\
     As with Cloudflare\n\
     POST /turnstile/v0/siteverify\n"
}

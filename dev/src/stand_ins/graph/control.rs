//! The routes for people: what others would do on Facebook.

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Fault, NewLead, Page, Unknown, server::Graph};

/// How often one lead may be told of.
const MAX_TIMES: usize = 100;

pub(super) fn router() -> Router<Graph> {
    Router::new()
        .route("/", get(index))
        .route("/pages", post(add_page))
        .route("/pages/{id}/token", post(renew_token))
        .route("/leads", post(add_lead))
        .route("/test", post(test))
        .route("/faults", post(add_fault))
}

async fn index(State(graph): State<Graph>) -> String {
    let pages = graph.with(|state| {
        let form = |page: &Page| state.forms.iter().find(|form| form.page_id == page.id).map(|form| form.id.clone());
        let line = |page: &Page| {
            let form = form(page).unwrap_or_default();
            format!("  {} {}\n    form {form}, token {}\n", page.id, page.name, page.token)
        };
        state.pages.iter().map(line).collect::<String>()
    });
    include_str!("index.txt").replace("{url}", graph.url()).replace("{pages}", pages.trim_end())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPage {
    name: String,
    id: Option<String>,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Delivery {
    #[serde(default = "yes")]
    webhook: bool,
    #[serde(default = "one")]
    times: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFault {
    fault: Fault,
    #[serde(default = "one")]
    count: usize,
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

/// With a form, so that a lead can come of it.
async fn add_page(State(graph): State<Graph>, body: String) -> Result<Response, Refusal> {
    let NewPage { name, id, token } = read(&body)?;
    let (page, form) = graph.with(|state| {
        let page = state.put_page(&name, id, token);
        state.add_form(&page.id, "Kontakt oss", json!([])).map(|form| (page, form))
    })?;
    Ok(reply(StatusCode::CREATED, &json!({ "page": page.id, "token": page.token, "form": form.id })))
}

async fn renew_token(State(graph): State<Graph>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let page = graph.with(|state| state.renew_token(&id))?;
    Ok(reply(StatusCode::OK, &json!({ "page": page.id, "token": page.token })))
}

async fn add_lead(State(graph): State<Graph>, body: String) -> Result<Response, Refusal> {
    let body = if body.trim().is_empty() { "{}" } else { &body };
    let mut members: Value = read(body)?;
    let Delivery { webhook, times } = serde_json::from_value(members.clone())?;
    if let Some(members) = members.as_object_mut() {
        members.retain(|name, _| name != "webhook" && name != "times");
    }
    let new: NewLead = serde_json::from_value(members)?;
    let lead = graph.add_lead(&new)?;
    let mut outcomes = Vec::new();
    let times = if webhook { times.min(MAX_TIMES) } else { 0 };
    for _ in 0..times {
        outcomes.push(graph.deliver(std::slice::from_ref(&lead)).await);
    }
    Ok(reply(StatusCode::CREATED, &json!({ "lead": lead, "webhooks": outcomes })))
}

async fn test(State(graph): State<Graph>) -> Response {
    reply(StatusCode::OK, &json!({ "webhooks": [graph.deliver_test().await] }))
}

async fn add_fault(State(graph): State<Graph>, body: String) -> Result<Response, Refusal> {
    let NewFault { fault, count } = read(&body)?;
    graph.faults().add(fault, count);
    Ok(reply(StatusCode::OK, &json!({})))
}

/// JSON, whatever the content type says: `curl -d` calls it a form.
fn read<T: DeserializeOwned>(body: &str) -> Result<T, Refusal> {
    Ok(serde_json::from_str(body)?)
}

fn reply(status: StatusCode, about: &Value) -> Response {
    let text = serde_json::to_string_pretty(about).unwrap_or_default() + "\n";
    (status, [("content-type", "application/json")], text).into_response()
}

/// A request that cannot be carried out: a sentence for the person who made it.
struct Refusal(StatusCode, String);

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, format!("the body is not as expected: {error}"))
    }
}

impl From<Unknown> for Refusal {
    fn from(error: Unknown) -> Self {
        Self(StatusCode::NOT_FOUND, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, format!("{}\n", self.1)).into_response()
    }
}

//! The part of Clerk's Backend API that repairs drift. <https://clerk.com/docs/reference/backend-api>

use std::collections::HashMap;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use super::{Instance, User, jwks, server::Clerk};

type Parameters = Query<HashMap<String, String>>;

pub(super) fn router(clerk: Clerk) -> Router<Clerk> {
    Router::new()
        .route("/v1/instance", get(instance))
        .route("/v1/jwks", get(public_keys))
        .route("/v1/organizations", get(organizations))
        .route("/v1/organizations/{id}", get(organization))
        .route("/v1/organizations/{id}/memberships", get(memberships_of))
        .route("/v1/organization_memberships", get(memberships))
        .route("/v1/users", get(users))
        .route("/v1/users/{id}", get(user))
        .route("/v1/users/{id}/organization_memberships", get(memberships_of_user))
        .layer(from_fn_with_state(clerk, guard))
}

/// Clerk's form of an error. <https://clerk.com/docs/guides/development/errors/overview>
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn not_found(kind: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "resource_not_found", format!("No {kind} was found with that id"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = json!({ "message": self.message, "long_message": self.message, "code": self.code });
        (self.status, Json(json!({ "errors": [error], "clerk_trace_id": "development" }))).into_response()
    }
}

async fn guard(State(clerk): State<Clerk>, request: Request, next: Next) -> Response {
    let key = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if clerk.has_outage() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if let Some((status, retry_after)) = clerk.faults().refusal() {
        let refusal = Refusal::new(status, "refused", "Try again later");
        return ([(header::RETRY_AFTER, retry_after.to_string())], refusal).into_response();
    }
    tokio::time::sleep(clerk.faults().delay()).await;
    if key.and_then(|key| key.strip_prefix("Bearer ")) != Some(clerk.secret_key()) {
        let message = "The provided Clerk Secret Key is invalid";
        return Refusal::new(StatusCode::UNAUTHORIZED, "authorization_invalid", message).into_response();
    }
    let path = request.uri().path().to_owned();
    let answer = next.run(request).await;
    if let Some(happening) = clerk.faults().happening_after(&path) {
        // What a test lets happen is a valid change.
        let _ = clerk.change(|instance, now| Ok(((), happening(instance, now)?)));
    }
    answer
}

async fn instance(State(clerk): State<Clerk>) -> Result<Json<Value>, Refusal> {
    if clerk.faults().is_nameless() {
        return Err(Refusal::not_found("instance"));
    }
    let id = clerk.instance_id();
    Ok(Json(json!({ "object": "instance", "id": id, "environment_type": "development", "allowed_origins": null })))
}

/// The keys that the instance's tokens are signed with, as its Frontend API publishes them.
async fn public_keys(State(clerk): State<Clerk>) -> Json<Value> {
    Json(jwks([clerk.key().as_ref()]))
}

async fn organizations(State(clerk): State<Clerk>, Query(parameters): Parameters) -> Result<Json<Value>, Refusal> {
    let all = clerk.read(|i| i.organizations.iter().map(|o| i.organization_json(o)).collect());
    counted(clerk.faults().listed("organization", all), &parameters)
}

async fn organization(State(clerk): State<Clerk>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let found = clerk.read(|i| i.organization(&id).ok().map(|o| i.organization_json(o)));
    let found = found.filter(|_| !clerk.faults().is_hidden(&id));
    found.map(Json).ok_or_else(|| Refusal::not_found("organization"))
}

async fn memberships_of(
    State(clerk): State<Clerk>,
    Path(id): Path<String>,
    Query(parameters): Parameters,
) -> Result<Json<Value>, Refusal> {
    let found = clerk.read(|i| i.organization(&id).map(|o| members(i, Some(&o.id))));
    counted(found.map_err(|_| Refusal::not_found("organization"))?, &parameters)
}

async fn memberships(State(clerk): State<Clerk>, Query(parameters): Parameters) -> Result<Json<Value>, Refusal> {
    let all = clerk.read(|i| members(i, None));
    counted(clerk.faults().listed("organization_membership", all), &parameters)
}

/// The one list without a count around it.
async fn users(State(clerk): State<Clerk>, Query(parameters): Parameters) -> Result<Json<Value>, Refusal> {
    let wanted = |user: &&User| parameters.get("email_address").is_none_or(|email| user.has_email(email));
    let all = clerk.read(|i| i.users.iter().filter(wanted).map(|u| i.user_json(u)).collect());
    Ok(Json(Value::Array(page(clerk.faults().listed("user", all), &parameters)?)))
}

async fn user(State(clerk): State<Clerk>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let found = clerk.read(|i| i.users.iter().find(|u| u.id == id).map(|u| i.user_json(u)));
    let found = found.filter(|_| !clerk.faults().is_hidden(&id));
    found.map(Json).ok_or_else(|| Refusal::not_found("user"))
}

async fn memberships_of_user(
    State(clerk): State<Clerk>,
    Path(id): Path<String>,
    Query(parameters): Parameters,
) -> Result<Json<Value>, Refusal> {
    if clerk.faults().is_hidden(&id) || !clerk.read(|i| i.users.iter().any(|u| u.id == id)) {
        return Err(Refusal::not_found("user"));
    }
    let mut all: Vec<_> = clerk.read(|i| i.memberships_of(&id).map(|m| i.membership_json(m)).collect());
    all.retain(|membership| !membership["id"].as_str().is_some_and(|id| clerk.faults().is_hidden(id)));
    counted(all, &parameters)
}

fn members(instance: &Instance, organization_id: Option<&str>) -> Vec<Value> {
    let wanted = instance.memberships.iter().filter(|m| organization_id.is_none_or(|id| m.organization_id == id));
    wanted.map(|membership| instance.membership_json(membership)).collect()
}

fn counted(all: Vec<Value>, parameters: &HashMap<String, String>) -> Result<Json<Value>, Refusal> {
    let total_count = all.len();
    Ok(Json(json!({ "data": page(all, parameters)?, "total_count": total_count })))
}

fn page(all: Vec<Value>, parameters: &HashMap<String, String>) -> Result<Vec<Value>, Refusal> {
    let number = |name: &str, default: usize| match parameters.get(name).map(|text| text.parse()) {
        Some(Ok(number)) => Ok(number),
        None => Ok(default),
        Some(Err(_)) => Err(invalid(name)),
    };
    let (limit, offset) = (number("limit", 10)?, number("offset", 0)?);
    if !(1..=500).contains(&limit) {
        return Err(invalid("limit"));
    }
    Ok(all.into_iter().skip(offset).take(limit).collect())
}

fn invalid(parameter: &str) -> Refusal {
    let message = format!("{parameter} is out of range");
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "form_param_value_invalid", message)
}

//! The routes for people: tokens, and changes that a person would make in Clerk's dashboard.

use axum::{
    Json, Router,
    extract::{FromRequest, Path, Query, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, patch, post},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    ChangeError, Event, Instance, Membership, NewMember, StoreError, UserChange,
    replies::{about_member, access, reply},
    server::Clerk,
};

/// Thirty days.
const LONGEST_TTL: i64 = 30 * 24 * 3600;

pub(super) fn router() -> Router<Clerk> {
    Router::new()
        .route("/", get(index))
        .route("/token", get(token))
        .route("/organizations", post(create_organization))
        .route("/organizations/{organization}", patch(rename_organization).delete(delete_organization))
        .route("/organizations/{organization}/members", post(add_member))
        .route("/organizations/{organization}/members/{user}", patch(set_role).delete(remove_member))
        .route("/users/{user}", patch(change_user).delete(delete_user))
        .route("/deliveries", get(deliveries))
        .route("/deliveries/{number}/resend", post(resend))
}

async fn index(State(clerk): State<Clerk>) -> String {
    let people = clerk.read(|instance| {
        let line = |m: &Membership| {
            let organization = instance.organization(&m.organization_id).map(|o| o.slug.as_str()).unwrap_or_default();
            let user = instance.user(&m.user_id).ok().and_then(|u| u.email.as_deref()).unwrap_or(&m.user_id);
            format!("  {organization:16} {:14} {user}\n", m.role)
        };
        instance.memberships.iter().map(line).collect::<String>()
    });
    include_str!("index.txt").replace("{url}", clerk.url()).replace("{people}", people.trim_end())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    user: String,
    org: Option<String>,
    version: Option<u8>,
    ttl: Option<i64>,
}

/// The token and nothing else, so that `$(curl …)` can stand in a header.
async fn token(State(clerk): State<Clerk>, Query(request): Query<TokenRequest>) -> Result<String, Refusal> {
    let token = clerk.session_token(&request.user, request.org.as_deref())?;
    let token = match request.version.unwrap_or(2) {
        1 => token.v1(),
        2 => token,
        _ => return Err(ChangeError::Invalid { field: "version", problem: "must be 1 or 2" }.into()),
    };
    let ttl = request.ttl.unwrap_or(3600);
    if !(-LONGEST_TTL..=LONGEST_TTL).contains(&ttl) {
        return Err(ChangeError::Invalid { field: "ttl", problem: "must be seconds, 30 days at most" }.into());
    }
    Ok(token.ttl(TimeDelta::seconds(ttl)).mint(&clerk.key()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Role {
    role: String,
}

async fn create_organization(State(clerk): State<Clerk>, Body(Name { name }): Body<Name>) -> Result<Response, Refusal> {
    let (organization, numbers) = clerk.change(|instance, now| instance.create_organization(&name, now))?;
    let about = json!({ "organization": clerk.read(|i| i.organization_json(&organization)) });
    Ok(reply(&clerk, StatusCode::CREATED, about, numbers).await)
}

async fn rename_organization(
    State(clerk): State<Clerk>,
    Path(organization): Path<String>,
    Body(Name { name }): Body<Name>,
) -> Result<Response, Refusal> {
    silent(&clerk, |instance, now| instance.rename_organization(&organization, &name, now)).await
}

async fn delete_organization(
    State(clerk): State<Clerk>,
    Path(organization): Path<String>,
) -> Result<Response, Refusal> {
    silent(&clerk, |instance, now| instance.delete_organization(&organization, now)).await
}

async fn add_member(
    State(clerk): State<Clerk>,
    Path(organization): Path<String>,
    Body(new): Body<NewMember>,
) -> Result<Response, Refusal> {
    let known = clerk.read(|instance| instance.membership(&organization, &new.email).is_ok());
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    let (membership, numbers) = clerk.change(|instance, now| instance.add_member(&organization, &new, now))?;
    let mut about = about_member(&clerk, &membership);
    if let Some(access) = access(&clerk, &membership).await {
        about["access"] = access.into();
    }
    Ok(reply(&clerk, status, about, numbers).await)
}

async fn set_role(
    State(clerk): State<Clerk>,
    Path((organization, user)): Path<(String, String)>,
    Body(Role { role }): Body<Role>,
) -> Result<Response, Refusal> {
    let (membership, numbers) = clerk.change(|instance, now| instance.set_role(&organization, &user, &role, now))?;
    Ok(reply(&clerk, StatusCode::OK, about_member(&clerk, &membership), numbers).await)
}

async fn remove_member(
    State(clerk): State<Clerk>,
    Path((organization, user)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    silent(&clerk, |instance, now| instance.remove_member(&organization, &user, now)).await
}

async fn change_user(
    State(clerk): State<Clerk>,
    Path(user): Path<String>,
    Body(change): Body<UserChange>,
) -> Result<Response, Refusal> {
    let (user, numbers) = clerk.change(|instance, now| instance.change_user(&user, &change, now))?;
    let about = json!({ "user": clerk.read(|instance| instance.user_json(&user)) });
    Ok(reply(&clerk, StatusCode::OK, about, numbers).await)
}

async fn delete_user(State(clerk): State<Clerk>, Path(user): Path<String>) -> Result<Response, Refusal> {
    silent(&clerk, |instance, now| instance.delete_user(&user, now)).await
}

async fn deliveries(State(clerk): State<Clerk>) -> impl IntoResponse {
    Json(clerk.webhooks().deliveries())
}

async fn resend(State(clerk): State<Clerk>, Path(number): Path<usize>) -> Result<Response, Refusal> {
    match clerk.webhooks().resend(number) {
        Some(number) => Ok(reply(&clerk, StatusCode::OK, json!({}), vec![number]).await),
        None => Err(ChangeError::Unknown {
            kind: "delivery",
            name: number.to_string(),
            known: format!("see {}/deliveries", clerk.url()),
        }
        .into()),
    }
}

/// A change after which there is nothing to show but the events.
async fn silent(
    clerk: &Clerk,
    change: impl FnOnce(&mut Instance, DateTime<Utc>) -> Result<Vec<Event>, ChangeError>,
) -> Result<Response, Refusal> {
    let ((), numbers) = clerk.change(|instance, now| Ok(((), change(instance, now)?)))?;
    Ok(reply(clerk, StatusCode::OK, json!({}), numbers).await)
}

/// JSON, whatever the content type says: `curl -d` calls it a form.
struct Body<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let refusal = |reason: String| Refusal(StatusCode::UNPROCESSABLE_ENTITY, reason);
        let text = String::from_request(request, state).await.map_err(|rejection| refusal(rejection.to_string()))?;
        serde_json::from_str(&text).map(Self).map_err(|error| refusal(format!("the body is not as expected: {error}")))
    }
}

/// A request that cannot be carried out: a sentence for the person who made it.
struct Refusal(StatusCode, String);

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        let status = match &error {
            ChangeError::Unknown { .. } => StatusCode::NOT_FOUND,
            ChangeError::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self(status, error.to_string())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Change(error) => error.into(),
            other => Self(StatusCode::INTERNAL_SERVER_ERROR, other.to_string()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, format!("{}\n", self.1)).into_response()
    }
}

//! Leads, forms and pages. <https://developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving>

use std::collections::HashMap;

use axum::{
    Json, Router,
    extract::{FromRequestParts, Path, Query, Request, State},
    http::{header::AUTHORIZATION, request::Parts},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
};
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::{refusal::Refusal, server::Graph, webhook::hex_hmac};

/// Those that an app for lead ads asks for, and the one that every login gives.
const PERMISSIONS: [&str; 7] = [
    "public_profile",
    "pages_show_list",
    "pages_read_engagement",
    "pages_manage_metadata",
    "pages_manage_ads",
    "ads_management",
    "leads_retrieval",
];

type Parameters = HashMap<String, String>;

pub(super) fn router(graph: Graph) -> Router<Graph> {
    Router::new()
        .route("/v26.0/me", get(me))
        .route("/v26.0/me/accounts", get(accounts))
        .route("/v26.0/me/permissions", get(permissions))
        .route("/v26.0/{id}", get(object))
        .route("/v26.0/{id}/leadgen_forms", get(forms))
        .route("/v26.0/{id}/leads", get(leads))
        .route("/v26.0/{id}/subscribed_apps", get(subscriptions).post(subscribe))
        .layer(from_fn_with_state(graph, fail))
}

pub(super) async fn fail(State(graph): State<Graph>, request: Request, next: Next) -> Response {
    match graph.faults().next().await {
        Some(answer) => answer,
        None => next.run(request).await,
    }
}

/// Whose token it is, whose use is proven.
enum Caller {
    Page(String),
    /// With what they have not allowed.
    User(Vec<String>),
}

impl Caller {
    /// The id of the caller's page, if it is this one.
    fn of_page(&self, id: &str) -> Result<(), Refusal> {
        if matches!(self, Self::Page(page) if page == id) { Ok(()) } else { Err(Refusal::MISSING) }
    }
}

impl FromRequestParts<Graph> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, graph: &Graph) -> Result<Self, Refusal> {
        let query = Query::<Parameters>::try_from_uri(&parts.uri).map_err(|_| Refusal::INVALID_PARAMETER)?;
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer "));
        let token = token.or(query.get("access_token").map(String::as_str)).ok_or(Refusal::NO_TOKEN)?;
        let caller = graph.with(|state| match state.page_by_token(token) {
            Some(page) => Ok(Self::Page(page.id.clone())),
            None if state.has_expired(token) => Err(Refusal::EXPIRED),
            None => state.user_tokens.get(token).cloned().map(Self::User).ok_or(Refusal::INVALID_TOKEN),
        })?;
        let proof = query.get("appsecret_proof").ok_or(Refusal::NO_PROOF)?;
        if *proof == hex_hmac(graph.app_secret(), token.as_bytes()) { Ok(caller) } else { Err(Refusal::WRONG_PROOF) }
    }
}

async fn me(caller: Caller) -> Json<Value> {
    Json(match caller {
        Caller::Page(id) => json!({ "id": id }),
        // Nobody asks which.
        Caller::User(_) => json!({ "id": "10158000000000001" }),
    })
}

async fn object(
    State(graph): State<Graph>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
) -> Result<Json<Value>, Refusal> {
    let Caller::Page(page_id) = caller else { return Err(Refusal::MISSING) };
    let object = graph.with(|state| state.object(&id, &page_id)).ok_or(Refusal::MISSING)?;
    Ok(Json(selected(&object, query.get("fields").map_or("created_time,field_data,name", String::as_str))))
}

async fn forms(
    State(graph): State<Graph>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
) -> Result<Json<Value>, Refusal> {
    caller.of_page(&id)?;
    listed(&graph, &format!("{id}/leadgen_forms"), &query, &graph.with(|state| state.forms_of(&id)), "name,status")
}

async fn leads(
    State(graph): State<Graph>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
) -> Result<Json<Value>, Refusal> {
    let page_id = graph.with(|state| state.form(&id).map(|form| form.page_id.clone())).map_err(|_| Refusal::MISSING)?;
    caller.of_page(&page_id)?;
    let after = match query.get("filtering") {
        Some(filtering) => created_after(filtering).ok_or(Refusal::INVALID_PARAMETER)?,
        None => 0,
    };
    let all = graph.with(|state| state.leads_of(&id, after));
    listed(&graph, &format!("{id}/leads"), &query, &all, "created_time,field_data")
}

async fn accounts(
    State(graph): State<Graph>,
    caller: Caller,
    Query(query): Query<Parameters>,
) -> Result<Json<Value>, Refusal> {
    let Caller::User(_) = caller else { return Err(Refusal::MISSING) };
    let pages = graph.with(|state| {
        let page = |page: &super::Page| json!({ "id": page.id, "name": page.name, "access_token": page.token });
        state.pages.iter().map(page).collect::<Vec<_>>()
    });
    listed(&graph, "me/accounts", &query, &pages, "name,access_token")
}

/// <https://developers.facebook.com/docs/graph-api/reference/user/permissions>
async fn permissions(
    State(graph): State<Graph>,
    caller: Caller,
    Query(query): Query<Parameters>,
) -> Result<Json<Value>, Refusal> {
    let Caller::User(refused) = caller else { return Err(Refusal::MISSING) };
    let status = |name: &str| if refused.iter().any(|one| one == name) { "declined" } else { "granted" };
    let all: Vec<_> = PERMISSIONS.map(|name| json!({ "permission": name, "status": status(name) })).into();
    listed(&graph, "me/permissions", &query, &all, "permission,status")
}

async fn subscribe(
    State(graph): State<Graph>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
) -> Result<Json<Value>, Refusal> {
    caller.of_page(&id)?;
    let fields = query.get("subscribed_fields").ok_or(Refusal::INVALID_PARAMETER)?;
    if fields.split(',').any(|field| field == "leadgen") {
        graph.with(|state| state.subscribe(&id));
    }
    Ok(Json(json!({ "success": true })))
}

async fn subscriptions(
    State(graph): State<Graph>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    caller.of_page(&id)?;
    let is_subscribed = graph.with(|state| state.page(&id).is_ok_and(|page| page.subscribed));
    let app = json!({ "id": graph.app_id(), "name": "Norvalt", "subscribed_fields": ["leadgen"] });
    Ok(Json(json!({ "data": if is_subscribed { vec![app] } else { vec![] } })))
}

/// A page of a list, with the address of the next one, which holds the token as Graph's does.
fn listed(graph: &Graph, path: &str, query: &Parameters, all: &[Value], fields: &str) -> Result<Json<Value>, Refusal> {
    let number = |name: &str, default: usize| match query.get(name) {
        Some(text) => text.parse().map_err(|_| Refusal::INVALID_PARAMETER),
        None => Ok(default),
    };
    let (limit, start) = (number("limit", 25)?.clamp(1, 100), number("after", 0)?);
    let fields = query.get("fields").map_or(fields, String::as_str);
    let end = all.len().min(start.saturating_add(limit));
    let data: Vec<_> = all.iter().skip(start).take(limit).map(|object| selected(object, fields)).collect();
    let mut paging = json!({ "cursors": { "before": start.to_string(), "after": end.to_string() } });
    if end < all.len() {
        let mut next = Url::parse(&format!("{}/v26.0/{path}", graph.url())).expect("it is made of a URL");
        let kept = query.iter().filter(|(name, _)| !matches!(name.as_str(), "after" | "appsecret_proof"));
        next.query_pairs_mut().extend_pairs(kept).append_pair("after", &end.to_string());
        next.query_pairs_mut().append_pair("access_token", "EAAtoken-of-the-caller");
        paging["next"] = next.as_str().into();
    }
    Ok(Json(json!({ "data": data, "paging": paging })))
}

/// Of `[{"field":"time_created","operator":"GREATER_THAN","value":1790000000}]`.
fn created_after(filtering: &str) -> Option<i64> {
    let filters: Vec<Value> = serde_json::from_str(filtering).ok()?;
    let [filter] = filters.as_slice() else { return None };
    let is_known = filter["field"] == "time_created" && filter["operator"] == "GREATER_THAN";
    filter["value"].as_i64().filter(|_| is_known)
}

/// The members that `a,b{c,d},e` names, and the id.
fn selected(object: &Value, fields: &str) -> Value {
    let mut depth = 0_usize;
    let top = fields.split_inclusive([',', '{', '}']).filter_map(|part| {
        let name = (depth == 0).then(|| part.trim_end_matches([',', '{', '}']));
        match part.chars().last() {
            Some('{') => depth += 1,
            Some('}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        name
    });
    let members = object.as_object().into_iter().flatten();
    let names: Vec<&str> = top.chain(["id"]).collect();
    members
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect::<Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_told() {
        let object = json!({ "id": "1", "a": 1, "b": { "c": 2 }, "c": 3, "d": 4 });
        assert_eq!(selected(&object, "a,b{c,e{f}},d"), json!({ "id": "1", "a": 1, "b": { "c": 2 }, "d": 4 }));
        assert_eq!(selected(&object, ""), json!({ "id": "1" }));
    }
}

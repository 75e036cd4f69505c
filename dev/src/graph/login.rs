//! Facebook Login. <https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow>

use axum::{
    Json, Router,
    extract::{Query, State},
    response::Redirect,
    routing::get,
};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{refusal::Refusal, server::Graph};
use crate::random;

/// Sixty days.
const LONG: u64 = 60 * 24 * 3600;

pub(super) fn router() -> Router<Graph> {
    // The first is of www.facebook.com.
    Router::new().route("/v26.0/dialog/oauth", get(dialog)).route("/v26.0/oauth/access_token", get(access_token))
}

#[derive(Deserialize)]
struct Dialog {
    client_id: String,
    redirect_uri: String,
    #[serde(default)]
    state: String,
}

#[derive(Deserialize)]
struct TokenRequest {
    client_id: String,
    client_secret: String,
    redirect_uri: Option<String>,
    code: Option<String>,
    grant_type: Option<String>,
    fb_exchange_token: Option<String>,
}

/// Asks nobody: who comes here agrees.
async fn dialog(State(graph): State<Graph>, Query(dialog): Query<Dialog>) -> Result<Redirect, Refusal> {
    let mut back = Url::parse(&dialog.redirect_uri).map_err(|_| Refusal::INVALID_PARAMETER)?;
    if dialog.client_id != graph.app_id() {
        return Err(Refusal::INVALID_PARAMETER);
    }
    let code = graph.login(&dialog.redirect_uri);
    back.query_pairs_mut().append_pair("code", &code).append_pair("state", &dialog.state);
    Ok(Redirect::to(back.as_str()))
}

async fn access_token(State(graph): State<Graph>, Query(request): Query<TokenRequest>) -> Result<Json<Value>, Refusal> {
    if request.client_id != graph.app_id() || request.client_secret != graph.app_secret() {
        return Err(Refusal::WRONG_SECRET);
    }
    let token = format!("EAAU{}", random::password());
    let mut answer = json!({ "access_token": token, "token_type": "bearer" });
    graph.with(|state| {
        if request.grant_type.as_deref() == Some("fb_exchange_token") {
            let short = request.fb_exchange_token.as_ref().ok_or(Refusal::INVALID_PARAMETER)?;
            if !state.user_tokens.contains(short) {
                return Err(Refusal::INVALID_TOKEN);
            }
            answer["expires_in"] = LONG.into();
        } else {
            let code = request.code.as_ref().ok_or(Refusal::INVALID_PARAMETER)?;
            let redirect_uri = state.codes.get_mut(code).ok_or(Refusal::WRONG_CODE)?;
            if redirect_uri.is_empty() {
                return Err(Refusal::USED_CODE);
            }
            if request.redirect_uri.as_ref() != Some(redirect_uri) {
                return Err(Refusal::WRONG_CODE);
            }
            redirect_uri.clear();
        }
        state.user_tokens.insert(token);
        Ok(())
    })?;
    Ok(Json(answer))
}

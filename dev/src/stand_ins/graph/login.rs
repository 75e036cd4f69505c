//! Facebook Login. <https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow>

use axum::{
    Json, Router,
    extract::{Query, State},
    middleware::from_fn_with_state,
    response::Redirect,
    routing::get,
};
use maud::{DOCTYPE, Markup, html};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{api, refusal::Refusal, server::Graph};
use crate::random;

/// Sixty days.
const LONG: u64 = 60 * 24 * 3600;
/// Of a token that was not exchanged for a long-lived one.
const SHORT: u64 = 3600;

pub(super) fn router(graph: Graph) -> Router<Graph> {
    let tokens = Router::new().route("/v26.0/oauth/access_token", get(access_token));
    // Those are of www.facebook.com.
    tokens
        .layer(from_fn_with_state(graph, api::fail))
        .route("/v26.0/dialog/oauth", get(dialog))
        .route("/v26.0/dialog/oauth/answer", get(answer))
}

#[derive(Deserialize)]
struct Dialog {
    client_id: String,
    redirect_uri: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    scope: String,
}

/// What the user chose.
#[derive(Deserialize)]
struct Answer {
    redirect_uri: String,
    #[serde(default)]
    state: String,
    /// `agree`, `refuse`, or `without` what leads take.
    choice: String,
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

/// Asks the person, as Facebook does.
async fn dialog(State(graph): State<Graph>, Query(dialog): Query<Dialog>) -> Result<Markup, Refusal> {
    Url::parse(&dialog.redirect_uri).map_err(|_| Refusal::INVALID_PARAMETER)?;
    if dialog.client_id != graph.app_id() {
        return Err(Refusal::INVALID_PARAMETER);
    }
    let link = |choice: &str| {
        let mut url = Url::parse(&format!("{}/v26.0/dialog/oauth/answer", graph.url())).expect("it is made of a URL");
        let pairs = [("redirect_uri", &*dialog.redirect_uri), ("state", &dialog.state), ("choice", choice)];
        url.query_pairs_mut().extend_pairs(pairs);
        url.to_string()
    };
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "Stand-in for Facebook" } }
            body {
                main {
                    h1 { "Norvalt would like to use your pages" }
                    p { "This is a stand-in for Facebook, for development. Asked for: " (dialog.scope) }
                    p { a href=(link("agree")) { "Continue" } }
                    p { a href=(link("without")) { "Continue, but keep the leads to yourself" } }
                    p { a href=(link("refuse")) { "Cancel" } }
                }
            }
        }
    })
}

async fn answer(State(graph): State<Graph>, Query(answer): Query<Answer>) -> Result<Redirect, Refusal> {
    let mut back = Url::parse(&answer.redirect_uri).map_err(|_| Refusal::INVALID_PARAMETER)?;
    match answer.choice.as_str() {
        "refuse" => {
            back.query_pairs_mut()
                .append_pair("error", "access_denied")
                .append_pair("error_code", "200")
                .append_pair("error_description", "Permissions error")
                .append_pair("error_reason", "user_denied");
        }
        choice => {
            let refused = if choice == "without" { &["leads_retrieval"][..] } else { &[] };
            back.query_pairs_mut().append_pair("code", &graph.login(&answer.redirect_uri, refused));
        }
    }
    back.query_pairs_mut().append_pair("state", &answer.state);
    Ok(Redirect::to(back.as_str()))
}

async fn access_token(State(graph): State<Graph>, Query(request): Query<TokenRequest>) -> Result<Json<Value>, Refusal> {
    if request.client_id != graph.app_id() || request.client_secret != graph.app_secret() {
        return Err(Refusal::WRONG_SECRET);
    }
    let token = format!("EAAU{}", random::password());
    let is_exchange = request.grant_type.as_deref() == Some("fb_exchange_token");
    graph.with(|state| {
        let refused = if is_exchange {
            let short = request.fb_exchange_token.as_ref().ok_or(Refusal::INVALID_PARAMETER)?;
            state.user_tokens.get(short).cloned().ok_or(Refusal::INVALID_TOKEN)?
        } else {
            let code = request.code.as_ref().ok_or(Refusal::INVALID_PARAMETER)?;
            let login = state.codes.get_mut(code).ok_or(Refusal::WRONG_CODE)?;
            if login.is_used {
                return Err(Refusal::USED_CODE);
            }
            if request.redirect_uri.as_ref() != Some(&login.redirect_uri) {
                return Err(Refusal::WRONG_CODE);
            }
            login.is_used = true;
            login.refused.clone()
        };
        state.user_tokens.insert(token.clone(), refused);
        Ok(())
    })?;
    let expires_in = if is_exchange { LONG } else { SHORT };
    Ok(Json(json!({ "access_token": token, "token_type": "bearer", "expires_in": expires_in })))
}

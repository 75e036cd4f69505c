//! Connecting pages of Facebook by a login there: begun, followed and ended by an admin, who comes back to us in between.

use std::ops::ControlFlow;

use axum::{
    Json,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use common::{
    lead_sources::{
        self, Choice, Chosen, Language, Login, Refused, Return, Source, StartedLogin, Unusable, come_back,
        dealership_of_state, redirect_uri,
    },
    secrets::Secret,
};
use reqwest::Url;

use super::forms::language;
use crate::{
    auth::{Tenant, answer},
    extract::{ValidJson, decode_query},
    idempotency::Answered,
    openapi::{BodyProblems, ConflictProblems, MemberProblems},
    pages::{self, FacebookReturn},
    permissions::Action,
    problem::Problem,
    rate_limit::RateLimited,
    state::AppState,
};

/// The dialog of the version that we know.
const DIALOG: &str = "https://www.facebook.com/v26.0/dialog/oauth";
/// What the user is asked for: to list their pages, to be told of leads, to read them and what they answer.
/// <https://developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving>
const SCOPE: &str =
    "pages_show_list,pages_read_engagement,pages_manage_metadata,pages_manage_ads,ads_management,leads_retrieval";
/// Characters of a code.
const MAX_CODE: usize = 2_000;
const HERE: &str = "/api/v1/lead-sources/facebook/login";

/// Begins connecting pages of Facebook by a login there, in place of one that you began before. Open `authorize_url`: whoever
/// agrees at Facebook comes back to a page of ours that shows six digits. `GET` tells meanwhile how far it has come. For admins.
#[utoipa::path(
    post, path = "/lead-sources/facebook/login", tag = "Sources", operation_id = "beginFacebookLogin", extensions(("x-role" = json!("admin"))),
    responses((status = 201, description = "Where to log in; Location tells how far it has come", body = StartedLogin, headers(("Location" = String, description = "The path of what was created."))), MemberProblems),
)]
pub(crate) async fn begin(State(state): State<AppState>, mut tenant: Tenant) -> Result<Answered, Problem> {
    tenant.require(Action::ChangeLeadSources)?;
    let (app, public_url) = match (&state.senders.meta_login, &state.addresses.public_url) {
        (Some(app), Some(url)) if state.keyring.ids().next().is_some() => (app, url),
        _ => {
            let detail = "Nobody can log in to Facebook here, because FACEBOOK_APP_ID, PUBLIC_URL or SECRETS_KEYS is not set; \
                          ask whoever operates this service, or connect the page by its token.";
            return Err(Problem::not_ready(detail));
        }
    };
    let dialog = Url::parse(app.url.as_deref().unwrap_or(DIALOG)).map_err(|_| Problem::internal())?;
    let authorize = |begun: &str| {
        let mut url = dialog.clone();
        url.query_pairs_mut()
            .append_pair("client_id", &app.app_id)
            .append_pair("redirect_uri", &redirect_uri(public_url))
            .append_pair("state", begun)
            .append_pair("response_type", "code")
            .append_pair("scope", SCOPE)
            // Asks again for what was refused before.
            .append_pair("auth_type", "rerequest");
        url.to_string()
    };
    let user = tenant.caller.id;
    answer!(tenant, async {
        let begun = lead_sources::begin_login(&mut tenant.tx, user, &authorize).await?;
        Answered::created_at(HERE.to_owned(), &begun)
    })
}

/// How far your own login at Facebook has come, and once it has, which pages you can connect. For admins.
#[utoipa::path(
    get, path = "/lead-sources/facebook/login", tag = "Sources", operation_id = "getFacebookLogin", extensions(("x-role" = json!("admin"))),
    responses((status = 200, description = "The login", body = Login), MemberProblems),
)]
pub(crate) async fn show(mut tenant: Tenant) -> Result<Json<Login>, Problem> {
    tenant.require(Action::ChangeLeadSources)?;
    let user = tenant.caller.id;
    let login = lead_sources::login(&mut tenant.tx, user).await?;
    tenant.leave();
    Ok(Json(login))
}

/// Connects pages that your login shows. `confirmation` are the six digits that your browser showed when it came back, so that
/// nobody is led by a link to hand over their pages to you. A worker then has Facebook tell of their leads: until then, and if it
/// does not, `broken_reason` says so. For admins.
#[utoipa::path(
    post, path = "/lead-sources/facebook/login/pages", tag = "Sources", operation_id = "chooseFacebookPages", extensions(("x-role" = json!("admin"))),
    request_body(content = Choice, example = json!({ "page_ids": ["107766554433221"], "confirmation": "482913" })),
    responses((status = 200, description = "The sources", body = Vec<Source>), MemberProblems, BodyProblems, ConflictProblems),
)]
pub(crate) async fn choose(
    State(state): State<AppState>,
    mut tenant: Tenant,
    ValidJson(choice): ValidJson<Choice>,
) -> Result<Answered, Problem> {
    tenant.require(Action::ChangeLeadSources)?;
    let user = tenant.caller.id;
    loop {
        if let Some(answered) = tenant.recall().await? {
            tenant.leave();
            return Ok(answered);
        }
        let flow = match lead_sources::choose(&mut tenant.tx, &state.keyring, user, &choice).await {
            Ok(Chosen::Connected(sources)) => tenant.finish_with(Answered::ok(&sources)).await?.map_break(Ok),
            // A guess counts, though it is refused.
            Ok(Chosen::Refused(refused)) => tenant.finish(Ok::<_, Problem>(refusal(refused))).await?.map_break(Err),
            Err(error) => tenant.finish(Err(error)).await?.map_break(Err),
        };
        match flow {
            ControlFlow::Break(done) => return done,
            ControlFlow::Continue(again) => tenant = again,
        }
    }
}

fn refusal(refused: Refused) -> Problem {
    match refused {
        Refused::NoPages => Problem::no_pages(),
        Refused::NotConfirmed => {
            let message = "must be the six digits that your browser showed when it came back from Facebook";
            Problem::invalid_field("confirmation", message)
        }
        Refused::UnknownPage => {
            Problem::invalid_field("page_ids", "must be pages that your login shows; GET it to see which")
        }
    }
}

/// Takes whoever comes back from Facebook. What stands in the address goes nowhere but into the login.
/// <https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow#logindialog>
pub(crate) async fn come_back_here(
    State(state): State<AppState>,
    _: RateLimited,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let language = language(&headers, Language::Nb);
    let pairs = decode_query(query.as_deref().unwrap_or_default()).unwrap_or_default();
    let given = |name: &str| pairs.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value.as_str());
    let back = given("state");
    let Some(dealership) = dealership_of_state(back) else {
        return Ok(show_return(language, FacebookReturn::Unknown));
    };
    let with = match given("code") {
        code if (1..=MAX_CODE).contains(&code.len()) => Return::Code(Secret::new(code)),
        _ if given("error") == "access_denied" => Return::Denied,
        _ => Return::Failed,
    };
    let permit = state.admission.visitor().await?;
    let mut tx = permit.db().tenant(dealership).await?;
    let came = come_back(&mut tx, &state.keyring, back, &with).await?;
    tx.commit().await?;
    Ok(show_return(
        language,
        match (&came, &with) {
            (Ok(Some(digits)), _) => FacebookReturn::Confirm(digits),
            (Ok(None), Return::Denied) => FacebookReturn::Denied,
            (Ok(None), _) => FacebookReturn::Failed,
            (Err(Unusable::Unknown), _) => FacebookReturn::Unknown,
            (Err(Unusable::Used), _) => FacebookReturn::Used,
            (Err(Unusable::Late), _) => FacebookReturn::Late,
        },
    ))
}

fn show_return(language: Language, what: FacebookReturn<'_>) -> Response {
    let status = match what {
        FacebookReturn::Confirm(_) | FacebookReturn::Denied | FacebookReturn::Failed => StatusCode::OK,
        FacebookReturn::Unknown => StatusCode::NOT_FOUND,
        FacebookReturn::Used | FacebookReturn::Late => StatusCode::GONE,
    };
    pages::page(status, pages::facebook_return(language, what))
}

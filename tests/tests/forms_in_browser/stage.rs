//! An API that has only the pages, and a dealership's site of another origin with the form on it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use api::pages::{self, EmbeddedForm, FormNotice, FormPage};
use axum::{
    Router,
    body::Bytes,
    extract::{OriginalUri, Path, Query, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use common::{input::FieldError, inquiry::form, lead_sources::Language};
use reqwest::Url;
use serde_json::json;
use tests::browser::Browser;
use tokio::net::TcpListener;

pub(super) const KEY: &str = "f7Kq2mXw9rTz";
pub(super) const DEALERSHIP: &str = "Fjordbil Ålesund AS";

/// What a form sent.
pub(super) type Sent = BTreeMap<String, String>;

pub(super) struct Stage {
    pub(super) browser: Browser,
    /// Where the hosted page is.
    pub(super) api: String,
    /// Where the dealership's pages are: `/` with styles of its own, `/plain` without.
    pub(super) site: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    api: String,
    sent: Mutex<Vec<Sent>>,
    /// What the next ones are answered, before they are looked at.
    troubles: Mutex<Vec<StatusCode>>,
}

/// What has the focus, by its name, its class or what it is.
const FOCUS: &str = "(() => { let e = document.activeElement;
                       while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
                       return e.name || e.className || e.localName })()";

impl Stage {
    /// Nothing, said aloud, where there is no Chromium.
    pub(super) async fn set() -> Option<Self> {
        let Some(browser) = Browser::start().await else {
            println!("skipped: there is no Chromium (Debian's package `chromium`)");
            return None;
        };
        let listen = || TcpListener::bind("127.0.0.1:0");
        let (api, site) = (listen().await.expect("a port is free"), listen().await.expect("a port is free"));
        let port = |listener: &TcpListener| listener.local_addr().expect("it listens").port();
        let (api_url, site_url) =
            (format!("http://127.0.0.1:{}", port(&api)), format!("http://localhost:{}", port(&site)));
        let shared = Arc::new(Shared { api: api_url.clone(), ..Shared::default() });
        tokio::spawn(axum::serve(api, api_routes(shared.clone())).into_future());
        tokio::spawn(axum::serve(site, site_routes(shared.clone())).into_future());
        let mut stage = Self { browser, api: api_url, site: site_url, shared };
        let watch = "window.violations = []; document.addEventListener('securitypolicyviolation',
                     (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));";
        stage.browser.run_first(watch).await;
        stage.browser.resize(1000, 1300).await;
        Some(stage)
    }

    /// Opens the hosted page.
    pub(super) async fn open_hosted(&mut self, query: &str) {
        self.browser.open(&format!("{}/forms/{KEY}{query}", self.api)).await;
    }

    /// Opens a page of the dealership, and waits for the form on it.
    pub(super) async fn open_site(&mut self, path: &str) {
        self.browser.open(&format!("{}{path}", self.site)).await;
        self.browser.until("!!document.querySelector('norvalt-form')").await;
    }

    /// What arrived, in order.
    pub(super) fn sent(&self) -> Vec<Sent> {
        self.shared.sent.lock().expect("no handler panics").clone()
    }

    /// The next attempts fail so.
    pub(super) fn fail_with(&self, statuses: &[StatusCode]) {
        self.shared.troubles.lock().expect("no handler panics").extend_from_slice(statuses);
    }

    /// What has the focus, in whichever tree.
    pub(super) async fn focus(&mut self) -> String {
        self.browser.eval(FOCUS).await.as_str().expect("text").to_owned()
    }

    /// Waits until something has the focus: a page that was just loaded gives it a moment later.
    pub(super) async fn focus_comes_to(&mut self, name: &str) {
        self.browser.until(&format!("{FOCUS} === '{name}'")).await;
    }

    /// Presses a key and says what has the focus then.
    pub(super) async fn focus_after(&mut self, key: &str) -> String {
        self.browser.press(key).await;
        self.focus().await
    }
}

fn api_routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/forms/assets/{name}", get(asset))
        .route("/forms/{key}", get(hosted))
        .route(
            "/forms/{key}/thanks",
            get(async |Path(key): Path<String>| {
                pages::page(StatusCode::OK, pages::thanks(DEALERSHIP, &key, Language::Nb))
            }),
        )
        .route("/embed/{file}", get(embedded))
        .route("/webhooks/form/{key}", axum::routing::any(receive))
        .with_state(shared)
}

async fn asset(
    Path(name): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let asset = pages::asset(&name, query.get("v").map(String::as_str), &headers);
    asset.unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

async fn hosted(Path(key): Path<String>, Query(typed): Query<Vec<(String, String)>>) -> Response {
    if key != KEY {
        return pages::page(StatusCode::NOT_FOUND, pages::closed(Language::Nb));
    }
    form_page(&typed, "4f1c", &[]).respond(StatusCode::OK)
}

fn form_page<'a>(typed: &'a [(String, String)], nonce: &'a str, mistakes: &'a [FieldError]) -> FormPage<'a> {
    FormPage {
        dealership: DEALERSHIP,
        key: KEY,
        language: Language::Nb,
        turnstile_site_key: None,
        typed,
        mistakes,
        notice: None,
        nonce,
        next: typed.iter().find(|(name, _)| name == "_next").map(|(_, next)| next.as_str()),
    }
}

async fn embedded(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let form = EmbeddedForm {
        key: KEY,
        api_origin: &shared.api,
        language: Language::Nb,
        dealership: DEALERSHIP,
        turnstile_site_key: None,
    };
    pages::embed_script(form.script(), &headers)
}

/// Answers as the endpoint for forms does, without a database.
async fn receive(State(shared): State<Arc<Shared>>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    assert!(!headers.contains_key(header::COOKIE), "there are no cookies");
    assert_ne!(headers[header::ORIGIN], "null", "or it would not be on any form's list");
    let is_json = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let mut response = match method {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ if is_json => answer_script(&shared, &body).await,
        _ => answer_browser(&shared, &body).await,
    };
    if let Some(origin) = headers.get(header::ORIGIN) {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        let allowed = HeaderValue::from_static("content-type");
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    response
}

async fn answer_script(shared: &Shared, body: &Bytes) -> Response {
    let sent: Sent = serde_json::from_slice(body).expect("an object of texts");
    let mistakes = mistakes("application/json", body);
    let trouble = shared.take_in(sent).await;
    if let Some(status) = trouble {
        return (status, [(header::RETRY_AFTER, "2")]).into_response();
    }
    if !mistakes.is_empty() {
        let problem = json!({ "type": "urn:norvalt:problem:invalid-input", "status": 422, "errors": mistakes });
        return (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(problem)).into_response();
    }
    axum::Json(json!({ "status": "received", "lead_id": "0198f4a2-7c11-7d3e-9a55-2f6d1c0b8e47" })).into_response()
}

async fn answer_browser(shared: &Shared, body: &Bytes) -> Response {
    let query = String::from_utf8(body.to_vec()).expect("it is urlencoded");
    let url = Url::parse(&format!("http://form/?{query}")).expect("an address");
    let typed: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let sent: Sent = typed.iter().cloned().collect();
    let mistakes = mistakes("application/x-www-form-urlencoded", body);
    let nonce = sent["_nonce"].clone();
    let next = sent.get("_next").cloned().unwrap_or(format!("/forms/{KEY}/thanks"));
    if let Some(status) = shared.take_in(sent).await {
        let notice = if status == StatusCode::TOO_MANY_REQUESTS { FormNotice::Busy } else { FormNotice::Failed };
        return FormPage { notice: Some(notice), ..form_page(&typed, &nonce, &[]) }.respond(status);
    }
    if !mistakes.is_empty() {
        return form_page(&typed, &nonce, &mistakes).respond(StatusCode::UNPROCESSABLE_ENTITY);
    }
    Redirect::to(&next).into_response()
}

impl Shared {
    /// Takes a while, as a real one does, so that there is time for a second click.
    async fn take_in(&self, sent: Sent) -> Option<StatusCode> {
        self.sent.lock().expect("no handler panics").push(sent);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut troubles = self.troubles.lock().expect("no handler panics");
        (!troubles.is_empty()).then(|| troubles.remove(0))
    }
}

/// As the endpoint finds and tells them.
fn mistakes(content_type: &str, body: &Bytes) -> Vec<FieldError> {
    let field = |mistake| if mistake == "contact" { "email" } else { mistake };
    let told = |mistake| FieldError { field: field(mistake).to_owned(), message: "is wrong".to_owned() };
    form::read(content_type, body).expect("a form").mistakes.into_iter().map(told).collect()
}

/// A site that lets nothing in but what it names, and whose styles are meant for other things.
fn site_routes(shared: Arc<Shared>) -> Router {
    let policy = format!("default-src 'none'; script-src 'self' {0}; connect-src {0}; style-src 'self'", shared.api);
    let policy = HeaderValue::from_str(&policy).expect("ASCII");
    let page = move |OriginalUri(uri): OriginalUri| {
        let line = pages::embed_line(&shared.api, KEY, Language::Nb);
        let styles = if uri.path() == "/" { "<link rel=stylesheet href=/hostile.css>" } else { "" };
        let page = format!(
            "<!DOCTYPE html><html lang=nb><meta charset=iso-8859-1><meta name=viewport content='width=device-width'>{styles}\
             <script src=/shortcuts.js></script><h1>Velkommen</h1>{line}<p>Slutt</p>"
        );
        std::future::ready(([(header::CONTENT_SECURITY_POLICY, policy.clone())], axum::response::Html(page)))
    };
    let file = |kind: &'static str, content: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, kind)], content) })
    };
    Router::new()
        .route("/", get(page.clone()))
        .route("/plain", get(page))
        .route("/takk", get(async || axum::response::Html("<!DOCTYPE html><title>Takk fra forhandleren</title>")))
        .route("/hostile.css", file("text/css", include_str!("hostile.css")))
        .route("/shortcuts.js", file("text/javascript", include_str!("shortcuts.js")))
}

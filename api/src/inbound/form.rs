//! Forms of the dealerships' web sites.

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use common::{
    db::EnteredSource,
    deliveries::Source,
    ids::ReceiptId,
    input::{FieldError, origin_of},
    inquiry::form::{self, NotAForm, Submission},
    intake::{FormAnswer, ReceivedForm, receive_form},
    lead_sources::{self, Language, Settings, SourceKind},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::entry::before_a_keyed_body;
use crate::{
    body::is_short,
    client::Client,
    extract::RawBody,
    openapi::FormProblems,
    pages::{self, FormNotice, FormPage},
    problem::Problem,
    routes::forms,
    state::AppState,
};

/// The largest form, in bytes: files that come with one are not kept.
pub(crate) const FORM: usize = 4 * 1024 * 1024;

/// What a form's sender is told, whether we know them or not.
#[derive(Serialize, ToSchema)]
pub(crate) struct FormReceipt {
    /// Always `received`, whether or not you are known.
    #[schema(example = "received")]
    status: &'static str,
    /// A receipt, which the dealership can look up: the id of the lead, if the inquiry made one.
    lead_id: ReceiptId,
}

/// Takes a form of a dealership's web site. Its key stands in the address; the dealership's id is its first form's.
///
/// As JSON it is answered with JSON. A plain HTML form leads to the page that `_next` names, if it is of one of the form's
/// web sites, or to a page of thanks. Fields that are not known here are kept with the lead. `_nonce` may be anything that is
/// the same whenever the same filled-in form is sent again.
#[utoipa::path(
    post, path = "/webhooks/form/{key}", tag = "Webhooks", operation_id = "receiveForm", security(()),
    params(("key" = String, Path, description = "The form's key.")),
    request_body(content = Object, example = json!({ "name": "Bjørn Håkonsen", "phone": "+47 912 34 567", "email": "bjorn.hakonsen@example.no", "vehicle_interest": "Tesla Model Y Long Range", "message": "Hei! Har dere denne på lager?", "source_url": "https://www.bilvest.example/modeller/model-y" })),
    responses(
        (status = 200, description = "It is received", body = FormReceipt),
        (status = 303, description = "It is received; of a plain form"),
        FormProblems,
    ),
)]
pub(crate) async fn submit(
    State(state): State<AppState>,
    Path(key): Path<String>,
    busy: Option<Extension<Busy>>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Response {
    let plain = wants_page(&headers);
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).map(str::to_owned);
    // Our own page of the form is none of the dealership's web sites.
    let own = state.addresses.public_url.as_deref().and_then(origin_of);
    let origin = origin.filter(|origin| own.as_ref() != Some(origin));
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let received = ReceivedForm { content_type, origin: origin.as_deref(), body: &body };
    let submission = match form::read(content_type, &body) {
        Ok(submission) => submission,
        Err(error) => return open_to_all(unreadable(&error).into_response()),
    };
    let done = match busy {
        None => receive(&state, &key, &submission, &received).await,
        Some(Extension(Busy(problem))) => Err(problem.into()),
    };
    match done {
        Ok((settings, receipt)) => {
            let response = if plain { thank(&settings, &submission) } else { tell(receipt) };
            with_cors(response, &settings, origin.as_deref())
        }
        Err(refusal) if plain => again(&key, &submission, &refusal, &headers),
        Err(refusal) => open_to_all(refusal.problem.into_response()),
    }
}

/// Why a form is not received whose body is read all the same.
#[derive(Clone)]
pub(crate) struct Busy(Problem);

/// Before a body is read: who has sent too many forms is told so, and who sends a long one to nobody. To somebody who looks at a
/// page, what they have typed is shown again, if it is not long.
pub(super) async fn before_the_body(
    state: &AppState,
    client: Client,
    key: &str,
    parts: &mut Parts,
) -> Result<(), Box<Response>> {
    let (is_short, plain) = (is_short(&parts.headers), wants_page(&parts.headers));
    match before_a_keyed_body(state, client, SourceKind::Form, key, is_short).await {
        Ok(()) => Ok(()),
        Err(problem) if plain && is_short => {
            parts.extensions.insert(Busy(problem));
            Ok(())
        }
        Err(problem) if plain => Err(again(key, &Submission::default(), &problem.into(), &parts.headers).into()),
        Err(problem) => Err(open_to_all(problem.into_response()).into()),
    }
}

fn unreadable(error: &NotAForm) -> Problem {
    match error {
        NotAForm::NotJson => Problem::unreadable("The body is neither a JSON object nor a form."),
        NotAForm::NotInParts(_) => Problem::unreadable("The body's parts cannot be told apart."),
    }
}

/// Why a form was not received, and how it is set, as far as that was found out.
struct Refusal {
    problem: Problem,
    settings: Option<Box<Settings>>,
}

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self { problem: error.into(), settings: None }
    }
}

/// The form once more, with what was typed.
fn again(key: &str, submission: &Submission, refusal: &Refusal, headers: &HeaderMap) -> Response {
    let Refusal { problem, settings } = refusal;
    let status = problem.status();
    let default = settings.as_ref().map_or(Language::Nb, |settings| settings.language);
    let asked = submission.language.as_deref().and_then(|language| language.parse().ok());
    let language = asked.unwrap_or_else(|| forms::language(headers, default));
    if status == StatusCode::NOT_FOUND {
        return pages::page(status, pages::closed(language));
    }
    let new_nonce = Uuid::new_v4().to_string();
    let page = FormPage {
        dealership: settings.as_ref().map_or("", |settings| &settings.dealership),
        key,
        language,
        turnstile_site_key: settings
            .as_ref()
            .and_then(|settings| settings.turnstile_site_key.as_deref().filter(|_| settings.checks_for_bots())),
        typed: &submission.typed,
        mistakes: problem.errors(),
        notice: match status {
            StatusCode::TOO_MANY_REQUESTS => Some(FormNotice::Busy),
            StatusCode::UNPROCESSABLE_ENTITY => None,
            _ => Some(FormNotice::Failed),
        },
        nonce: submission.nonce.as_deref().unwrap_or(&new_nonce),
        next: settings.as_ref().and_then(|settings| next_page(settings, submission)),
    };
    page.respond(status)
}

/// Whether whoever sends the form shows the answer to a person.
fn wants_page(headers: &HeaderMap) -> bool {
    let has =
        |name, text: &str| headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|v| v.contains(text));
    has(header::ACCEPT, "text/html") && !has(header::CONTENT_TYPE, "json")
}

async fn receive(
    state: &AppState,
    key: &str,
    submission: &Submission,
    received: &ReceivedForm<'_>,
) -> Result<(Settings, ReceiptId), Refusal> {
    let permit = state.admission.visitor().await?;
    let mut is_paid = false;
    for attempt in 1.. {
        let entered = permit.db().enter_source(SourceKind::Form.as_str(), key).await?;
        let Some(EnteredSource { mut tx, id }) = entered else { return Err(Problem::no_such_form().into()) };
        let Some(settings) = lead_sources::settings(&mut tx, id).await? else {
            return Err(Problem::no_such_form().into());
        };
        if !submission.mistakes.is_empty() {
            return Err(Refusal { problem: mistakes(submission), settings: Some(settings.into()) });
        }
        if !is_paid
            && let Err(problem) = state.inbound_quota.spend(&state.metrics, &[tx.dealership()], received.body.len())
        {
            return Err(Refusal { problem, settings: Some(settings.into()) });
        }
        is_paid = true;
        let done = match receive_form(&mut tx, &settings, submission, received).await {
            Ok(answer) => tx.commit().await.map(|()| answer).map_err(Problem::from),
            Err(error) => Err(error.into()),
        };
        match done {
            Err(problem) if problem.is_conflict() && attempt < ATTEMPTS => {}
            Err(problem) => return Err(Refusal { problem, settings: Some(settings.into()) }),
            Ok(answer) => {
                state.metrics.webhook(Source::Form, label(answer));
                return Ok((settings, answer.receipt()));
            }
        }
    }
    unreachable!("the last attempt returns")
}

/// How often a transaction is tried that others keep getting in the way of.
const ATTEMPTS: u32 = 5;

fn label(answer: FormAnswer) -> &'static str {
    match answer {
        FormAnswer::TakenIn(_) => "accepted",
        FormAnswer::Waiting(_) => "waiting",
        FormAnswer::Repeated(_) => "duplicate",
    }
}

/// What is wrong with a form whose sender nobody could reach.
fn mistakes(submission: &Submission) -> Problem {
    let message = |field: &str| match field {
        "email" => "must be an e-mail address, such as kari@example.no",
        "phone" => "must be a phone number, such as +47 912 34 567; one from abroad begins with + or 00",
        _ => "or phone is required, so that you can be answered",
    };
    let error = |mistake: &&'static str| {
        let field = if *mistake == "contact" { "email" } else { mistake };
        FieldError { field: field.to_owned(), message: message(mistake).to_owned() }
    };
    Problem::invalid_input(submission.mistakes.iter().map(error).collect())
}

fn tell(receipt: ReceiptId) -> Response {
    Json(FormReceipt { status: "received", lead_id: receipt }).into_response()
}

/// Leads to the page that the form names, if it is of one of the form's web sites, or to the dealership's, or to ours.
fn thank(settings: &Settings, submission: &Submission) -> Response {
    let ours = || format!("/forms/{}/thanks", settings.key);
    let next = next_page(settings, submission).map_or_else(ours, str::to_owned);
    match HeaderValue::try_from(next).or_else(|_| HeaderValue::try_from(ours())) {
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Err(_) => StatusCode::NO_CONTENT.into_response(),
    }
}

fn next_page<'a>(settings: &'a Settings, submission: &'a Submission) -> Option<&'a str> {
    let own = |next: &&String| origin_of(next).is_some_and(|origin| settings.allowed_origins.contains(&origin));
    submission.next.as_ref().filter(own).or(settings.thank_you_url.as_ref()).map(String::as_str)
}

/// Which pages may see the answer.
fn with_cors(mut response: Response, settings: &Settings, origin: Option<&str>) -> Response {
    let allowed = origin.filter(|origin| settings.allows(origin)).and_then(|origin| HeaderValue::try_from(origin).ok());
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

/// What says nothing of anybody's form may be seen by any page.
fn open_to_all(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after, x-request-id"));
    response
}

/// Lets any page ask: what a page may not send is parked, and its answer is not shown to it. Every request header is permitted:
/// what a page's tracing and error reporting add to each of its requests grants nothing, and no cookie is read.
pub(crate) async fn preflight(headers: HeaderMap) -> Response {
    let usual = HeaderValue::from_static("content-type, accept");
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned().unwrap_or(usual);
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, asked),
        (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600")),
        (header::VARY, HeaderValue::from_static("Access-Control-Request-Headers")),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

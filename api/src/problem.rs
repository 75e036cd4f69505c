//! Errors as `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)). `docs/api.md` lists the types.

mod of_errors;

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use common::input::FieldError;
use serde::Serialize;
use utoipa::ToSchema;

/// Seconds after which a client may try again when the database was away.
const RETRY_UNAVAILABLE: u32 = 2;
/// Seconds after which one may try again when there was too much to do.
const RETRY_OVERLOADED: u32 = 2;
/// Seconds within which a request that is under way usually has been answered.
const RETRY_UNDER_WAY: u32 = 1;

/// What went wrong, for a program (`type`) and for a person (`detail`).
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<u32>,
    is_conflict: bool,
}

/// The body of an error response.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Stable name of the kind of problem; more may be added.
    pub r#type: String,
    /// The kind of problem in a few words for people.
    pub title: String,
    /// The HTTP status of the response.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened and what to do about it, in one sentence or two.
    pub detail: String,
    /// What is wrong with each field, when the input is at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Names this request in our logs.
    pub request_id: String,
}

impl Problem {
    fn new(status: StatusCode, slug: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, slug, title, detail: detail.into(), errors: Vec::new(), retry_after: None, is_conflict: false }
    }

    fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// After how many seconds it may be tried again.
    pub(crate) fn retry_after_seconds(&self) -> Option<u32> {
        self.retry_after
    }

    /// What is wrong with each field.
    pub(crate) fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// Whether the database gave the transaction up in favour of another one, so that it is worth doing again at once.
    pub(crate) fn is_conflict(&self) -> bool {
        self.is_conflict
    }

    /// 401. Deliberately the same for every reason: the log has it, a stranger does not.
    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid-token",
            "Not signed in",
            "Send a valid Clerk session token as “Authorization: Bearer <token>”; sign in again if yours has expired.",
        )
    }

    /// 403 of a member who may not do this.
    pub(crate) fn forbidden(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not permitted", detail)
    }

    /// 404 of a resource, whether it belongs to another dealership or to none.
    pub(crate) fn not_found(slug: &'static str, title: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, slug, title, detail)
    }

    /// 404 of a form: nobody has it, or no longer.
    pub(crate) fn no_such_form() -> Self {
        let detail = "There is no form with this key; copy the address of the form from the dealership's settings.";
        Self::new(StatusCode::NOT_FOUND, "form-not-found", "Form not found", detail)
    }

    /// 409 of something that came in and does not wait for a decision.
    pub(crate) fn not_parked() -> Self {
        let detail = "It does not wait for a decision: somebody has decided, or nobody has to. Read it again.";
        Self::new(StatusCode::CONFLICT, "not-parked", "Not parked", detail)
    }

    /// 409 of something that came in and cannot become a lead.
    pub(crate) fn nothing_in_it() -> Self {
        let detail = "There is no inquiry in it that could become a lead, or its content was erased; reject it.";
        Self::new(StatusCode::CONFLICT, "no-inquiry", "No inquiry in it", detail)
    }

    /// 409 of a message that is not sent again.
    pub(crate) fn not_lost() -> Self {
        let detail = "The message is on its way, has arrived, or was never to be sent; nothing is sent again.";
        Self::new(StatusCode::CONFLICT, "not-lost", "Not lost", detail)
    }

    /// 409 of a message whose customer cannot be reached any more.
    pub(crate) fn no_address() -> Self {
        let detail = "The lead has no address for this channel any more; add one, or write by another channel.";
        Self::new(StatusCode::CONFLICT, "no-address", "No address", detail)
    }

    /// 409 of a lead for which nothing was drafted.
    pub(crate) fn no_draft() -> Self {
        let detail = "No draft waits for this lead: it was sent, or withdrawn, or none was written.";
        Self::new(StatusCode::CONFLICT, "no-draft", "No draft", detail)
    }

    /// 409 of a choice among no pages.
    pub(crate) fn no_pages() -> Self {
        let detail =
            "There are no pages of Facebook to choose among: log in to Facebook, or look how far that has come.";
        Self::new(StatusCode::CONFLICT, "no-pages", "No pages to choose among", detail)
    }

    /// 409 of a suggestion that nobody could write.
    pub(crate) fn no_assistant() -> Self {
        let detail =
            "No assistant is configured here, so nothing can be suggested; ask whoever operates this service for one.";
        Self::new(StatusCode::CONFLICT, "no-assistant", "No assistant", detail)
    }

    /// 409 of a suggestion where the dealership wants nothing of the assistant.
    pub(crate) fn assistant_off() -> Self {
        let detail = "Your dealership has switched the assistant off: an admin can set the mode of /dealership/answers to \
                      draft or on.";
        Self::new(StatusCode::CONFLICT, "assistant-off", "Assistant switched off", detail)
    }

    /// 409 of a suggestion beyond what the dealership allows for a day.
    pub(crate) fn assistant_limit() -> Self {
        let detail = "Your dealership has had as much of the assistant as it allows in 24 hours; wait, or have an admin \
                      raise daily_cap or daily_tokens_cap of /dealership/answers.";
        Self::new(StatusCode::CONFLICT, "assistant-limit", "Limit of the assistant reached", detail)
    }

    /// 409 of two records that are one person already.
    pub(crate) fn same_customer() -> Self {
        let detail = "The two are the same customer already.";
        Self::new(StatusCode::CONFLICT, "same-customer", "The same customer", detail)
    }

    /// 400 of a POST whose key cannot be one.
    pub(crate) fn unusable_key() -> Self {
        let detail =
            "Send one header “Idempotency-Key” of 1 to 255 printable ASCII characters, such as a new UUID, or none.";
        Self::new(StatusCode::BAD_REQUEST, "unusable-key", "Unusable Idempotency-Key", detail)
    }

    /// 409 of a POST that is sent again before the first was answered.
    pub(crate) fn under_way() -> Self {
        let detail =
            "A request with this Idempotency-Key is being answered; send it again after as long as Retry-After says.";
        Self::new(StatusCode::CONFLICT, "under-way", "Under way", detail).retry_after(RETRY_UNDER_WAY)
    }

    /// 409 of a POST that is sent again after its answer was erased.
    pub(crate) fn answer_erased() -> Self {
        let detail = "It was done when it was first sent, but a customer's data was erased since, and what it was answered with \
                      it. Nothing is done again; read what is there.";
        Self::new(StatusCode::CONFLICT, "answer-erased", "Answer erased", detail)
    }

    /// 422 of a POST whose key another one had.
    pub(crate) fn key_of_another() -> Self {
        let message = "was used for another request; choose a new one for each, and send what you repeat unchanged";
        let problem = Self::invalid_field("Idempotency-Key", message);
        Self { slug: "key-of-another", title: "Key of another request", ..problem }
    }

    /// Somebody else did the same meanwhile, which a new transaction sees.
    pub(crate) fn overtaken() -> Self {
        Self { is_conflict: true, ..Self::unavailable() }
    }

    pub(crate) fn no_such_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no-such-route",
            "No such address",
            "Nothing is served here; /docs shows what is.",
        )
    }

    pub(crate) fn method_not_allowed() -> Self {
        let detail = "This address does not take this method; /docs shows which it takes.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
    }

    /// 422, with every field's problem.
    pub(crate) fn invalid_input(errors: Vec<FieldError>) -> Self {
        let fields: Vec<_> = errors.iter().map(|e| format!("{} {}", e.field, e.message)).collect();
        let detail = format!("{}.", fields.join("; "));
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-input", "Invalid input", detail);
        Self { errors, ..problem }
    }

    /// 422, for what is wrong with one field.
    pub(crate) fn invalid_field(field: &str, message: &str) -> Self {
        Self::invalid_input(vec![FieldError { field: field.to_owned(), message: message.to_owned() }])
    }

    pub(crate) fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unreadable-request", "Unreadable request", detail)
    }

    /// 431 of a request whose line and headers are too long, or too many.
    pub(crate) fn head_too_large() -> Self {
        let detail =
            "The request's line and headers are larger than the 32 kB, or more than the 100, that are read here.";
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Self::new(status, "head-too-large", "Headers too large", detail)
    }

    pub(crate) fn query_not_utf8() -> Self {
        Self::unreadable("The query string is not UTF-8: write “å” as %C3%A5, as encodeURIComponent does, not as %E5.")
    }

    /// 415.
    pub(crate) fn compressed() -> Self {
        let detail = "Compressed bodies are not read: send the body as it is, without the header “Content-Encoding”.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "compressed-body", "Compressed body", detail)
    }

    /// 415.
    pub(crate) fn not_json() -> Self {
        let detail = "Send the body as JSON, with the header “Content-Type: application/json”.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "Not JSON", detail)
    }

    /// 413 of a body of more than so many bytes.
    pub(crate) fn too_large(limit: usize) -> Self {
        let detail = format!("The body is larger than the {} MB that is accepted here.", limit / (1024 * 1024));
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large", detail)
    }

    /// 408 of a body that took longer.
    pub(crate) fn too_slow(limit: Duration) -> Self {
        let detail = format!("The body did not arrive within {} seconds.", limit.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", "Body too slow", detail)
    }

    pub(crate) fn invalid_signature() -> Self {
        let detail = "The signature or its timestamp is not valid for this body and this endpoint.";
        Self::new(StatusCode::BAD_REQUEST, "invalid-signature", "Invalid signature", detail)
    }

    /// 401 of a webhook. Deliberately the same for every reason.
    pub(crate) fn not_the_sender() -> Self {
        let detail = "This is not signed, or not with a secret that is configured here for this sender.";
        Self::new(StatusCode::UNAUTHORIZED, "not-the-sender", "Not the sender", detail)
    }

    /// 503: what we depend on is away.
    pub(crate) fn unavailable() -> Self {
        let detail = "The service cannot answer right now; try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Temporarily unavailable", detail)
            .retry_after(RETRY_UNAVAILABLE)
    }

    /// 503 at once: more is asked than can be answered soon.
    pub(crate) fn overloaded() -> Self {
        let detail = "The service has too much to do right now; try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Overloaded", detail).retry_after(RETRY_OVERLOADED)
    }

    /// 429, to be tried again after `wait`.
    pub(crate) fn too_many_requests(wait: Duration) -> Self {
        let detail =
            "Too many requests that were refused, or that need no token, came from your address; wait a moment.";
        let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests", detail).retry_after(seconds)
    }

    /// 429 of a dealership that has written too much, to be tried again after `wait`.
    pub(crate) fn quota_exceeded(wait: Duration) -> Self {
        let detail = "Your dealership has written more than its quota for a day allows; wait as long as Retry-After says, or \
                      ask whoever operates this service for a larger quota.";
        let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        Self::new(StatusCode::TOO_MANY_REQUESTS, "quota-exceeded", "Quota exceeded", detail).retry_after(seconds)
    }

    /// 429 to whoever sends something for a dealership that has been sent too much.
    pub(crate) fn inbound_quota_exceeded(wait: Duration) -> Self {
        let detail = "More has been sent for this dealership than is taken in a day; send it again after as long as Retry-After says.";
        let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        Self::new(StatusCode::TOO_MANY_REQUESTS, "quota-exceeded", "Quota exceeded", detail).retry_after(seconds)
    }

    /// 429 of somebody who has more under way than one person or one dealership may.
    pub(crate) fn too_much_at_once() -> Self {
        let detail = "Too many requests of yours or of your dealership are under way; wait until some are answered.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-at-once", "Too many requests at once", detail)
            .retry_after(RETRY_OVERLOADED)
    }

    pub(crate) fn not_ready(detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Not ready", detail).retry_after(RETRY_UNAVAILABLE)
    }

    pub(crate) fn internal() -> Self {
        let detail = "Something went wrong on our side. The request id tells us where to look.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    /// What a bare status that some layer answered with means.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::no_such_route(),
            StatusCode::METHOD_NOT_ALLOWED => Self::method_not_allowed(),
            // A request that took too long.
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable(),
            status if status.is_client_error() => {
                Self { status, ..Self::unreadable("The request cannot be understood as it was sent.") }
            }
            _ => Self::internal(),
        }
    }

    /// Its stable name.
    pub(crate) fn kind(&self) -> String {
        format!("urn:norvalt:problem:{}", self.slug)
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether the same request may succeed later.
    pub(crate) fn may_be_retried(&self) -> bool {
        self.retry_after.is_some()
    }

    pub(crate) fn into_body(self, request_id: &str) -> ProblemBody {
        ProblemBody {
            r#type: self.kind(),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            errors: self.errors,
            request_id: request_id.to_owned(),
        }
    }

    /// The response, once the request's id is known.
    pub(crate) fn render(self, request_id: &str) -> Response {
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = (status, Json(self.into_body(request_id))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Leaves the rendering to [`crate::request_log::with_request_id`], which knows the request's id.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

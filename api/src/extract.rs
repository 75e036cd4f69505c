//! Reading requests: what arrives in a handler is parsed and valid.

use std::{borrow::Cow, fmt::Display, str::FromStr, sync::Arc};

use axum::{
    body::Bytes,
    extract::{FromRef, FromRequestParts, Path},
    http::{HeaderMap, Method, header, request::Parts},
};
use common::{
    ids::{AutomationRuleId, CustomerId, LeadId, MessageId, SourceId, VehicleId},
    input::FromFields,
};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tracing::{Span, field::display};

use crate::{
    body::BufferedBody,
    client::{Client, TrustedProxies},
    problem::Problem,
    rate_limit::RateLimiter,
};

/// The query string, parsed as a whole: 422 with every parameter's problem.
pub(crate) struct ValidQuery<T>(pub(crate) T);

impl<T: FromFields, S: Send + Sync> FromRequestParts<S> for ValidQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = decode_query(parts.uri.query().unwrap_or_default()).ok_or_else(Problem::query_not_utf8)?;
        T::read_query(pairs).map(Self).map_err(Problem::invalid_input)
    }
}

/// Names and values, unless they are in another encoding than UTF-8.
/// <https://url.spec.whatwg.org/#concept-urlencoded-parser>
pub(crate) fn decode_query(query: &str) -> Option<Vec<(String, String)>> {
    let decode = |text: &str| -> Option<String> {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().ok().map(Cow::into_owned)
    };
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(|pair| *pair != ("", "")).map(|(name, value)| Some((decode(name)?, decode(value)?))).collect()
}

/// The body as it was sent.
pub(crate) struct RawBody(pub(crate) Bytes);

impl<S: Send + Sync> FromRequestParts<S> for RawBody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let buffered = parts.extensions.get().cloned().expect("the router lets bodies arrive before any route");
        let BufferedBody(body) = buffered;
        body.map(Self)
    }
}

/// The same of somebody who is not known yet: what of theirs cannot be read counts.
pub(crate) struct StrangersBody(pub(crate) Bytes);

impl<S: Send + Sync> FromRequestParts<S> for StrangersBody
where
    Arc<RateLimiter>: FromRef<S>,
    TrustedProxies: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let body = RawBody::from_request_parts(parts, state).await;
        let client = Client::of(parts, TrustedProxies::from_ref(state));
        body.map(|RawBody(body)| Self(body))
            .map_err(|problem| Arc::<RateLimiter>::from_ref(state).refuse(client, problem))
    }
}

/// The JSON body, parsed as a whole: 422 with every field's problem.
pub(crate) struct ValidJson<T>(pub(crate) T);

impl<T: FromFields, S: Send + Sync> FromRequestParts<S> for ValidJson<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(Problem::compressed());
        }
        if !is_json(&parts.method, &parts.headers) {
            return Err(Problem::not_json());
        }
        let RawBody(body) = RawBody::from_request_parts(parts, state).await?;
        let text = str::from_utf8(&body).map_err(|_| Problem::unreadable("The body is not UTF-8."))?;
        // Some programs begin every file with a byte order mark. <https://www.rfc-editor.org/rfc/rfc8259#section-8.1>
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match serde_json::from_str(text) {
            Ok(Value::Object(_)) => {}
            Ok(_) => return Err(Problem::unreadable("The body must be a JSON object.")),
            // The number may be one that is stored as it is; if not, its field is named.
            Err(error) if is_number_out_of_range(&error) => {}
            Err(error) => return Err(not_valid(&error)),
        }
        let fields = serde_json::from_str(text).map_err(|error| not_valid(&error))?;
        T::read(fields).map(Self).map_err(Problem::invalid_input)
    }
}

fn not_valid(error: &serde_json::Error) -> Problem {
    let place = format!("line {}, column {}", error.line(), error.column());
    Problem::unreadable(format!("The body is not valid JSON: look at {place}."))
}

/// JSON's numbers have no bounds; those of `serde_json` are doubles, and only its message tells this error from others.
fn is_number_out_of_range(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("number out of range")
}

/// What changes something may also be called what it is. <https://www.rfc-editor.org/rfc/rfc7396>
fn is_json(method: &Method, headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|value| value.split(';').next()).map(str::trim).unwrap_or_default();
    essence.eq_ignore_ascii_case("application/json")
        || (method == Method::PATCH && essence.eq_ignore_ascii_case("application/merge-patch+json"))
}

/// An id that can stand in a path.
pub(crate) trait InPath: FromStr + Display {
    /// What to answer when there is nothing of this id.
    fn not_found() -> Problem;
}

impl InPath for LeadId {
    fn not_found() -> Problem {
        Problem::not_found("lead-not-found", "Lead not found", "Your dealership has no lead with this id.")
    }
}

impl InPath for MessageId {
    fn not_found() -> Problem {
        Problem::not_found("message-not-found", "Message not found", "Your dealership has no message with this id.")
    }
}

impl InPath for VehicleId {
    fn not_found() -> Problem {
        Problem::not_found("vehicle-not-found", "Vehicle not found", "Your dealership has no vehicle with this id.")
    }
}

impl InPath for AutomationRuleId {
    fn not_found() -> Problem {
        let detail = "Your dealership has no automation rule with this id.";
        Problem::not_found("automation-rule-not-found", "Automation rule not found", detail)
    }
}

impl InPath for CustomerId {
    fn not_found() -> Problem {
        Problem::not_found("customer-not-found", "Customer not found", "Your dealership has no customer with this id.")
    }
}

impl InPath for SourceId {
    fn not_found() -> Problem {
        let detail = "Your dealership has no source of leads with this id.";
        Problem::not_found("lead-source-not-found", "Source of leads not found", detail)
    }
}

/// The number of something that came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InboundId(pub(crate) i64);

impl FromStr for InboundId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Display for InboundId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl InPath for InboundId {
    fn not_found() -> Problem {
        let detail = "Nothing with this number came in for your dealership.";
        Problem::not_found("inbound-not-found", "Nothing of this number", detail)
    }
}

/// The id in the path. What cannot be an id is as little there as an unknown one.
pub(crate) struct PathId<T>(pub(crate) T);

impl<T: InPath, S: Send + Sync> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id): Path<String> = Path::from_request_parts(parts, state).await.map_err(|_| T::not_found())?;
        let id: T = id.parse().map_err(|_| T::not_found())?;
        Span::current().record("id", display(&id));
        Ok(Self(id))
    }
}

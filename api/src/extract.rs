//! Reading requests: what arrives in a handler is parsed and valid.

use std::{fmt::Display, str::FromStr};

use axum::{
    body::Bytes,
    extract::{FromRequestParts, Path, Query},
    http::{HeaderMap, header, request::Parts},
};
use common::{
    ids::{AutomationRuleId, LeadId, VehicleId},
    input::FromFields,
};
use serde_json::{Map, Value};
use tracing::{Span, field::display};

use crate::{body::BufferedBody, problem::Problem};

/// The query string, parsed as a whole: 422 with every parameter's problem.
pub(crate) struct ValidQuery<T>(pub(crate) T);

impl<T: FromFields, S: Send + Sync> FromRequestParts<S> for ValidQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs: Query<Vec<(String, String)>> = Query::try_from_uri(&parts.uri)
            .map_err(|_| Problem::unreadable("The query string is not valid form encoding."))?;
        let fields: Map<String, Value> = pairs.0.into_iter().map(|(name, value)| (name, value.into())).collect();
        T::read(fields).map(Self).map_err(Problem::invalid_input)
    }
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

/// The JSON body, parsed as a whole: 422 with every field's problem.
pub(crate) struct ValidJson<T>(pub(crate) T);

impl<T: FromFields, S: Send + Sync> FromRequestParts<S> for ValidJson<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if !is_json(&parts.headers) {
            return Err(Problem::not_json());
        }
        let RawBody(body) = RawBody::from_request_parts(parts, state).await?;
        match serde_json::from_slice(&body) {
            Ok(Value::Object(fields)) => T::read(fields).map(Self).map_err(Problem::invalid_input),
            Ok(_) => Err(Problem::unreadable("The body must be a JSON object.")),
            Err(error) => {
                let place = format!("line {}, column {}", error.line(), error.column());
                Err(Problem::unreadable(format!("The body is not valid JSON: look at {place}.")))
            }
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|value| value.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
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

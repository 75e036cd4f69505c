//! Reading requests: what arrives in a handler is parsed and valid.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use common::{ids::LeadId, input::FromFields};
use serde_json::{Map, Value};

use crate::problem::Problem;

/// The query string, parsed as a whole: 422 with every parameter's problem.
pub(crate) struct ValidQuery<T>(pub(crate) T);

impl<T: FromFields, S: Send + Sync> FromRequestParts<S> for ValidQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs: axum::extract::Query<Vec<(String, String)>> = axum::extract::Query::try_from_uri(&parts.uri)
            .map_err(|_| Problem::unreadable("The query string is not valid form encoding."))?;
        let fields: Map<String, Value> = pairs.0.into_iter().map(|(name, value)| (name, value.into())).collect();
        T::read(fields).map(Self).map_err(Problem::invalid_input)
    }
}

/// The lead that the path names. What cannot be an id is as little there as an unknown one.
pub(crate) struct LeadPath(pub(crate) LeadId);

impl<S: Send + Sync> FromRequestParts<S> for LeadPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id): Path<String> =
            Path::from_request_parts(parts, state).await.map_err(|_| Problem::lead_not_found())?;
        id.parse().map(Self).map_err(|_| Problem::lead_not_found())
    }
}

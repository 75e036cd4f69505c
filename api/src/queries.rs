//! A misspelled parameter must not show everything: what the document does not name, nobody takes.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use common::input::{Fields, FromFields};
use utoipa::openapi::{
    OpenApi, RefOr,
    path::{Operation, ParameterIn},
};

use crate::{extract::decode_query, problem::Problem};

/// The paths at which a GET reads parameters, which it checks itself. All others take none.
#[derive(Debug, Clone)]
pub(crate) struct WithQuery(Arc<BTreeSet<String>>);

impl WithQuery {
    pub(crate) fn of(document: &OpenApi) -> Self {
        let takes = |get: &Operation| {
            let mut parameters = get.parameters.iter().flatten();
            parameters.any(|one| matches!(one, RefOr::T(one) if one.parameter_in == ParameterIn::Query))
        };
        let paths = document.paths.paths.iter().filter(|(_, item)| item.get.as_ref().is_some_and(takes));
        Self(Arc::new(paths.map(|(path, _)| path.clone()).collect()))
    }

    fn has(&self, request: &Request) -> bool {
        // A HEAD is answered as a GET.
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        reads && path.is_some_and(|path| self.0.contains(path))
    }
}

/// No parameters.
struct Nothing;

impl FromFields for Nothing {
    fn from_fields(_: &mut Fields) -> Option<Self> {
        Some(Self)
    }
}

/// Refuses parameters where none are taken.
pub(crate) async fn refuse_unknown(
    State(with_query): State<WithQuery>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if let Some(query) = request.uri().query()
        && !with_query.has(&request)
    {
        let pairs = decode_query(query).ok_or_else(Problem::query_not_utf8)?;
        Nothing::read_query(pairs).map_err(Problem::invalid_input)?;
    }
    Ok(next.run(request).await)
}

use axum::{
    extract::{Path, RawQuery},
    http::HeaderMap,
    response::Response,
};

use crate::{pages, problem::Problem};

/// A style sheet or script of the hosted form, as the version that `v` names.
pub(crate) async fn asset(
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let version = query.as_deref().and_then(|query| query.strip_prefix("v="));
    pages::asset(&name, version, &headers).ok_or_else(Problem::no_such_route)
}

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// 201 with what was created, and where it is from now on.
pub(crate) struct Created<T> {
    location: String,
    body: T,
}

impl<T> Created<T> {
    pub(crate) fn at(location: String, body: T) -> Self {
        Self { location, body }
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(header::LOCATION, self.location)], Json(self.body)).into_response()
    }
}

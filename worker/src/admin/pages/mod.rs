//! What operators see of the queue and of deliveries, and what they can do about it. Nothing personal: ids, roles and
//! reasons, but never the body of a delivery. No scripts: a confirmation is a `<details>`, a result is in the address.

mod actions;
mod deliveries;
mod history;
mod jobs;
mod layout;
mod notice;
mod overview;
mod pager;
mod queues;
mod table;
mod text;

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use common::{db, telemetry::error_chain};
use maud::html;

use super::Admin;

/// Rows on one page.
const ROWS: usize = 50;

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/", get(overview::show))
        .route("/queues/{queue}/pause", post(queues::pause))
        .route("/queues/{queue}/resume", post(queues::resume))
        .route("/jobs", get(jobs::list))
        .route("/jobs/retry", post(actions::retry_all))
        .route("/jobs/{id}", get(jobs::show))
        .route("/jobs/{id}/retry", post(actions::retry))
        .route("/jobs/{id}/cancel", post(actions::cancel))
        .route("/deliveries", get(deliveries::list))
        .route("/deliveries/{id}", get(deliveries::show))
        .route("/deliveries/{id}/replay", post(actions::replay))
        .route("/history", get(history::show))
        .fallback(async || PageError::NotFound)
}

/// Why a page cannot be shown.
pub(super) enum PageError {
    NotFound,
    Db(db::Error),
}

impl From<db::Error> for PageError {
    fn from(error: db::Error) -> Self {
        Self::Db(error)
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (code, title, said) = match self {
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Not found",
                "There is no such page, job or delivery. Finished jobs and old deliveries are deleted after a while.",
            ),
            Self::Db(error) => {
                tracing::error!(error = error_chain(&error), "an operators' page could not be shown");
                match error {
                    db::Error::Unavailable(_) => (
                        StatusCode::SERVICE_UNAVAILABLE,
                        "Not now",
                        "The database did not answer; the worker's log says why. Try again in a moment.",
                    ),
                    db::Error::Refused(_) => (
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "This cannot be shown",
                        "The database refused the question, or it took too long; the worker's log says why. A narrower filter may help.",
                    ),
                }
            }
        };
        (code, layout::bare(title, &html! { p { (said) } p { a href="/" { "Back to the queue" } } })).into_response()
    }
}

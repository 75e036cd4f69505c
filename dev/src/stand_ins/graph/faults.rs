use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;

use super::refusal::Refusal;

/// What may be wrong with one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Code 190, subcode 463.
    Expired,
    /// Code 10.
    NoPermission,
    /// Code 4, and how long to wait.
    Throttled,
    /// Code 2.
    Temporary,
    /// Code 100, subcode 33.
    Missing,
    /// A page that says sorry, with status 500.
    Html,
    /// Half a minute.
    Slow,
}

const SLOW: Duration = Duration::from_secs(30);

/// The faults of the next answers.
#[derive(Default)]
pub(super) struct Faults(Mutex<VecDeque<Fault>>);

impl Faults {
    pub(super) fn add(&self, fault: Fault, count: usize) {
        self.queue().extend(std::iter::repeat_n(fault, count));
    }

    /// The answer to give instead, if the next one shall be wrong.
    pub(super) async fn next(&self) -> Option<Response> {
        let fault = self.queue().pop_front()?;
        Some(match fault {
            Fault::Expired => Refusal::EXPIRED.into_response(),
            Fault::NoPermission => Refusal::NO_PERMISSION.into_response(),
            Fault::Throttled => {
                let usage = r#"{"1":[{"type":"leadgen","call_count":100,"estimated_time_to_regain_access":3}]}"#;
                ([("x-business-use-case-usage", usage)], Refusal::THROTTLED).into_response()
            }
            Fault::Temporary => Refusal::TEMPORARY.into_response(),
            Fault::Missing => Refusal::MISSING.into_response(),
            Fault::Html => {
                (StatusCode::INTERNAL_SERVER_ERROR, Html("<h1>Sorry, something went wrong.</h1>")).into_response()
            }
            Fault::Slow => {
                tokio::time::sleep(SLOW).await;
                return None;
            }
        })
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{ChangeError, Event, Instance};

/// What can be wrong with the Backend API: a client has to cope with all of it.
#[derive(Default)]
pub struct Faults(Mutex<State>);

#[derive(Default)]
struct State {
    refusals: u32,
    refusal: Option<(StatusCode, u64)>,
    delay: Duration,
    nameless: bool,
    unlisted: Vec<String>,
    hidden: Vec<String>,
    odd: Vec<(&'static str, Value)>,
    happening: Option<(&'static str, Happening)>,
}

type Happening = Box<dyn FnOnce(&mut Instance, DateTime<Utc>) -> Result<Vec<Event>, ChangeError> + Send>;

impl Faults {
    /// Answers the next `count` requests with 429, and `Retry-After: 1`.
    pub fn refuse_requests(&self, count: u32) {
        self.refuse_with(count, StatusCode::TOO_MANY_REQUESTS, 1);
    }

    /// Answers the next `count` requests with this status, and so many seconds as `Retry-After`.
    pub fn refuse_with(&self, count: u32, status: StatusCode, retry_after: u64) {
        let mut state = self.state();
        (state.refusals, state.refusal) = (count, Some((status, retry_after)));
    }

    /// Takes so long for each answer.
    pub fn set_delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Does not say which instance it is.
    pub fn set_nameless(&self) {
        self.state().nameless = true;
    }

    /// Leaves these out of the lists of everything, as may happen while paging through a list that changes.
    pub fn pass_over(&self, ids: Vec<String>) {
        self.state().unlisted = ids;
    }

    /// Behaves as if these did not exist: they are in no list, and asking for one gives 404.
    pub fn hide(&self, ids: Vec<String>) {
        self.state().hidden = ids;
    }

    /// Lists these as well: each the `object` of its list, such as `user`, and in no shape that makes sense.
    pub fn list_also(&self, odd: Vec<(&'static str, Value)>) {
        self.state().odd = odd;
    }

    /// Lets something happen right after the first answer to a request for this path.
    pub fn let_happen(
        &self,
        after: &'static str,
        happening: impl FnOnce(&mut Instance, DateTime<Utc>) -> Result<Vec<Event>, ChangeError> + Send + 'static,
    ) {
        self.state().happening = Some((after, Box::new(happening)));
    }

    pub(super) fn refusal(&self) -> Option<(StatusCode, u64)> {
        let mut state = self.state();
        state.refusals = state.refusals.checked_sub(1)?;
        state.refusal
    }

    pub(super) fn delay(&self) -> Duration {
        self.state().delay
    }

    pub(super) fn is_nameless(&self) -> bool {
        self.state().nameless
    }

    pub(super) fn is_hidden(&self, id: &str) -> bool {
        self.state().hidden.iter().any(|hidden| hidden == id)
    }

    pub(super) fn listed(&self, object: &str, mut all: Vec<Value>) -> Vec<Value> {
        let state = self.state();
        all.retain(|object| !state.unlisted.iter().chain(&state.hidden).any(|id| object["id"] == *id));
        all.extend(state.odd.iter().filter(|(kind, _)| *kind == object).map(|(_, odd)| odd.clone()));
        all
    }

    pub(super) fn happening_after(&self, path: &str) -> Option<Happening> {
        self.state().happening.take_if(|(after, _)| *after == path).map(|(_, happening)| happening)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole also after a panic: each change is a single assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

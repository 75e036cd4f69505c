use std::{error::Error, time::Duration};

use common::telemetry::error_chain;

/// Something that is tried until it works: how long to wait between two attempts, and one line in the log for the
/// beginning and the end instead of one for each.
#[derive(Debug)]
pub(super) struct RetryLog {
    what: &'static str,
    failures: u32,
}

impl RetryLog {
    /// Nothing is wrong yet. `what` completes the sentence "cannot …".
    pub(super) fn of(what: &'static str) -> Self {
        Self { what, failures: 0 }
    }

    /// It failed: returns how long to wait, from 50 ms doubling to 0.8 s.
    pub(super) fn pause(&mut self, error: &(dyn Error + 'static)) -> Duration {
        // Again about once a minute, so that somebody who looks later sees it too.
        if self.failures.is_multiple_of(64) {
            let (what, failures) = (self.what, self.failures);
            tracing::warn!(error = error_chain(error), failures, "cannot {what}; it is tried until it works");
        }
        let pause = Duration::from_millis(50 << self.failures.min(4));
        self.failures = self.failures.saturating_add(1);
        pause
    }

    pub(super) fn over(&mut self) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "it is possible again to {}", self.what);
            self.failures = 0;
        }
    }
}

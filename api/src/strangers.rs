//! Those who show by a signature that they are who they say, and those who do not.

use std::fmt::Display;

use axum::http::HeaderMap;

use crate::{body::is_short, client::Client, problem::Problem, signatures::mail::Authenticity, state::AppState};

/// Lets through what its sender has signed, or may have signed. Whoever is not the sender costs the client something.
pub(crate) fn require_authentic(
    authenticity: Authenticity,
    state: &AppState,
    client: Client,
    sender: &str,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    match authenticity {
        Authenticity::Authentic => Ok(()),
        Authenticity::Plausible if is_short(headers) => Ok(()),
        Authenticity::Plausible => state.rate_limiter.allows(client),
        Authenticity::Forged => {
            Err(refuse(state, client, sender, Problem::not_the_sender(), &"it is not signed as by this sender"))
        }
        Authenticity::NotConfigured => {
            state.rate_limiter.check(client)?;
            if let Some(suppressed) = state.refusal_lines.not_configured.next() {
                tracing::error!(
                    sender,
                    suppressed,
                    "not taken: no key of this sender is configured; of such lines, only some are written"
                );
            }
            Err(Problem::not_ready("Nothing of this sender is taken here; configure its key."))
        }
    }
}

/// What whoever is not the sender is told: `problem`, unless they have sent too much. Some lines say why.
pub(crate) fn refuse(
    state: &AppState,
    client: Client,
    sender: &str,
    problem: Problem,
    reason: &dyn Display,
) -> Problem {
    if let Err(too_many) = state.rate_limiter.check(client) {
        return too_many;
    }
    if let Some(suppressed) = state.refusal_lines.forged.next() {
        tracing::warn!(sender, %reason, suppressed, "webhook refused; of such lines, only some are written");
    }
    problem
}

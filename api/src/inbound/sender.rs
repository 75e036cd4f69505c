use crate::{client::Client, problem::Problem, signatures::mail::Authenticity, state::AppState};

/// Lets through what its sender has signed. Whoever is not the sender costs the client something.
pub(super) fn require_authentic(
    authenticity: Authenticity,
    state: &AppState,
    client: Client,
    sender: &str,
) -> Result<(), Problem> {
    match authenticity {
        Authenticity::Authentic => Ok(()),
        Authenticity::Forged => {
            tracing::warn!(sender, "refused: it is not signed as by this sender");
            Err(state.rate_limiter.refuse(client, Problem::not_the_sender()))
        }
        Authenticity::NotConfigured => {
            tracing::error!(sender, "not taken: no key of this sender is configured");
            Err(Problem::not_ready("Nothing of this sender is taken here; configure its key."))
        }
    }
}

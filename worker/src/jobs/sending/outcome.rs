//! What sending a mail and a text message have in common.

use std::time::Duration;

use common::{
    db::TenantTx,
    ids::OutboxId,
    outbox::{Tried, mark_accepted, mark_in_doubt, mark_not_taken, mark_refused, mark_retrying},
    sending_accounts::{self, AccountError, Own},
    telemetry::error_chain,
};
use integrations::email::{Accepted, NoProvider, SendError};

use crate::JobError;

/// The longest from one try to the next.
const MAX_PAUSE: Duration = Duration::from_mins(10);
/// After a provider said that it does not know us.
const REPAIR: Duration = Duration::from_mins(5);

/// What a provider said, as far as it matters for the message.
pub(super) enum SendOutcome {
    Accepted {
        provider: &'static str,
        id: Option<String>,
        arrives: bool,
    },
    NotTaken {
        after: Duration,
        reason: String,
    },
    AskAgain {
        after: Duration,
        reason: String,
    },
    /// Until somebody repairs it, nothing is taken.
    Misconfigured {
        reason: String,
    },
    InDoubt {
        provider: &'static str,
        reason: String,
    },
    Refused {
        provider: &'static str,
        reason: String,
    },
}

/// The provider that was asked.
pub(super) struct Provider {
    pub(super) name: &'static str,
    pub(super) is_idempotent: bool,
    pub(super) reports_delivery: bool,
}

impl Provider {
    /// What its answer means for a message. While the provider may have it, nothing that it says of another try tells that
    /// it has not.
    pub(super) fn outcome(&self, answer: Result<Accepted, SendError>, tried: Tried) -> SendOutcome {
        let pause = Duration::from_secs(2 << tried.attempts.clamp(0, 9)).min(MAX_PAUSE);
        let not_taken = |after, reason| {
            if tried.is_in_doubt {
                SendOutcome::AskAgain { after, reason }
            } else {
                SendOutcome::NotTaken { after, reason }
            }
        };
        match answer {
            Ok(Accepted { provider_id }) => {
                SendOutcome::Accepted { provider: self.name, id: provider_id, arrives: !self.reports_delivery }
            }
            Err(error) => {
                let reason = error_chain(&error);
                match error {
                    SendError::Unreachable(_) => not_taken(pause, reason),
                    SendError::InDoubt(_) if self.is_idempotent => SendOutcome::AskAgain { after: pause, reason },
                    SendError::InDoubt(_) => SendOutcome::InDoubt { provider: self.name, reason },
                    SendError::Busy { after, .. } => not_taken(after, reason),
                    SendError::Misconfigured(_) if tried.is_in_doubt => not_taken(REPAIR, reason),
                    SendError::Misconfigured(_) => SendOutcome::Misconfigured { reason },
                    SendError::Refused(reason) if tried.is_in_doubt => {
                        SendOutcome::InDoubt { provider: self.name, reason }
                    }
                    SendError::Refused(reason) => SendOutcome::Refused { provider: self.name, reason },
                }
            }
        }
    }
}

/// What was said through which account, if not ours.
pub struct AccountOutcome {
    pub(super) outcome: SendOutcome,
    pub(super) own: Option<Own<()>>,
}

impl AccountOutcome {
    /// Writes it down, in the transaction that completes the job.
    pub(super) async fn save(self, id: OutboxId, tx: &mut TenantTx) -> Result<(), JobError> {
        if let Some(own) = &self.own {
            match &self.outcome {
                SendOutcome::Accepted { .. } => sending_accounts::mark_working(tx, own).await?,
                SendOutcome::Misconfigured { reason } => sending_accounts::mark_broken(tx, own, reason).await?,
                _ => {}
            }
        }
        self.outcome.save(id, tx).await
    }
}

/// A client of the dealership's account cannot be made.
pub(super) fn no_client(error: &NoProvider) -> SendOutcome {
    SendOutcome::Misconfigured { reason: error_chain(error) }
}

pub(super) fn to_job_error(error: AccountError) -> JobError {
    match error {
        AccountError::Db(error) => error.into(),
        error @ (AccountError::NoKey(_) | AccountError::Open(_)) => JobError::retry(error),
    }
}

impl SendOutcome {
    async fn save(self, id: OutboxId, tx: &mut TenantTx) -> Result<(), JobError> {
        match self {
            Self::Accepted { provider, id: provider_id, arrives } => {
                tracing::info!(outbox_id = %id, provider, "sent a message");
                mark_accepted(tx, id, provider, provider_id.as_deref(), arrives).await?;
            }
            Self::NotTaken { after, reason } => {
                tracing::warn!(outbox_id = %id, reason, seconds = after.as_secs(), "a message was not taken and is tried again");
                mark_not_taken(tx, id, after, &reason).await?;
            }
            Self::AskAgain { after, reason } => {
                tracing::warn!(outbox_id = %id, reason, seconds = after.as_secs(), "a message may have been taken; the provider knows it and is asked again");
                mark_retrying(tx, id, after, &reason).await?;
            }
            Self::Misconfigured { reason } => {
                tracing::error!(outbox_id = %id, reason, "the provider does not let us send, until somebody repairs it");
                mark_not_taken(tx, id, REPAIR, &reason).await?;
            }
            Self::InDoubt { provider, reason } => {
                tracing::error!(outbox_id = %id, provider, reason, "a message may have been sent or not: a person has to decide");
                mark_in_doubt(tx, id, provider, &reason).await?;
            }
            Self::Refused { provider, reason } => {
                tracing::warn!(outbox_id = %id, provider, reason, "a message was refused");
                mark_refused(tx, id, provider, &reason).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done about an answer of a provider that knows what it has.
    fn done(answer: Result<Accepted, SendError>, is_in_doubt: bool) -> &'static str {
        let provider = Provider { name: "resend", is_idempotent: true, reports_delivery: true };
        match provider.outcome(answer, Tried { attempts: 1, is_in_doubt }) {
            SendOutcome::Accepted { .. } => "accepted",
            SendOutcome::NotTaken { .. } => "not taken",
            SendOutcome::AskAgain { .. } => "ask again",
            SendOutcome::Misconfigured { .. } => "misconfigured",
            SendOutcome::InDoubt { .. } => "in doubt",
            SendOutcome::Refused { .. } => "refused",
        }
    }

    #[test]
    fn what_may_have_been_taken_is_never_called_not_taken() {
        let away = || Err(SendError::Unreachable("away".into()));
        let busy = || Err(SendError::Busy { after: REPAIR, reason: "busy".to_owned() });
        let refused = || Err(SendError::Refused("no".to_owned()));
        let lost = || Err(SendError::InDoubt("lost".into()));
        assert_eq!(
            [away(), busy(), refused(), lost()].map(|answer| done(answer, false)),
            ["not taken", "not taken", "refused", "ask again"]
        );
        assert_eq!(
            [away(), busy(), refused(), lost()].map(|answer| done(answer, true)),
            ["ask again", "ask again", "in doubt", "ask again"]
        );
        assert_eq!(done(Ok(Accepted { provider_id: None }), true), "accepted");
    }
}

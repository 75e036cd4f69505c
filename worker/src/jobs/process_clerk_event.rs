use std::time::Duration;

use common::{
    clerk::{self, Applied, ProcessError, Processed},
    db::SystemTx,
    jobs::ProcessClerkEvent,
};

use crate::{JobContext, JobError, SystemJob};

impl SystemJob for ProcessClerkEvent {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut SystemTx) -> Result<(), JobError> {
        let event_id = self.event_id;
        match clerk::process(tx, event_id).await {
            Ok(Processed::Now { event_type, applied: Applied { outcome, effects } }) => {
                let effects = effects.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                tracing::info!(event_id, event_type, outcome = outcome.as_str(), effects, "processed a Clerk event");
                context.metrics.clerk_event(event_type, outcome.as_str());
                Ok(())
            }
            Ok(Processed::Dead { reason }) => {
                tracing::error!(event_id, reason, "a Clerk event cannot be read and is dead; see norvalt events show");
                context.metrics.clerk_event("unreadable".to_owned(), "dead");
                Ok(())
            }
            Ok(Processed::Quarantined { instance }) => {
                tracing::error!(
                    event_id,
                    instance,
                    "set aside an event of another Clerk instance; see norvalt instance"
                );
                context.metrics.clerk_event("foreign".to_owned(), "quarantined");
                Ok(())
            }
            Ok(Processed::Before) => {
                tracing::info!(event_id, "a Clerk event had been processed before");
                Ok(())
            }
            Err(ProcessError::Db(error)) => Err(error.into()),
            Err(error @ ProcessError::Missing) => Err(JobError::dead(error)),
        }
    }
}

use std::time::Duration;

use common::{
    clerk::{self, Applied, Processed},
    db::SystemTx,
    deliveries::{ProcessError, Source},
    jobs::ProcessClerkEvent,
};

use crate::{JobContext, JobError, SystemJob};

impl SystemJob for ProcessClerkEvent {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut SystemTx) -> Result<(), JobError> {
        let delivery_id = self.delivery_id;
        match clerk::process(tx, delivery_id).await {
            Ok(Processed::Now { event_type, applied: Applied { outcome, effects } }) => {
                let effects = effects.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                tracing::info!(delivery_id, event_type, outcome = outcome.as_str(), effects, "processed a Clerk event");
                context.metrics.delivery(Source::Clerk, event_type, outcome.as_str());
                Ok(())
            }
            Ok(Processed::Dead { reason }) => {
                tracing::error!(
                    delivery_id,
                    reason,
                    "a Clerk event cannot be read and is dead; see norvalt deliveries show"
                );
                context.metrics.delivery(Source::Clerk, "unreadable".to_owned(), "dead");
                Ok(())
            }
            Ok(Processed::Quarantined { instance }) => {
                tracing::error!(
                    delivery_id,
                    instance,
                    "set aside an event of another Clerk instance; see norvalt instance"
                );
                context.metrics.delivery(Source::Clerk, "foreign".to_owned(), "quarantined");
                Ok(())
            }
            Ok(Processed::Before) => {
                tracing::info!(delivery_id, "a Clerk event had been processed before");
                Ok(())
            }
            Err(ProcessError::Db(error)) => Err(error.into()),
            Err(error @ ProcessError::Missing) => Err(JobError::dead(error)),
        }
    }
}

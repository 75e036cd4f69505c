use std::time::Duration;

use common::{
    db::TenantTx,
    jobs::SendSms,
    messages::compose_sms,
    outbox::{self, Outgoing, Tried, Way, tag},
};
use integrations::sms::OutgoingSms;

use super::sending::{Provider, Said};
use crate::{JobContext, JobError, NetworkJob, Services};

/// What people read where nothing can be sent.
const NO_PROVIDER: &str = "no provider of text messages is configured";
/// Text messages have no Message-ID that anybody sees.
const NO_DOMAIN: &str = "sms.invalid";

impl NetworkJob for SendSms {
    const TIMEOUT: Duration = Duration::from_secs(75);
    type Loaded = (OutgoingSms, Tried);
    type Answer = Said;

    async fn load(&self, context: &JobContext, tx: &mut TenantTx) -> Result<Option<Self::Loaded>, JobError> {
        let Some(sms) = &context.outgoing.sms else {
            outbox::bury(tx, self.outbox_id, NO_PROVIDER).await?;
            return Ok(None);
        };
        if let Some(after) = outbox::quiet_for(tx, self.outbox_id).await? {
            return Err(JobError::later(after, "text messages wait until nine in the morning"));
        }
        let way = Way { domain: NO_DOMAIN, is_idempotent: false };
        let Some(Outgoing::Message(message)) = outbox::take(tx, self.outbox_id, way).await? else { return Ok(None) };
        let sms = OutgoingSms {
            id: message.id.into(),
            tag: tag(tx.dealership(), message.id),
            from: sms.from.clone(),
            to: message.recipient.clone(),
            text: compose_sms(&message),
        };
        Ok(Some((sms, message.tried)))
    }

    async fn call(&self, (sms, tried): &Self::Loaded, services: &Services) -> Result<Said, JobError> {
        let Some(sender) = &services.sms else { return Err(JobError::dead(NO_PROVIDER)) };
        let provider = Provider {
            name: sender.provider(),
            is_idempotent: sender.is_idempotent(),
            reports_delivery: sender.reports_delivery(),
        };
        Ok(provider.said(sender.send(sms).await, *tried))
    }

    async fn save(&self, said: Said, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        said.save(self.outbox_id, tx).await
    }

    async fn dead(&self, reason: &str, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        Ok(outbox::bury(tx, self.outbox_id, reason).await?)
    }
}

use std::time::Duration;

use common::{
    config::SmsSettings,
    db::TenantTx,
    jobs::SendSms,
    messages::{compose_notice_sms, compose_sms},
    outbox::{self, Outgoing, Tried, Way, tag},
    sending_accounts::{self, Own},
};
use integrations::sms::OutgoingSms;

use super::{
    outcome::{AccountOutcome, Provider, no_client, to_job_error},
    send_email::TOO_MANY,
};
use crate::{JobContext, JobError, NetworkJob, Services};

/// What people read where nothing can be sent.
const NO_PROVIDER: &str = "no provider of text messages is configured";
/// Text messages have no Message-ID that anybody sees.
const NO_DOMAIN: &str = "sms.invalid";

impl NetworkJob for SendSms {
    const TIMEOUT: Duration = Duration::from_secs(75);
    type Loaded = Box<Text>;
    type Answer = AccountOutcome;

    async fn load(&self, context: &JobContext, tx: &mut TenantTx) -> Result<Option<Self::Loaded>, JobError> {
        let own = sending_accounts::sms_of(tx, &context.keyring, self.outbox_id).await.map_err(to_job_error)?;
        let Some(sms) = own.as_ref().map(|own| &own.settings).or(context.outgoing.sms.as_ref()) else {
            outbox::bury(tx, self.outbox_id, NO_PROVIDER).await?;
            return Ok(None);
        };
        if let Some(after) = outbox::quiet_for(tx, self.outbox_id).await? {
            return Err(JobError::later(after, "text messages wait until nine in the morning"));
        }
        if own.is_none()
            && let Some(after) = outbox::wait_for_turn(tx, self.outbox_id, context.outgoing.per_minute).await?
        {
            return Err(JobError::later(after, TOO_MANY));
        }
        let way = Way { domain: NO_DOMAIN, is_idempotent: false };
        let Some(taken) = outbox::take(tx, self.outbox_id, way).await? else { return Ok(None) };
        let (id, tried, to, text) = match taken {
            Outgoing::Message(message) => {
                let text = compose_sms(&message);
                (message.id, message.tried, message.recipient, text)
            }
            Outgoing::Notice(notice) => {
                let text = compose_notice_sms(&notice);
                (notice.id, notice.tried, notice.recipient, text)
            }
        };
        let sms = OutgoingSms { id: id.into(), tag: tag(tx.dealership(), id), from: sms.from.clone(), to, text };
        Ok(Some(Box::new(Text { tried, sms, own })))
    }

    async fn call(&self, loaded: &Self::Loaded, services: &Services) -> Result<AccountOutcome, JobError> {
        let mark = loaded.own.as_ref().map(Own::mark);
        let sender = match &loaded.own {
            Some(own) => match services.own.sms(own) {
                Ok(sender) => sender,
                Err(error) => return Ok(AccountOutcome { outcome: no_client(&error), own: mark }),
            },
            None => services.sms.clone().ok_or_else(|| JobError::dead(NO_PROVIDER))?,
        };
        let provider = Provider {
            name: sender.provider(),
            is_idempotent: sender.is_idempotent(),
            reports_delivery: sender.reports_delivery(),
        };
        Ok(AccountOutcome { outcome: provider.outcome(sender.send(&loaded.sms).await, loaded.tried), own: mark })
    }

    async fn save(&self, outcome: AccountOutcome, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        outcome.save(self.outbox_id, tx).await
    }

    async fn dead(&self, reason: &str, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        Ok(outbox::bury(tx, self.outbox_id, reason).await?)
    }
}

/// A text message as it goes out.
pub struct Text {
    tried: Tried,
    sms: OutgoingSms,
    /// Through which account of the dealership's, if not through ours.
    own: Option<Own<SmsSettings>>,
}

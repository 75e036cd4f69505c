use std::time::Duration;

use common::{
    config::EmailSettings,
    db::TenantTx,
    ids::DealershipId,
    jobs::SendEmail,
    messages::{Envelope, compose, compose_notice},
    outbox::{self, Outgoing, OutgoingMessage, OutgoingNotice, Tried, Way},
    sending_accounts::{self, Own},
};
use integrations::email::{Mailbox, OutgoingEmail};

use super::outcome::{AccountOutcome, Provider, no_client, to_job_error};
use crate::{JobContext, JobError, NetworkJob, Services, own_slots::OwnSlot};

/// What people read where nothing can be sent.
const NO_PROVIDER: &str = "no e-mail provider is configured";
/// Why a message waits.
pub(super) const TOO_MANY: &str = "the dealership has sent as much in a minute as it may";
const SLOW_ACCOUNT: &str = "the dealership's own account is busy with other mails of theirs";

impl NetworkJob for SendEmail {
    const TIMEOUT: Duration = Duration::from_secs(75);
    type Loaded = Box<Mail>;
    type Answer = AccountOutcome;

    async fn load(&self, context: &JobContext, tx: &mut TenantTx) -> Result<Option<Self::Loaded>, JobError> {
        let own = sending_accounts::email_of(tx, &context.keyring, self.outbox_id).await.map_err(to_job_error)?;
        // Until DNS vouches for their address, mails are sent from ours.
        let own = own.filter(|own| own.is_confirmed || context.outgoing.email.is_none());
        let Some(email) = own.as_ref().map(|own| &own.settings).or(context.outgoing.email.as_ref()) else {
            outbox::bury(tx, self.outbox_id, NO_PROVIDER).await?;
            return Ok(None);
        };
        if own.is_none()
            && let Some(after) = outbox::wait_for_turn(tx, self.outbox_id, context.outgoing.per_minute).await?
        {
            return Err(JobError::later(after, TOO_MANY));
        }
        let slot = match own.as_ref().map(|own| context.own_slots.take(own.dealership)).transpose() {
            Ok(slot) => slot,
            Err(after) => return Err(JobError::later(after, SLOW_ACCOUNT)),
        };
        let way = Way { domain: email.domain(), is_idempotent: email.is_idempotent() };
        let Some(taken) = outbox::take(tx, self.outbox_id, way).await? else { return Ok(None) };
        let envelope = Envelope {
            from: &email.from,
            inbound_domain: context.outgoing.inbound_domain.as_deref(),
            public_url: context.public_url.as_deref(),
        };
        let (tried, email) = match &taken {
            Outgoing::Message(message) => (message.tried, outgoing(message, &envelope, tx.dealership())),
            Outgoing::Notice(notice) => (notice.tried, notice_mail(notice, &envelope, tx.dealership())),
        };
        Ok(Some(Box::new(Mail { tried, email, own, _slot: slot })))
    }

    async fn call(&self, loaded: &Self::Loaded, services: &Services) -> Result<AccountOutcome, JobError> {
        let mark = loaded.own.as_ref().map(Own::mark);
        let sender = match &loaded.own {
            Some(own) => match services.own.email(own) {
                Ok(sender) => sender,
                Err(error) => return Ok(AccountOutcome { outcome: no_client(&error), own: mark }),
            },
            None => services.email.clone().ok_or_else(|| JobError::dead(NO_PROVIDER))?,
        };
        let provider = Provider {
            name: sender.provider(),
            is_idempotent: sender.is_idempotent(),
            // Reports of an own account would be signed with its own secrets.
            reports_delivery: sender.reports_delivery() && mark.is_none(),
        };
        Ok(AccountOutcome { outcome: provider.outcome(sender.send(&loaded.email).await, loaded.tried), own: mark })
    }

    async fn save(&self, outcome: AccountOutcome, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        outcome.save(self.outbox_id, tx).await
    }

    async fn dead(&self, reason: &str, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        Ok(outbox::bury(tx, self.outbox_id, reason).await?)
    }
}

/// A mail as it goes out.
pub struct Mail {
    tried: Tried,
    email: OutgoingEmail,
    /// Through which account of the dealership's, if not through ours.
    own: Option<Own<EmailSettings>>,
    /// Until it was asked.
    _slot: Option<OwnSlot>,
}

fn outgoing(message: &OutgoingMessage, envelope: &Envelope<'_>, dealership: DealershipId) -> OutgoingEmail {
    let letter = compose(message, envelope, dealership);
    OutgoingEmail {
        id: message.id.into(),
        tag: letter.tag,
        message_id: message.mail_id.clone(),
        from: Mailbox { name: Some(message.sender.name.clone()), address: envelope.from.to_owned() },
        to: Mailbox { name: letter.to_name, address: message.recipient.clone() },
        reply_to: Some(Mailbox { name: Some(message.sender.name.clone()), address: letter.reply_to }),
        subject: letter.subject,
        text: letter.text,
        html: letter.html,
        in_reply_to: message.thread.last().cloned(),
        references: message.thread.clone(),
        automatic: message.automatic,
        unsubscribe: letter.unsubscribe,
    }
}

fn notice_mail(notice: &OutgoingNotice, envelope: &Envelope<'_>, dealership: DealershipId) -> OutgoingEmail {
    let letter = compose_notice(notice, dealership);
    OutgoingEmail {
        id: notice.id.into(),
        tag: letter.tag,
        message_id: notice.mail_id.clone(),
        from: Mailbox { name: Some("Norvalt".to_owned()), address: envelope.from.to_owned() },
        to: Mailbox { name: None, address: notice.recipient.clone() },
        reply_to: None,
        subject: letter.subject,
        text: letter.text,
        html: letter.html,
        in_reply_to: None,
        references: Vec::new(),
        automatic: true,
        unsubscribe: None,
    }
}

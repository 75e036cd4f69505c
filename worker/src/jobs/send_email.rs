use std::time::Duration;

use common::{
    db::TenantTx,
    ids::DealershipId,
    jobs::SendEmail,
    messages::{Envelope, compose, compose_notice},
    outbox::{self, Outgoing, OutgoingMessage, OutgoingNotice, Tried, Way},
};
use integrations::email::{Mailbox, OutgoingEmail};

use super::sending::{Provider, Said};
use crate::{JobContext, JobError, NetworkJob, Services};

/// What people read where nothing can be sent.
pub(super) const NO_PROVIDER: &str = "no e-mail provider is configured";

impl NetworkJob for SendEmail {
    const TIMEOUT: Duration = Duration::from_secs(75);
    type Loaded = Box<Mail>;
    type Answer = Said;

    async fn load(&self, context: &JobContext, tx: &mut TenantTx) -> Result<Option<Self::Loaded>, JobError> {
        let Some(email) = &context.outgoing.email else {
            outbox::bury(tx, self.outbox_id, NO_PROVIDER).await?;
            return Ok(None);
        };
        let way = Way { domain: email.domain(), is_idempotent: email.is_idempotent() };
        let Some(taken) = outbox::take(tx, self.outbox_id, way).await? else { return Ok(None) };
        let envelope = Envelope {
            from: &email.from,
            inbound_domain: context.outgoing.inbound_domain.as_deref(),
            public_url: context.public_url.as_deref(),
        };
        Ok(Some(Box::new(match &taken {
            Outgoing::Message(message) => {
                Mail { tried: message.tried, mail: outgoing(message, &envelope, tx.dealership()) }
            }
            Outgoing::Notice(notice) => {
                Mail { tried: notice.tried, mail: notice_mail(notice, &envelope, tx.dealership()) }
            }
        })))
    }

    async fn call(&self, loaded: &Self::Loaded, services: &Services) -> Result<Said, JobError> {
        let Some(sender) = &services.email else { return Err(JobError::dead(NO_PROVIDER)) };
        let provider = Provider {
            name: sender.provider(),
            is_idempotent: sender.is_idempotent(),
            reports_delivery: sender.reports_delivery(),
        };
        Ok(provider.said(sender.send(&loaded.mail).await, loaded.tried))
    }

    async fn save(&self, said: Said, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        said.save(self.outbox_id, tx).await
    }

    async fn dead(&self, reason: &str, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        Ok(outbox::bury(tx, self.outbox_id, reason).await?)
    }
}

/// A mail as it goes out.
pub struct Mail {
    tried: Tried,
    mail: OutgoingEmail,
}

fn outgoing(message: &OutgoingMessage, envelope: &Envelope<'_>, dealership: DealershipId) -> OutgoingEmail {
    let letter = compose(message, envelope, dealership);
    OutgoingEmail {
        id: message.id.into(),
        tag: letter.tag,
        message_id: message.mail_id.clone(),
        from: Mailbox { name: Some(message.sender.name.clone()), address: envelope.from.to_owned() },
        to: Mailbox { name: message.text.customer_name.clone(), address: message.recipient.clone() },
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

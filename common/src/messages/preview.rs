//! What the customer will see, before it is sent.

use serde::Serialize;
use utoipa::ToSchema;

use super::compose::{Envelope, compose, compose_sms};
use crate::{
    conversations::{Channel, NewMessage},
    db::{Result, TenantTx},
    outbox::{self, OutgoingMessage},
    sending_accounts,
    sms::{SmsEncoding, sms_parts},
};

/// A message as the customer will see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Preview {
    /// The address or number that it goes to; null if the customer has none, so that it cannot be sent.
    #[schema(example = "bjorn@kunde.example")]
    pub recipient: Option<String>,
    /// By e-mail; otherwise null.
    pub email: Option<MailPreview>,
    /// By text message; otherwise null.
    pub sms: Option<SmsPreview>,
}

/// A mail as the customer will see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MailPreview {
    /// Whom it is from, by name.
    #[schema(example = "Tesla Oslo")]
    pub from_name: String,
    /// The address that it comes from; null where that is ours.
    pub from: Option<String>,
    /// Where answers go. Each mail has an address of its own, which begins and ends like this one.
    pub reply_to: String,
    /// Its subject, on one line.
    pub subject: String,
    /// As plain text, with signature and what is answered.
    pub text: String,
    /// The same as a page.
    pub html: String,
}

/// A text message as the customer will see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SmsPreview {
    /// With the signature below it.
    pub text: String,
    /// How it goes over the air: one character of `ucs2` makes all of them take more room.
    pub encoding: SmsEncoding,
    /// Septets of `gsm7`, or UTF-16 units of `ucs2`.
    pub units: usize,
    /// Text messages that it is paid as.
    pub parts: usize,
}

/// Shows a message without sending it. `None` if the dealership has no such lead. Only mails and text messages are sent.
pub async fn preview(tx: &mut TenantTx, new: &NewMessage, inbound_domain: Option<&str>) -> Result<Option<Preview>> {
    let message = outbox::preview(tx, new.lead_id, new.channel, &new.sender, &new.message_content).await?;
    let Some(message) = message else { return Ok(None) };
    let email = match new.channel {
        Channel::Email => Some(mail(tx, &message, inbound_domain).await?),
        _ => None,
    };
    let sms = (new.channel == Channel::Sms).then(|| text_message(&message));
    let recipient = Some(message.recipient).filter(|recipient| !recipient.is_empty());
    Ok(Some(Preview { recipient, email, sms }))
}

async fn mail(tx: &mut TenantTx, message: &OutgoingMessage, inbound_domain: Option<&str>) -> Result<MailPreview> {
    let from = sending_accounts::own_address(tx).await?;
    let envelope = Envelope { from: from.as_deref().unwrap_or_default(), inbound_domain, public_url: None };
    let letter = compose(message, &envelope, tx.dealership());
    let reply_to = match (&message.sender.mail_key, inbound_domain) {
        (Some(key), Some(domain)) => format!("{key}@{domain}"),
        _ => letter.reply_to,
    };
    Ok(MailPreview {
        from_name: message.sender.name.clone(),
        from,
        reply_to,
        subject: letter.subject,
        text: letter.text,
        html: letter.html,
    })
}

fn text_message(message: &OutgoingMessage) -> SmsPreview {
    let text = compose_sms(message);
    let counted = sms_parts(&text);
    SmsPreview { text, encoding: counted.encoding, units: counted.units, parts: counted.parts }
}

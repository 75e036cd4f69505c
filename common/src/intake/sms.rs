//! Customers' text messages: answers to those that they were sent.

use std::borrow::Cow;

use serde_json::json;

use super::IntakeError;
use crate::{
    answers, config,
    conversations::{self, Channel, Direction, NewMessage, SenderType},
    db::{Error, Result, SystemTx, TenantTx},
    deliveries::{NewDelivery, Source, Status, Stored, erase_own, settle_own, store, take_own},
    ids::{DealershipId, LeadId},
    inquiry::clean,
    jobs::ReadSms,
    outbox::{SuppressionReason, lift, suppress},
    queue::{NewJob, enqueue},
};

use super::read::ReadError;

/// Words by which people say that they want no more messages, and that they want them again.
const STOP: [&str; 8] = ["stop", "stopp", "slutt", "avslutt", "unsubscribe", "cancel", "end", "quit"];
const START: [&str; 3] = ["start", "unstop", "ja takk"];

/// Bytes of what Twilio calls a message, and of whom it is from: far more than either has.
const MAX_NAME: usize = 64;

/// A text message as Twilio posts it. <https://www.twilio.com/docs/messaging/guides/webhook-request>
struct Sms<'a> {
    id: Cow<'a, str>,
    from: Cow<'a, str>,
    text: String,
    opt_out: Option<Cow<'a, str>>,
}

impl<'a> Sms<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        let fields: Vec<_> = form_urlencoded::parse(body).collect();
        let field = |name: &str| fields.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
        let is_id = |id: &Cow<'_, str>| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_sender = |from: &Cow<'_, str>| !from.contains(char::is_control);
        let short = |text: &Cow<'_, str>| text.len() <= MAX_NAME;
        Some(Self {
            id: field("MessageSid").filter(short).filter(is_id)?,
            from: field("From").filter(short).filter(is_sender)?,
            text: clean(&field("Body").unwrap_or_default()),
            opt_out: field("OptOutType"),
        })
    }

    fn says(&self, words: &[&str], opt_out: &str) -> bool {
        let text = self.text.trim().trim_end_matches(['.', '!']).to_lowercase();
        self.opt_out.as_deref() == Some(opt_out) || words.contains(&text.as_str())
    }
}

/// The account and the number that a text message was sent to, if they can be ones that a dealership has.
pub fn number_of_sms(body: &[u8]) -> Option<(String, String)> {
    let fields: Vec<_> = form_urlencoded::parse(body).collect();
    let field = |name: &str| fields.iter().find(|(given, _)| given == name).map(|(_, value)| value.to_string());
    Some((config::twilio_account(&field("AccountSid")?).ok()?, config::sms_sender(&field("To")?).ok()?))
}

/// Stores a text message and has it added to the lead about which its sender was written to last. `own` is the dealership whose own
/// number it came to; without one, it is for whoever wrote to its sender last. `None` if the body is not one; else whether it is
/// new.
pub async fn receive_sms(tx: &mut SystemTx, body: &[u8], own: Option<DealershipId>) -> Result<Option<bool>> {
    let Some(sms) = Sms::read(body) else { return Ok(None) };
    let dealership = match own {
        Some(own) => Some(own),
        None => last_writer(tx, &sms.from).await?,
    };
    let new = NewDelivery {
        source: Source::Sms,
        external_id: &sms.id,
        event_type: "sms",
        dealership,
        source_id: None,
        subject: None,
        headers: json!({}),
        body,
        status: if dealership.is_some() { Status::Pending } else { Status::Parked },
        outcome: dealership.is_none().then_some("nobody has written to that number"),
    };
    let Stored::New(delivery_id) = store(tx, &new).await? else { return Ok(Some(false)) };
    if dealership.is_some() {
        let job = ReadSms { delivery_id };
        enqueue(tx, &NewJob { dealership, ..NewJob::now(&job) }).await?;
    }
    Ok(Some(true))
}

/// Whose text message the number's owner has got last.
async fn last_writer(tx: &mut SystemTx, number: &str) -> Result<Option<DealershipId>> {
    Ok(sqlx::query_scalar(
        "-- intake::receive_sms
         SELECT dealership_id FROM outbox WHERE channel = 'sms' AND recipient = $1 AND status <> 'queued'
         ORDER BY created_at DESC LIMIT 1",
    )
    .bind(number)
    .fetch_optional(tx.conn())
    .await?)
}

/// Adds a stored text message to its lead, and says what it came to. `None` if that was done before.
pub async fn process_sms(tx: &mut TenantTx, id: i64) -> std::result::Result<Option<Status>, ReadError> {
    let delivery = take_own(tx, id).await?;
    if delivery.status != Status::Pending {
        return Ok(None);
    }
    let body = delivery.body.unwrap_or_default();
    let Some(sms) = Sms::read(&body) else {
        settle_own(tx, id, Status::Dead, "it is not a text message", &[]).await?;
        return Ok(Some(Status::Dead));
    };
    if sms.says(&START, "START") {
        lift(tx, Channel::Sms, &sms.from, SuppressionReason::OptOut).await?;
        return end(tx, id, "the customer wants messages again").await;
    }
    let stops = sms.says(&STOP, "STOP");
    if stops {
        suppress(tx, Channel::Sms, &sms.from, SuppressionReason::OptOut).await?;
    }
    let Some((lead, name)) = lead_of(tx, &sms.from).await? else {
        settle_own(tx, id, Status::Parked, "the lead that it answers is gone", &[]).await?;
        return Ok(Some(Status::Parked));
    };
    add(tx, lead, name.unwrap_or_else(|| sms.from.to_string()), &sms, !stops).await?;
    end(tx, id, &format!("became a message of lead {lead}")).await
}

/// What it says is with the lead now, and goes with it.
async fn end(tx: &mut TenantTx, id: i64, outcome: &str) -> std::result::Result<Option<Status>, ReadError> {
    settle_own(tx, id, Status::Processed, outcome, &[]).await?;
    erase_own(tx, &[id]).await?;
    Ok(Some(Status::Processed))
}

/// The lead about which the number was written to last, and its customer's name.
async fn lead_of(tx: &mut TenantTx, number: &str) -> Result<Option<(LeadId, Option<String>)>> {
    let found = sqlx::query_as(
        "-- intake::lead_of_number
         SELECT l.id, l.customer_name FROM outbox o JOIN leads l ON l.id = o.lead_id AND l.dealership_id = $1
         WHERE o.dealership_id = $1 AND o.channel = 'sms' AND o.recipient = $2
         ORDER BY o.created_at DESC LIMIT 1",
    )
    .bind(tx.dealership())
    .bind(number)
    .fetch_optional(tx.conn())
    .await;
    found.map_err(Error::from)
}

async fn add(
    tx: &mut TenantTx,
    lead: LeadId,
    sender: String,
    sms: &Sms<'_>,
    wants_answer: bool,
) -> std::result::Result<(), IntakeError> {
    let new = NewMessage {
        lead_id: lead,
        channel: Channel::Sms,
        direction: Direction::Inbound,
        sender,
        sender_user_id: None,
        sender_clerk_user_id: None,
        impersonator: None,
        sender_type: SenderType::Customer,
        message_content: sms.text.clone(),
        message_metadata: json!({}),
        created_at: None,
    };
    if conversations::create(tx, &new).await?.is_some() && wants_answer {
        answers::customer_wrote(tx, lead).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_twilio_can_have_posted_is_a_text_message() {
        let sms = Sms::read(b"MessageSid=SM7&From=%2B4791234567&Body=Hei%00%0D%0AOla").expect("it is one");
        assert_eq!((&*sms.id, &*sms.from, &*sms.text), ("SM7", "+4791234567", "Hei\nOla"));
        let long = format!("MessageSid=SM{}&From=%2B4791234567", "7".repeat(63));
        for other in [
            &b"MessageSid=SM%00&From=%2B4791234567"[..],
            b"MessageSid=&From=2226",
            b"MessageSid=SM7&From=%00",
            long.as_bytes(),
        ] {
            assert!(Sms::read(other).is_none());
        }
    }

    #[test]
    fn only_an_account_and_a_number_that_can_be_ones_are_looked_up() {
        let found = number_of_sms(b"AccountSid=AC7&To=%2B4759440000").expect("they can");
        assert_eq!(found, ("AC7".to_owned(), "+4759440000".to_owned()));
        for other in [&b"AccountSid=AC7&To=%00"[..], b"AccountSid=%00&To=2226", b"AccountSid=AC7", b"To=2226"] {
            assert!(number_of_sms(other).is_none());
        }
    }
}

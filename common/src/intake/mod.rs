//! What becomes of an inquiry: a lead, or a message of a lead that is open, or nothing, since it came before. Whatever it
//! becomes is written in one transaction with what the inquiry is known by, so that it becomes that once.

mod decide;
mod facebook;
mod form;
mod mail;
mod read;
mod record;
mod resolve;
mod sms;
mod sort;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

pub use decide::{DecideError, accept, reject};
pub use facebook::announce_facebook_leads;
pub use form::{FormAnswer, ReceivedForm, receive_form};
pub use mail::{PostedMail, TakenMail, receive_mail};
pub use read::{ReadError, Settled, process, process_fetched};
pub use record::lead_of_receipt;
use record::{record, record_again};
use resolve::{Found, lock, resolve};
pub use sms::{number_of_sms, process_sms, receive_sms};
pub use sort::{SortRequest, finish_sorting, give_up_sorting, prepare_sorting};

use crate::{
    answers::{self, AnswerError},
    conversations::{self, Channel, Direction, NewMessage, SenderType},
    customers::{Contact, recognise, recognise_as},
    db::{self, TenantTx},
    ids::{LeadId, MessageId, OutboxId, ReceiptId, SourceId, UserId},
    inquiry::Inquiry,
    lead_sources::SourceKind,
    leads::{self, LeadSource, LeadStatus, NewLead},
    notifications::{self, Event},
};

/// Where an inquiry comes from, and what it is known by.
#[derive(Debug, Clone)]
pub struct Origin<'a> {
    pub kind: SourceKind,
    pub source_id: SourceId,
    pub delivery_id: i64,
    /// What whoever sent it is told.
    pub receipt: ReceiptId,
    /// What the source calls the inquiry, if it does: the same whenever it comes again, in whatever delivery.
    pub key: Option<&'a str>,
    /// Message-ID of a mail.
    pub mail_id: Option<&'a str>,
    /// The mails that it answers, by Message-ID.
    pub answers: &'a [String],
    /// The message that it answers, by the address that it was sent to: nobody but its recipient knows that.
    pub replies_to: Option<OutboxId>,
    /// Who gets what becomes of it.
    pub assigned_to: Option<UserId>,
    /// When it came in, if that was not now: customers wait from then on.
    pub came_in: Option<DateTime<Utc>>,
    /// Whether a lead that it makes is answered automatically.
    pub is_answered: bool,
}

/// What an inquiry became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    Lead(LeadId),
    Message(LeadId, MessageId),
    /// It had become that before: of this lead, which may have been deleted since.
    Known(LeadId),
}

impl Became {
    /// The lead that it is about.
    pub fn lead(self) -> LeadId {
        match self {
            Self::Lead(lead) | Self::Message(lead, _) | Self::Known(lead) => lead,
        }
    }

    /// As a delivery notes it.
    pub fn outcome(self) -> String {
        match self {
            Self::Lead(lead) => format!("became lead {lead}"),
            Self::Message(lead, _) => format!("became a message of lead {lead}"),
            Self::Known(lead) => format!("known already, as lead {lead}"),
        }
    }
}

/// Why an inquiry was not written down.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error(transparent)]
    Lead(#[from] leads::WriteError),
    #[error(transparent)]
    Message(#[from] conversations::WriteError),
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error(transparent)]
    Db(#[from] db::Error),
}

/// Writes an inquiry down, once. Who sends the same as within minutes before sends it again; a known customer with an open
/// lead that is not old writes to that lead.
pub async fn take_in(tx: &mut TenantTx, inquiry: &Inquiry, origin: &Origin<'_>) -> Result<Became, IntakeError> {
    lock(tx, inquiry, origin).await?;
    let found = resolve(tx, inquiry, origin).await?;
    if let Some(lead) = found.known {
        record_again(tx, origin, lead).await?;
        return Ok(Became::Known(lead));
    }
    let added = match found.open_lead {
        Some(lead) => {
            add_message(tx, lead, &found, inquiry, origin).await?.map(|message| Became::Message(lead, message))
        }
        None => None,
    };
    let became = match added {
        Some(became) => became,
        None => Became::Lead(create_lead(tx, &found, inquiry, origin).await?),
    };
    record(tx, inquiry, origin, became).await?;
    match became {
        Became::Lead(lead) => {
            notifications::tell(tx, Event::NewLead, Some(lead)).await?;
            notifications::watch(tx, lead).await?;
            if origin.is_answered {
                answers::request(tx, lead, 1).await?;
            }
        }
        Became::Message(lead, _) => answers::customer_wrote(tx, lead).await?,
        Became::Known(_) => {}
    }
    Ok(became)
}

async fn create_lead(
    tx: &mut TenantTx,
    found: &Found,
    inquiry: &Inquiry,
    origin: &Origin<'_>,
) -> Result<LeadId, IntakeError> {
    // Who is greeted by it must be who has the address: with a number besides, that might be somebody else's.
    let known_name = || found.known_name.clone().filter(|_| inquiry.phone.is_none());
    let new = NewLead {
        id: Some(origin.receipt.into()),
        source: lead_source(origin.kind),
        source_url: inquiry.source_url.clone(),
        source_metadata: Value::Object(inquiry.details.clone()).into(),
        status: LeadStatus::New,
        assigned_to: origin.assigned_to,
        customer_name: inquiry.name.clone().or_else(known_name),
        customer_email: inquiry.email.clone(),
        customer_phone: inquiry.phone.clone(),
        vehicle_interest: inquiry.vehicle_interest.clone(),
        initial_message: inquiry.message.clone(),
        lead_score: 50,
        created_at: origin.came_in,
    };
    Ok(leads::create(tx, &new).await?.id)
}

/// Everything of the inquiry is kept with the message. `None` if the lead has been deleted meanwhile.
async fn add_message(
    tx: &mut TenantTx,
    lead: LeadId,
    found: &Found,
    inquiry: &Inquiry,
    origin: &Origin<'_>,
) -> Result<Option<MessageId>, IntakeError> {
    // What they are reached at by now may be new, and is theirs then.
    match found.customer {
        Some(customer) => recognise_as(tx, &contact(inquiry), customer).await?,
        None => recognise(tx, &contact(inquiry)).await?,
    };
    let new = NewMessage {
        lead_id: lead,
        channel: channel(origin.kind),
        direction: Direction::Inbound,
        sender: sender(inquiry, found),
        sender_user_id: None,
        sender_clerk_user_id: None,
        impersonator: None,
        sender_type: SenderType::Customer,
        message_content: inquiry.message.clone().or_else(|| inquiry.vehicle_interest.clone()).unwrap_or_default(),
        message_metadata: metadata(inquiry),
        created_at: None,
    };
    Ok(conversations::create(tx, &new).await?.map(|message| message.id))
}

fn contact(inquiry: &Inquiry) -> Contact<'_> {
    Contact { name: inquiry.name.as_deref(), email: inquiry.email.as_ref(), phone: inquiry.phone.as_ref() }
}

/// Many mails tell no name.
fn sender(inquiry: &Inquiry, found: &Found) -> String {
    let known = || found.lead_name.clone();
    let email = || inquiry.email.as_ref().map(|email| email.as_str().to_owned());
    let phone = || inquiry.phone.as_ref().map(|phone| phone.typed.clone());
    inquiry.name.clone().or_else(known).or_else(email).or_else(phone).unwrap_or_default()
}

fn metadata(inquiry: &Inquiry) -> Value {
    let text = |value: &Option<String>| value.clone().map(Value::from);
    let given = [
        ("name", text(&inquiry.name)),
        ("email", inquiry.email.as_ref().map(|email| email.as_str().into())),
        ("phone", inquiry.phone.as_ref().map(|phone| phone.typed.as_str().into())),
        ("vehicle_interest", text(&inquiry.vehicle_interest)),
        ("source_url", text(&inquiry.source_url)),
        ("details", Some(Value::Object(inquiry.details.clone())).filter(|_| !inquiry.details.is_empty())),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>())
}

fn lead_source(kind: SourceKind) -> LeadSource {
    match kind {
        SourceKind::Form => LeadSource::Website,
        SourceKind::Email => LeadSource::Email,
        SourceKind::Adf => LeadSource::Adf,
        SourceKind::Facebook => LeadSource::Facebook,
    }
}

fn channel(kind: SourceKind) -> Channel {
    match kind {
        SourceKind::Form | SourceKind::Adf => Channel::Website,
        SourceKind::Email => Channel::Email,
        SourceKind::Facebook => Channel::Facebook,
    }
}

//! What people answer.

use utoipa::ToSchema;

use crate::{
    answers,
    conversations::{self, Channel, Message, NewMessage, WriteError},
    db::{Caller, TenantTx},
    ids::LeadId,
    input::{Fields, FromFields, text},
    leads::{self, MESSAGE_LIMIT},
    outbox,
};

/// Writes down what a person answers and has it sent, where its channel is one through which we send: it counts as contact
/// once it has arrived. The automatic answer is withdrawn, unless it is on its way. Does nothing if the dealership has no such
/// lead.
pub async fn answer(tx: &mut TenantTx, new: &NewMessage) -> Result<Option<Message>, WriteError> {
    let message = match new.channel {
        Channel::Email | Channel::Sms => match leads::lock(tx, new.lead_id).await? {
            Some(lead) => Some(outbox::send(tx, &lead, new, false).await?),
            None => None,
        },
        Channel::Facebook | Channel::Website | Channel::Manual => conversations::create(tx, new).await?,
    };
    if message.is_some() {
        answers::give_way(tx, new.lead_id).await?;
    }
    Ok(message)
}

/// A draft as the person who sends it has seen it, or has changed it.
#[derive(Debug, Clone, ToSchema)]
pub struct DraftText {
    /// The text to send.
    #[schema(min_length = 1, max_length = 20_000, example = "Hei Bjørn! Ja, vi har to på lager.")]
    pub message_content: String,
}

impl FromFields for DraftText {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { message_content: fields.required("message_content", text(MESSAGE_LIMIT))? })
    }
}

/// Sends what was drafted for a lead as a person's answer. `None` if there is no draft.
pub async fn send_draft(
    tx: &mut TenantTx,
    lead: LeadId,
    draft: &DraftText,
    by: &Caller,
) -> Result<Option<Message>, WriteError> {
    let Some(locked) = leads::lock(tx, lead).await? else { return Ok(None) };
    let Some(drafted) = answers::take_draft(tx, lead).await? else { return Ok(None) };
    answers::give_way(tx, lead).await?;
    let channel = if locked.has_email() { Channel::Email } else { Channel::Sms };
    let reply = conversations::Reply { lead_id: lead, message_content: draft.message_content.clone(), channel };
    let message = outbox::send(tx, &locked, &reply.by(by), false).await?;
    answers::note_sent(tx, drafted, message.id).await?;
    Ok(Some(message))
}

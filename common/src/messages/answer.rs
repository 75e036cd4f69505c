//! What people answer.

use utoipa::ToSchema;

use crate::{
    answers,
    conversations::{self, Channel, Message, NewMessage},
    db::{Caller, TenantTx},
    ids::LeadId,
    input::{Fields, FromFields, text},
    leads::{self, MESSAGE_LIMIT},
    outbox::{self, SendError},
};

/// Writes down what a person answers and has it sent, where its channel is one through which we send: it counts as contact
/// once it has arrived. The automatic answer is withdrawn, unless it is on its way. Does nothing if the dealership has no such
/// lead.
pub async fn answer(tx: &mut TenantTx, new: &NewMessage) -> Result<Option<Message>, SendError> {
    let Some(lead) = leads::lock(tx, new.lead_id).await? else { return Ok(None) };
    answers::give_way(tx, new.lead_id).await?;
    match new.channel {
        Channel::Email | Channel::Sms => outbox::send(tx, &lead, new, false).await.map(Some),
        Channel::Facebook | Channel::Website | Channel::Manual => Ok(conversations::create(tx, new).await?),
    }
}

/// What a person changes of a draft before it is sent.
#[derive(Debug, Clone, ToSchema)]
pub struct DraftChange {
    /// What to say instead.
    #[schema(max_length = 20_000, example = "Hei Bjørn! Ja, vi har to på lager.")]
    pub message_content: Option<String>,
}

impl FromFields for DraftChange {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { message_content: fields.optional("message_content", text(MESSAGE_LIMIT)) })
    }
}

/// Sends what was drafted for a lead as a person's answer, with their changes. `None` if there is no draft.
pub async fn send_draft(
    tx: &mut TenantTx,
    lead: LeadId,
    change: &DraftChange,
    by: &Caller,
) -> Result<Option<Message>, SendError> {
    let Some(locked) = leads::lock(tx, lead).await? else { return Ok(None) };
    let Some(draft) = answers::take_draft(tx, lead).await? else { return Ok(None) };
    answers::give_way(tx, lead).await?;
    let text = change.message_content.as_deref().unwrap_or(&draft.reply);
    let channel = if locked.has_email() { Channel::Email } else { Channel::Sms };
    let reply = conversations::Reply { lead_id: lead, message_content: text.to_owned(), channel };
    let message = outbox::send(tx, &locked, &reply.by(by), false).await?;
    answers::note_sent(tx, &draft, message.id).await?;
    Ok(Some(message))
}

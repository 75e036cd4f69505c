use super::{Direction, Message, NewMessage, columns};
use crate::{
    db::{Error, TenantTx},
    leads::{self, LockedLead},
};

/// Why a message was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The author's membership has ended meanwhile.
    #[error("the author is no longer a member of the dealership")]
    AuthorGone,
    /// The database did not do it.
    #[error(transparent)]
    Db(Error),
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        match error.constraint() {
            Some("conversations_sender_user_id_dealership_id_fkey") => Self::AuthorGone,
            _ => Self::Db(error),
        }
    }
}

/// Writes a message down that has been sent or said already, or does nothing if the dealership has no such lead. What went to
/// the customer counts as contact, and the first of it as the first response.
pub async fn create(tx: &mut TenantTx, new: &NewMessage) -> Result<Option<Message>, WriteError> {
    let Some(lead) = leads::lock(tx, new.lead_id).await? else { return Ok(None) };
    let counts = new.direction == Direction::Outbound;
    insert(tx, &lead, new, counts).await.map(Some)
}

/// Writes down what is about to be sent. It does not count as contact before it has arrived.
pub(crate) async fn create_unsent(
    tx: &mut TenantTx,
    lead: &LockedLead,
    new: &NewMessage,
) -> Result<Message, WriteError> {
    insert(tx, lead, new, false).await
}

async fn insert(tx: &mut TenantTx, lead: &LockedLead, new: &NewMessage, counts: bool) -> Result<Message, WriteError> {
    sqlx::query_as(concat!(
        "-- conversations::create
         WITH contact AS (
           UPDATE leads
           SET updated_at = $12,
               last_contact_at = CASE WHEN $14 THEN greatest(last_contact_at, $8) ELSE last_contact_at END,
               first_response_time = CASE WHEN $14
                 THEN least(first_response_time, greatest($8 - created_at, interval '0')) ELSE first_response_time END
           WHERE id = $1 AND dealership_id = $2)
         INSERT INTO conversations (lead_id, dealership_id, channel, direction, sender, sender_type, message_content,
                                    created_at, sender_user_id, sender_clerk_user_id, impersonator, message_metadata)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $13)
         RETURNING ",
        columns!(),
        ", NULL AS delivery_status, NULL AS delivery_at, NULL AS delivery_reason"
    ))
    .bind(new.lead_id)
    .bind(tx.dealership())
    .bind(new.channel)
    .bind(new.direction)
    .bind(&new.sender)
    .bind(new.sender_type)
    .bind(&new.message_content)
    .bind(new.created_at.unwrap_or(lead.now))
    .bind(new.sender_user_id)
    .bind(&new.sender_clerk_user_id)
    .bind(&new.impersonator)
    .bind(lead.now)
    .bind(&new.message_metadata)
    .bind(counts)
    .fetch_one(tx.conn())
    .await
    .map_err(|error| Error::from(error).into())
}

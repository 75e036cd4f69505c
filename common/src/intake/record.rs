use super::{Became, Origin, resolve::fingerprint};
use crate::{
    db::{Result, TenantTx},
    ids::{LeadId, MessageId},
    inquiry::Inquiry,
};

/// Notes what an inquiry became, under everything that it is known by.
pub(super) async fn record(tx: &mut TenantTx, inquiry: &Inquiry, origin: &Origin<'_>, became: Became) -> Result<()> {
    let message: Option<MessageId> = match became {
        Became::Message(_, message) => Some(message),
        Became::Lead(_) | Became::Known(_) => None,
    };
    sqlx::query(
        "-- intake::record
         INSERT INTO inquiries (id, dealership_id, source_id, delivery_id, key, fingerprint, mail_id, lead_id, message_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(origin.receipt)
    .bind(tx.dealership())
    .bind(origin.source_id)
    .bind(origin.delivery_id)
    .bind(origin.key)
    .bind(fingerprint(inquiry, origin))
    .bind(origin.mail_id)
    .bind(became.lead())
    .bind(message)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes which lead an inquiry is about that came before in another delivery: it stays known when this delivery is read again
/// long after, its receipt leads there, and what it says is erased with the lead.
pub(super) async fn record_again(tx: &mut TenantTx, origin: &Origin<'_>, lead: LeadId) -> Result<()> {
    sqlx::query(
        "-- intake::record_again
         INSERT INTO inquiries (id, dealership_id, source_id, delivery_id, mail_id, lead_id)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id, dealership_id) DO NOTHING",
    )
    .bind(origin.receipt)
    .bind(tx.dealership())
    .bind(origin.source_id)
    .bind(origin.delivery_id)
    .bind(origin.mail_id)
    .bind(lead)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The lead that an inquiry became or was added to, by the receipt that its sender was given.
pub async fn lead_of_receipt(tx: &mut TenantTx, receipt: LeadId) -> Result<Option<LeadId>> {
    Ok(sqlx::query_scalar(
        "-- intake::lead_of_receipt
         SELECT lead_id FROM inquiries WHERE id = $1 AND dealership_id = $2 AND lead_id <> $1",
    )
    .bind(receipt)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await?)
}

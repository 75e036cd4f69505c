//! What messages that went out mean for a lead.

use crate::{
    db::{Result, TenantTx},
    ids::{LeadId, UserId},
    notifications::{self, Event},
};

/// A message was sent to the customer: whoever was new has been contacted, by that person or automatically. The lead is
/// locked.
pub(crate) async fn contacted(tx: &mut TenantTx, lead: LeadId, automatic: bool, user: Option<UserId>) -> Result<()> {
    sqlx::query(
        "-- leads::contacted
         WITH changed AS (
           UPDATE leads SET status = 'contacted', updated_at = greatest(now(), updated_at + interval '1 microsecond')
           WHERE id = $1 AND dealership_id = $2 AND status = 'new' RETURNING updated_at)
         INSERT INTO lead_status_changes (lead_id, dealership_id, from_status, to_status, changed_by, automatic, changed_at)
         SELECT $1, $2, 'new', 'contacted', (SELECT id FROM users WHERE id = $3 AND dealership_id = $2), $4, updated_at
         FROM changed",
    )
    .bind(lead)
    .bind(tx.dealership())
    .bind(user)
    .bind(automatic)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A message has reached the customer. The lead is locked.
pub(crate) async fn reached(tx: &mut TenantTx, lead: LeadId, automatic: bool) -> Result<()> {
    sqlx::query(
        "-- leads::reached
         UPDATE leads
         SET updated_at = greatest(now(), updated_at + interval '1 microsecond'),
             last_contact_at = greatest(last_contact_at, now()),
             first_response_time = CASE WHEN $3 THEN first_response_time
               ELSE least(first_response_time, greatest(now() - created_at, interval '0')) END,
             first_automatic_response_time = CASE WHEN $3
               THEN least(first_automatic_response_time, greatest(now() - created_at, interval '0'))
               ELSE first_automatic_response_time END
         WHERE id = $1 AND dealership_id = $2",
    )
    .bind(lead)
    .bind(tx.dealership())
    .bind(automatic)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A person has to answer, and why; people are told of the event. What was said before stays, and is told once.
pub(crate) async fn need_human(tx: &mut TenantTx, lead: LeadId, reason: &str, event: Event) -> Result<()> {
    let noted = sqlx::query(
        "-- leads::need_human
         UPDATE leads SET needs_human = $3, updated_at = greatest(now(), updated_at + interval '1 microsecond')
         WHERE id = $1 AND dealership_id = $2 AND needs_human IS NULL",
    )
    .bind(lead)
    .bind(tx.dealership())
    .bind(reason)
    .execute(tx.conn())
    .await?;
    if noted.rows_affected() > 0 {
        notifications::tell(tx, event, Some(lead)).await?;
    }
    Ok(())
}

/// How promising a lead is as far as the assistant can tell. What a person has decided stays.
pub(crate) async fn score_automatically(tx: &mut TenantTx, lead: LeadId, score: i16, reasons: &[String]) -> Result<()> {
    sqlx::query(
        "-- leads::score_automatically
         UPDATE leads SET lead_score = $3, score_reasons = $4,
                updated_at = greatest(now(), updated_at + interval '1 microsecond')
         WHERE id = $1 AND dealership_id = $2 AND lead_score = 50",
    )
    .bind(lead)
    .bind(tx.dealership())
    .bind(score)
    .bind(reasons)
    .execute(tx.conn())
    .await?;
    Ok(())
}

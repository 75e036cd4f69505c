//! Leads that no person has answered.

use chrono::{DateTime, Utc};

use super::{Event, tell};
use crate::{
    db::{Result, TenantTx},
    ids::LeadId,
    jobs::WatchLead,
    queue::{NewJob, enqueue},
};

/// Has it looked after whether a person has answered a new lead, once as many minutes have passed as the dealership says.
pub(crate) async fn watch(tx: &mut TenantTx, lead: LeadId) -> Result<()> {
    let due: Option<DateTime<Utc>> = sqlx::query_scalar(
        "-- notifications::watch
         SELECT l.created_at + make_interval(mins => d.sla_minutes)
         FROM dealerships d JOIN leads l ON l.dealership_id = d.id AND l.id = $2
         WHERE d.id = $1 AND d.sla_minutes IS NOT NULL",
    )
    .bind(tx.dealership())
    .bind(lead)
    .fetch_optional(tx.conn())
    .await?;
    if let Some(run_at) = due {
        let job = WatchLead { lead_id: lead };
        enqueue(tx, &NewJob { run_at: Some(run_at), ..NewJob::now(&job) }).await?;
    }
    Ok(())
}

/// Tells people of a lead that no person has answered, nor moved on. Says whether there was anything to tell.
pub async fn tell_if_unanswered(tx: &mut TenantTx, lead: LeadId) -> Result<bool> {
    let is_unanswered: bool = sqlx::query_scalar(
        "-- notifications::tell_if_unanswered
         SELECT EXISTS (
           SELECT FROM leads l WHERE l.id = $1 AND l.dealership_id = $2 AND l.status IN ('new', 'contacted')
             AND NOT EXISTS (
               SELECT FROM conversations c
               WHERE c.lead_id = $1 AND c.dealership_id = $2 AND c.direction = 'outbound' AND c.sender_type = 'human')
             AND NOT EXISTS (
               SELECT FROM lead_status_changes s
               WHERE s.lead_id = $1 AND s.dealership_id = $2 AND NOT s.automatic AND s.changed_by IS NOT NULL))",
    )
    .bind(lead)
    .bind(tx.dealership())
    .fetch_one(tx.conn())
    .await?;
    if is_unanswered {
        tell(tx, Event::SlaAtRisk, Some(lead)).await?;
    }
    Ok(is_unanswered)
}

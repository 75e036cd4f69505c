//! What people of the dealership are told, by mail and text message: written down with what causes it, and sent together with whatever else
//! happened in the same moment.

mod bundle;
mod preferences;
mod unanswered;

pub use bundle::{Bundled, bundle, forget};
pub use preferences::preferences;
pub use unanswered::tell_if_unanswered;
pub(crate) use unanswered::watch;

use chrono::{DateTime, Utc};

use crate::{
    db::{Result, TenantTx},
    ids::LeadId,
    jobs::NotifyPeople,
    queue::{NewJob, enqueue},
    text_enum::text_enum,
};

text_enum!(
    /// What people are told of.
    Event {
        /// A customer has asked something.
        NewLead = "new_lead",
        /// A lead was given to them.
        Assigned = "assigned",
        /// A customer has written again.
        CustomerReplied = "customer_replied",
        /// A customer needs a person's answer.
        NeedsHuman = "needs_human",
        /// An answer has not reached the customer.
        NotDelivered = "not_delivered",
        /// A source of leads does not work until somebody repairs it.
        SourceBroken = "source_broken",
        /// Nothing can be sent through the dealership's own account until somebody repairs it.
        SendingBroken = "sending_broken",
        /// No person has answered a lead within the time that the dealership has set.
        SlaAtRisk = "sla_at_risk",
    }
);

text_enum!(
    /// By what people are told.
    By {
        Email = "email",
        Sms = "sms",
    }
);

impl Event {
    /// Whether a telephone may ring for it where somebody has not said otherwise.
    fn is_urgent(self) -> bool {
        matches!(self, Self::Assigned | Self::NeedsHuman | Self::SlaAtRisk)
    }
}

/// What happens within so many seconds is told together.
const GATHER: i32 = 20;
/// How much later it is told: longer than a transaction takes that began within them.
const GRACE: i32 = 12;

/// Tells those whom it concerns: whoever takes care of the lead, or everybody where nobody does; of a source, the admins. Who
/// does not want to hear of it is not told.
pub(crate) async fn tell(tx: &mut TenantTx, event: Event, lead: Option<LeadId>) -> Result<()> {
    let (told, due): (i64, DateTime<Utc>) = sqlx::query_as(
        "-- notifications::tell
         WITH told AS (
           INSERT INTO notifications (dealership_id, user_id, event, lead_id, channel)
           SELECT $1, u.id, $2, $3, w.channel FROM users u
           CROSS JOIN LATERAL (SELECT u.notification_preferences -> 'events' -> $2 AS said) e
           CROSS JOIN LATERAL (VALUES ('email', true, true), ('sms', $6, u.phone IS NOT NULL)) AS w (channel, by_default, is_possible)
           WHERE u.dealership_id = $1 AND NOT u.suspended AND w.is_possible
             AND coalesce((u.notification_preferences ->> w.channel)::boolean, true)
             AND CASE jsonb_typeof(e.said)
                   WHEN 'object' THEN coalesce((e.said ->> w.channel)::boolean, w.by_default)
                   WHEN 'boolean' THEN e.said::boolean AND w.by_default
                   ELSE w.by_default END
             AND CASE WHEN $3::uuid IS NULL THEN u.role = 'admin'
                      ELSE coalesce((SELECT assigned_to FROM leads WHERE id = $3 AND dealership_id = $1), u.id) = u.id END
           RETURNING user_id)
         SELECT count(*), to_timestamp(ceil(extract(epoch FROM now()) / $4) * $4 + $5) FROM told",
    )
    .bind(tx.dealership())
    .bind(event)
    .bind(lead)
    .bind(GATHER)
    .bind(GRACE)
    .bind(event.is_urgent())
    .fetch_one(tx.conn())
    .await?;
    if told > 0 { bundle_at(tx, due).await } else { Ok(()) }
}

/// Has what waits told then. One job for each such time: one that runs already would not see what is written now.
async fn bundle_at(tx: &mut TenantTx, due: DateTime<Utc>) -> Result<()> {
    let unique_key = format!("notify {} {}", tx.dealership(), due.timestamp());
    let job = NotifyPeople {};
    enqueue(tx, &NewJob { run_at: Some(due), unique_key: Some(&unique_key), ..NewJob::now(&job) }).await?;
    Ok(())
}

//! What people of the dealership are told, by mail: written down with what causes it, and sent together with whatever else
//! happened in the same moment.

mod bundle;

pub use bundle::{bundle, forget};

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    db::{Result, TenantTx},
    ids::LeadId,
    input::{Invalid, JsonText},
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
    }
);

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
           INSERT INTO notifications (dealership_id, user_id, event, lead_id)
           SELECT $1, u.id, $2, $3 FROM users u
           WHERE u.dealership_id = $1 AND NOT u.suspended
             AND coalesce((u.notification_preferences ->> 'email')::boolean, true)
             AND coalesce((u.notification_preferences -> 'events' ->> $2)::boolean, true)
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

/// Bytes of JSON that preferences may have.
const PREFERENCES_LIMIT: usize = 4_000;

/// Reads how somebody wants to be told: `email`, `sms`, one boolean for each of `events`, and `quiet_hours` with `from` and
/// `to` as `21:00`.
pub fn preferences(raw: &serde_json::value::RawValue) -> std::result::Result<JsonText, Invalid> {
    let read = crate::input::json_object(PREFERENCES_LIMIT)(raw)?;
    let value: Value = serde_json::from_str(read.get()).map_err(|_| Invalid("must be a JSON object".to_owned()))?;
    let is_switch = |value: &Value| value.is_null() || value.is_boolean();
    if !is_switch(&value["email"]) || !is_switch(&value["sms"]) {
        return Err(Invalid("must have true or false for email and sms".to_owned()));
    }
    for (name, on) in value["events"].as_object().into_iter().flatten() {
        if name.parse::<Event>().is_err() || !on.is_boolean() {
            return Err(Invalid(format!("has an event {name} that is none, or neither true nor false")));
        }
    }
    let quiet = &value["quiet_hours"];
    let is_time =
        |value: &Value| value.as_str().is_some_and(|text| chrono::NaiveTime::parse_from_str(text, "%H:%M").is_ok());
    let is_quiet = quiet.is_null() || (is_time(&quiet["from"]) && is_time(&quiet["to"]));
    if !is_quiet {
        return Err(Invalid("must have quiet_hours such as {\"from\": \"21:00\", \"to\": \"07:00\"}".to_owned()));
    }
    Ok(read)
}

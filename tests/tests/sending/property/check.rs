//! What is true of messages once everything has ended.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use dev::stand_ins::mailbox::Message;
use proptest::{prelude::*, test_runner::TestCaseError};
use sqlx::PgConnection;
use uuid::Uuid;

use super::stage::outbox_id;

/// A sending, and its lead.
#[derive(Debug, sqlx::FromRow)]
#[expect(dead_code, reason = "some of it is only shown when something is wrong")]
struct Row {
    id: Uuid,
    message: Option<Uuid>,
    lead: Option<Uuid>,
    channel: String,
    automatic: bool,
    status: String,
    reason: Option<String>,
    created_at: DateTime<Utc>,
    sending_at: Option<DateTime<Utc>>,
    /// Whether a person has sent the message again.
    is_repeated: bool,
    /// When a person first answered the lead.
    human_at: Option<DateTime<Utc>>,
}

#[derive(Debug, sqlx::FromRow)]
struct Lead {
    id: Uuid,
    status: String,
    responded: bool,
    responded_automatically: bool,
}

impl Row {
    fn is(&self, states: &[&str]) -> bool {
        states.contains(&self.status.as_str())
    }

    /// Whether the customer has it, as far as can be known.
    fn has_arrived(&self) -> bool {
        // A mail server says no more than that it has taken it.
        self.is(&["delivered"]) || (self.channel == "email" && self.is(&["sent"]))
    }
}

/// Transactions that wait for each other begin in another order than they end.
const AT_ONCE: TimeDelta = TimeDelta::milliseconds(100);

pub(super) async fn check(
    conn: &mut PgConnection,
    messages: &[Message],
    is_idempotent: bool,
) -> Result<(), TestCaseError> {
    let rows = rows(conn).await;
    let mut copies: BTreeMap<Uuid, Vec<&Message>> = BTreeMap::new();
    for message in messages {
        let id = outbox_id(message).ok_or_else(|| TestCaseError::fail(format!("of which row is {message:#?}?")))?;
        prop_assert!(rows.iter().any(|row| row.id == id), "nothing is known of {:#?} among {:#?}", message, rows);
        copies.entry(id).or_default().push(message);
    }
    for row in &rows {
        let copies = copies.get(&row.id).map_or(&[][..], Vec::as_slice);
        check_row(row, copies, is_idempotent)?;
    }
    for lead in leads(conn).await {
        let of_lead: Vec<_> = rows.iter().filter(|row| row.lead == Some(lead.id)).collect();
        check_lead(&lead, &of_lead, is_idempotent)?;
    }
    let waiting: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM answers WHERE state = 'waiting'
           OR (state = 'answered' AND NOT EXISTS (SELECT FROM conversations c WHERE c.id = answers.message_id))",
    )
    .fetch_one(conn)
    .await
    .expect("a valid statement");
    prop_assert_eq!(waiting, 0, "an automatic answer is neither there nor given up");
    Ok(())
}

fn check_row(row: &Row, copies: &[&Message], is_idempotent: bool) -> Result<(), TestCaseError> {
    prop_assert!(row.is(&["sent", "failed", "delivered", "bounced", "unknown"]), "no end: {:#?}", row);
    prop_assert!(copies.len() <= 1, "twice: {:#?} as {:#?}", row, copies);
    match copies.first() {
        None => prop_assert!(row.is(&["failed", "unknown"]), "nobody has {:#?}", row),
        Some(_) => prop_assert!(!row.is(&["failed"]), "the customer has {:#?}", row),
    }
    if is_idempotent && row.channel == "email" && !row.automatic {
        // That it refused another try does not tell what became of the first one.
        let was_refused = row.reason.as_ref().is_some_and(|reason| reason.starts_with("400 validation_error"));
        prop_assert!(!row.is(&["unknown"]) || was_refused, "it could have been asked again: {:#?}", row);
    }
    let (Some(copy), Some(human_at), true) = (copies.first(), row.human_at, row.automatic && !row.is_repeated) else {
        return Ok(());
    };
    let later = human_at + AT_ONCE;
    let is_late = copy.at > later && row.sending_at.is_some_and(|at| at > later);
    prop_assert!(!is_late, "a person had answered at {}: {:#?}", human_at, row);
    Ok(())
}

fn check_lead(lead: &Lead, rows: &[&Row], is_idempotent: bool) -> Result<(), TestCaseError> {
    for (automatic, responded) in [(false, lead.responded), (true, lead.responded_automatically)] {
        let mut of_kind = rows.iter().filter(|row| row.automatic == automatic);
        if responded {
            let any = of_kind.any(|row| row.is(&["sent", "delivered", "bounced"]));
            prop_assert!(any, "nobody has answered {:#?}: {:#?}", lead, rows);
        } else {
            // Those that report say when it has arrived.
            let arrived = of_kind.find(|row| row.has_arrived() && !(is_idempotent && row.is(&["sent"])));
            prop_assert!(arrived.is_none(), "{:#?} has been answered: {:#?}", lead, rows);
        }
    }
    let is_sent = rows.iter().any(|row| row.is(&["sent", "delivered"]));
    let may_be_sent = is_sent || rows.iter().any(|row| row.is(&["bounced"]));
    prop_assert!(lead.status != "new" || !is_sent, "{:#?} has been contacted: {:#?}", lead, rows);
    prop_assert!(lead.status == "new" || may_be_sent, "nothing was sent to {:#?}: {:#?}", lead, rows);
    Ok(())
}

async fn rows(conn: &mut PgConnection) -> Vec<Row> {
    sqlx::query_as(
        "SELECT o.id, o.message_id AS message, o.lead_id AS lead, o.channel, o.automatic, o.status, o.reason, o.created_at,
                o.sending_at,
                EXISTS (SELECT FROM outbox e WHERE e.message_id = o.message_id AND e.created_at < o.created_at) AS is_repeated,
                (SELECT min(c.created_at) FROM conversations c
                 WHERE c.lead_id = o.lead_id AND c.direction = 'outbound' AND c.sender_type = 'human') AS human_at
         FROM outbox o ORDER BY o.created_at",
    )
    .fetch_all(conn)
    .await
    .expect("a valid statement")
}

async fn leads(conn: &mut PgConnection) -> Vec<Lead> {
    sqlx::query_as(
        "SELECT id, status, first_response_time IS NOT NULL AS responded,
                first_automatic_response_time IS NOT NULL AS responded_automatically
         FROM leads",
    )
    .fetch_all(conn)
    .await
    .expect("a valid statement")
}

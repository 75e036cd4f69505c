//! How much a statement reads: what it is about, and not all that the dealership has.

use common::ids::DealershipId;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tests::app::TestApp;

use super::{SPREAD, plans::Executed};

/// Of each kind of thing that a dealership has, from long ago.
const FILLED: u32 = 3_000;
/// Rows of one table that a statement may read: far more than a page shows.
const MOST: f64 = 400.0;

/// These look at all that there is: they count it, look for words in it, or end it.
const READ_ALL: [&str; 5] =
    ["leads::page", "leads::total", "leads::count", "customers::total", "clerk::purge::destroy"];

/// Years of leads of one dealership, each with its customer, its messages and what was sent, and of what its people were told.
pub(super) async fn fill(app: &TestApp, dealership: DealershipId) {
    let mut connection = app.connect().await;
    // Each row's references are statements, too, and none of ours.
    connection.execute("SET auto_explain.log_min_duration = -1").await.expect("a superuser may");
    for statement in leads(dealership).into_iter().chain(sendings(dealership)) {
        connection.execute(AssertSqlSafe(statement)).await.expect("valid rows");
    }
    connection.execute("VACUUM (ANALYZE)").await.expect("nothing stands in the way");
    connection.close().await.expect("the database is there");
}

/// The id of the row `n` of a kind.
fn id(what: &str) -> String {
    format!("md5('{what} ' || n)::uuid")
}

fn all() -> String {
    format!("FROM generate_series(1, {FILLED}) n")
}

fn leads(dealership: DealershipId) -> [String; 6] {
    let (lead, customer, message, all) = (id("lead"), id("customer"), id("message"), all());
    [
        format!(
            "INSERT INTO customers (id, dealership_id, name, created_at)
             SELECT {customer}, '{dealership}', 'Kunde ' || n, now() - interval '2 years' {all}"
        ),
        format!(
            "INSERT INTO customer_identities (dealership_id, kind, value, customer_id)
             SELECT '{dealership}', 'email', 'kunde' || n || '@example.no', {customer} {all}"
        ),
        format!(
            "INSERT INTO leads (id, dealership_id, customer_id, source, status, customer_name, customer_email, created_at)
             SELECT {lead}, '{dealership}', {customer}, 'website', 'lost', 'Kunde ' || n, 'kunde' || n || '@example.no',
                    now() - interval '2 years' - n * interval '1 minute' {all}"
        ),
        format!(
            "INSERT INTO conversations (id, lead_id, dealership_id, channel, direction, sender, sender_type, message_content, created_at)
             SELECT {message}, {lead}, '{dealership}', 'email', 'inbound', 'Kunde', 'customer', 'Hei', now() - interval '2 years' {all}"
        ),
        format!(
            "INSERT INTO lead_status_changes (lead_id, dealership_id, from_status, to_status, changed_at)
             SELECT {lead}, '{dealership}', 'new', 'lost', now() - interval '2 years' {all}"
        ),
        format!(
            "INSERT INTO inquiries (id, dealership_id, source_id, delivery_id, lead_id, mail_id, received_at)
             SELECT {lead}, '{dealership}', (SELECT id FROM lead_sources WHERE dealership_id = '{dealership}' LIMIT 1), -n, {lead},
                    n || '@example.no', now() - interval '2 years' {all}"
        ),
    ]
}

/// Each lead was answered and suggested something, and somebody was told of it by mail and by text message.
fn sendings(dealership: DealershipId) -> [String; 5] {
    let (lead, answer, all) = (id("lead"), id("answer"), all());
    let person = format!("(SELECT id FROM users WHERE dealership_id = '{dealership}' ORDER BY id LIMIT 1)");
    let then = "now() - interval '2 years' + n * interval '1 minute'";
    let by = "CROSS JOIN (VALUES ('email', 'kari@example.no'), ('sms', '+4791234567')) AS w (channel, recipient)";
    let notice = "md5('notice ' || w.channel || n)::uuid";
    [
        format!(
            "INSERT INTO conversations (id, lead_id, dealership_id, channel, direction, sender, sender_type, message_content, created_at)
             SELECT {answer}, {lead}, '{dealership}', 'email', 'outbound', 'Assistent', 'ai', 'Hei', {then} {all}"
        ),
        format!(
            "INSERT INTO outbox (id, dealership_id, message_id, lead_id, channel, automatic, recipient, status, mail_id, created_at,
                                 sending_at, sent_at, changed_at)
             SELECT {answer}, '{dealership}', {answer}, {lead}, 'email', true, 'kunde' || n || '@example.no', 'sent',
                    n || '@norvalt.example', {then}, {then}, {then}, {then} {all}"
        ),
        format!(
            "INSERT INTO answers (dealership_id, lead_id, kind, state, due_at, author, reply, message_id, input_tokens, created_at, settled_at)
             SELECT '{dealership}', {lead}, kind, state, {then}, 'assistant', 'Hei', {answer}, 1000, {then}, {then} {all}
             CROSS JOIN (VALUES ('answer', 'answered'), ('suggestion', 'drafted')) AS k (kind, state)"
        ),
        format!(
            "INSERT INTO outbox (id, dealership_id, user_id, channel, automatic, recipient, status, created_at, sending_at, sent_at, changed_at)
             SELECT {notice}, '{dealership}', {person}, w.channel, true, w.recipient, 'sent', {then}, {then}, {then}, {then} {all} {by}"
        ),
        format!(
            "INSERT INTO notifications (dealership_id, user_id, event, lead_id, channel, created_at, outbox_id)
             SELECT '{dealership}', {person}, 'new_lead', {lead}, w.channel, {then}, {notice} {all} {by}"
        ),
    ]
}

/// Which table a statement reads far more of than it is about, if it does.
pub(super) fn out_of_proportion(executed: &Executed) -> Option<String> {
    let (table, rows) = most_read(&executed.plan)?;
    let is_meant = READ_ALL.iter().any(|name| executed.text.trim_start().starts_with(&format!("-- {name}\n")));
    // What a reference does has no name, and is done to what goes with all that there is.
    let is_reference = executed.text.contains("FROM ONLY");
    // The journey's own questions have none either.
    let is_ours = executed.text.trim_start().starts_with("-- ");
    (rows > MOST && is_ours && !is_meant && !is_reference)
        .then(|| format!("{rows} rows of {table} are read by: {}", executed.text))
}

/// The table of a node of which most is read, and how much.
fn most_read(node: &Value) -> Option<(&str, f64)> {
    let number = |key: &str| node[key].as_f64().unwrap_or_default();
    let table = node["Relation Name"].as_str().filter(|name| SPREAD.iter().any(|(spread, _)| spread == name));
    let rows = number("Actual Rows") + number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    let here = table.map(|table| (table, rows * number("Actual Loops")));
    let below = node["Plans"].as_array().into_iter().flatten().filter_map(most_read);
    below.chain(here).max_by(|a, b| a.1.total_cmp(&b.1))
}

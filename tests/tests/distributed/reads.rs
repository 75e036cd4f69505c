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

/// Years of leads of one dealership, each with its customer and messages.
pub(super) async fn fill(app: &TestApp, dealership: DealershipId) {
    let id = |what: &str| format!("md5('{what} ' || n)::uuid");
    let (lead, customer, message) = (id("lead"), id("customer"), id("message"));
    let all = format!("FROM generate_series(1, {FILLED}) n");
    let statements = [
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
    ];
    let mut connection = app.connect().await;
    for statement in statements {
        connection.execute(AssertSqlSafe(statement)).await.expect("valid rows");
    }
    connection.execute("VACUUM (ANALYZE)").await.expect("nothing stands in the way");
    connection.close().await.expect("the database is there");
}

/// Which table a statement reads far more of than it is about, if it does.
pub(super) fn out_of_proportion(executed: &Executed) -> Option<String> {
    let (table, rows) = most_read(&executed.plan)?;
    let is_meant = READ_ALL.iter().any(|name| executed.text.trim_start().starts_with(&format!("-- {name}\n")));
    // What a reference does has no name, and is done to what goes with all that there is.
    let is_reference = executed.text.contains("FROM ONLY");
    (rows > MOST && !is_meant && !is_reference)
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

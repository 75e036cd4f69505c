//! The dealerships' tables can be spread over machines by dealership, as Citus does: the schema and every statement keep
//! to what that allows, which is checked on PostgreSQL alone. With `CITUS_URL` the same journey runs on such a server.

mod assistant;
mod journey;
mod plans;
mod reads;
mod statements;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tests::{app::TestApp, cluster::private_cluster};

use self::{journey::walk, plans::Executed};

/// Tables of which every row is a dealership's, with the column that says whose. The others stay on one machine.
const SPREAD: [(&str, &str); 20] = [
    ("dealerships", "id"),
    ("users", "dealership_id"),
    ("leads", "dealership_id"),
    ("conversations", "dealership_id"),
    ("lead_status_changes", "dealership_id"),
    ("vehicles", "dealership_id"),
    ("automation_rules", "dealership_id"),
    ("customers", "dealership_id"),
    ("customer_identities", "dealership_id"),
    ("inquiries", "dealership_id"),
    ("lead_sources", "dealership_id"),
    ("facebook_lead_counts", "dealership_id"),
    ("facebook_logins", "dealership_id"),
    ("outbox", "dealership_id"),
    ("suppressions", "dealership_id"),
    ("answers", "dealership_id"),
    ("answer_settings", "dealership_id"),
    ("sending_accounts", "dealership_id"),
    ("notifications", "dealership_id"),
    ("idempotency_keys", "dealership_id"),
];

#[tokio::test]
async fn every_key_and_reference_of_a_dealerships_table_names_the_dealership() {
    let database = tests::cluster::database().await;
    let mut connection = database.connect().await;
    let spread: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.columns
         WHERE table_schema = 'public' AND column_name = 'dealership_id' AND is_nullable = 'NO' ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await
    .expect("a valid statement");
    let mut listed: Vec<_> =
        SPREAD.iter().filter(|(_, column)| *column == "dealership_id").map(|(name, _)| *name).collect();
    listed.sort_unstable();
    assert_eq!(spread, listed, "a table with a dealership_id that is never null is spread: add it to the list");

    let (tables, columns): (Vec<_>, Vec<_>) = SPREAD.into_iter().unzip();
    let wrong: Vec<String> = sqlx::query_scalar(
        "WITH spread AS (
           SELECT t.name::regclass AS oid, t.key,
                  (SELECT attnum FROM pg_attribute WHERE attrelid = t.name::regclass AND attname = t.key) AS attnum
           FROM unnest($1::text[], $2::text[]) AS t (name, key))
         SELECT format('unique index %s of %s lacks %s', i.indexrelid::regclass, s.oid, s.key)
         FROM pg_index i JOIN spread s ON s.oid = i.indrelid WHERE i.indisunique AND NOT s.attnum = ANY (i.indkey::int2[])
         UNION ALL
         SELECT format('reference %s of %s %s', f.conname, f.conrelid::regclass, CASE
                  WHEN a.oid IS NULL OR b.oid IS NULL THEN 'joins a spread table and one that is not'
                  WHEN f.confdeltype IN ('n', 'd') OR f.confupdtype IN ('n', 'd', 'c') THEN 'sets columns'
                  ELSE 'does not name the dealership on both sides' END)
         FROM pg_constraint f LEFT JOIN spread a ON a.oid = f.conrelid LEFT JOIN spread b ON b.oid = f.confrelid
         WHERE f.contype = 'f' AND (a.oid IS NOT NULL OR b.oid IS NOT NULL)
           AND (a.oid IS NULL OR b.oid IS NULL OR f.confdeltype IN ('n', 'd') OR f.confupdtype IN ('n', 'd', 'c')
                OR array_position(f.conkey, a.attnum) IS NULL
                OR array_position(f.conkey, a.attnum) IS DISTINCT FROM array_position(f.confkey, b.attnum))",
    )
    .bind(tables)
    .bind(columns)
    .fetch_all(&mut connection)
    .await
    .expect("a valid statement");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the server says of each statement: its text and its plan.
const EXPLAIN: [&str; 6] = [
    "ALTER SYSTEM SET session_preload_libraries = 'auto_explain'",
    "ALTER SYSTEM SET auto_explain.log_min_duration = 0",
    "ALTER SYSTEM SET auto_explain.log_format = 'json'",
    "ALTER SYSTEM SET auto_explain.log_analyze = on",
    "ALTER SYSTEM SET auto_explain.log_nested_statements = on",
    "SELECT pg_reload_conf()",
];

#[tokio::test]
async fn every_statement_names_the_dealership_and_does_nothing_that_one_machine_alone_can() {
    let cluster = private_cluster().await;
    let mut superuser = cluster.connect().await;
    if superuser.execute("LOAD 'auto_explain'").await.is_err() {
        eprintln!("skipped: this PostgreSQL has no auto_explain");
        return;
    }
    for statement in EXPLAIN {
        superuser.execute(statement).await.expect("a superuser may");
    }
    superuser.close().await.expect("it is there");
    // A new session has the libraries, once the server has read its configuration again.
    loop {
        let mut connection = cluster.connect().await;
        let loaded: String =
            sqlx::query_scalar("SHOW session_preload_libraries").fetch_one(&mut connection).await.expect("a setting");
        if loaded == "auto_explain" {
            break;
        }
    }
    let app = TestApp::start_on(&cluster.url, |_| {}).await;
    walk(&app).await;

    let executed = plans::read(&cluster.log());
    let mut wrong: Vec<String> = executed.iter().flat_map(Executed::relations_without_dealership).collect();
    wrong.extend(executed.iter().filter_map(|executed| statements::forbidden(&executed.text)));
    wrong.extend(executed.iter().filter_map(reads::out_of_proportion));
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let forgotten = statements::never_seen(&executed);
    assert!(forgotten.is_empty(), "the journey does not come by these statements: {}", forgotten.join(", "));
}

#[tokio::test]
async fn the_same_journey_runs_on_a_server_that_spreads_the_tables() {
    let Ok(url) = std::env::var("CITUS_URL") else {
        eprintln!("skipped: CITUS_URL names no server with Citus");
        return;
    };
    common::db::migrate(&url.parse().expect("CITUS_URL is a URL")).await.expect("the schema fits");
    let mut connection = PgConnection::connect(&url).await.expect("CITUS_URL can be reached");
    let spread = include_str!("../../docs/scaling/citus.sql");
    connection.execute(AssertSqlSafe(spread.to_owned())).await.expect("the tables can be spread");
    walk(&TestApp::start_on(&url, |_| {}).await).await;
}

//! Whatever a database, a role or an administrator has set, transactions say themselves what they need; what cannot be said is
//! refused with what to do.

use std::time::Duration;

use common::{
    db::{Db, MigrateError, NotUsable, migrate, pending_migrations},
    ids::LeadId,
};
use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tests::{
    answer::Answer,
    app::TestApp,
    cluster::{TestDatabase, database, empty_database, private_cluster},
};
use tokio::time::{sleep, timeout};

const EVENTUALLY: Duration = Duration::from_secs(20);

async fn set_for_everybody(database: &TestDatabase, settings: &[(&str, &str)]) {
    let mut conn = database.connect().await;
    let name: String =
        sqlx::query_scalar("SELECT current_database()").fetch_one(&mut conn).await.expect("a valid statement");
    for (setting, value) in settings {
        let set = format!("ALTER DATABASE {name} SET {setting} = {value}");
        conn.execute(AssertSqlSafe(set)).await.expect("a valid setting");
    }
}

async fn server_version(database: &TestDatabase) -> i32 {
    sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
        .fetch_one(&mut database.connect().await)
        .await
        .expect("a valid statement")
}

fn url(database: &TestDatabase) -> common::db::DatabaseUrl {
    database.url.parse().expect("a valid URL")
}

#[tokio::test]
async fn whatever_others_have_set_concurrent_writes_succeed() {
    for isolation in ["'repeatable read'", "serializable"] {
        let database = database().await;
        // Nothing else can be said to an older server, which does not know it.
        if server_version(&database).await >= 170_000 {
            set_for_everybody(&database, &[("transaction_timeout", "'900ms'")]).await;
        }
        set_for_everybody(
            &database,
            &[
                ("default_transaction_isolation", isolation),
                ("default_transaction_read_only", "on"),
                ("statement_timeout", "'900ms'"),
                ("lock_timeout", "'100ms'"),
                ("idle_in_transaction_session_timeout", "'900ms'"),
                ("row_security", "off"),
                ("search_path", "elsewhere"),
                ("datestyle", "'German'"),
                ("intervalstyle", "'iso_8601'"),
                ("timezone", "'Asia/Kolkata'"),
                ("standard_conforming_strings", "off"),
                ("quote_all_identifiers", "on"),
            ],
        )
        .await;
        let app = TestApp::start_on(&database.url, |_| {}).await;
        let oslo = app.dealership("Tesla Oslo").await;
        let (kari, lead) = (oslo.admin(), oslo.lead("Ola Nordmann").await.id);
        let path = format!("/api/v1/leads/{lead}");
        let change = async |n: usize| {
            let status = if n.is_multiple_of(2) { "contacted" } else { "qualified" };
            let change = json!({ "lead_score": n % 100 + 1, "status": status });
            Answer::of(kari.request(Method::PATCH, &path).json(&change)).await.expect(200);
        };
        // Longer than each of the limits above.
        let held = hold(&database, lead, Duration::from_millis(1200));
        // As many as one person may have under way: more would wait for their own, and not for longer than is good for them.
        tokio::join!(held, stream::iter(0..100).for_each_concurrent(2, change));
        assert_eq!(kari.get("/api/v1/leads").await.expect(200)["total"], 1);
        app.get("/health/ready").await.expect(200);
    }
}

async fn hold(database: &TestDatabase, lead: LeadId, length: Duration) {
    let mut conn = database.connect().await;
    conn.execute("SET row_security = on; SET lock_timeout = 0; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET search_path = public;
                  SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'")
        .await
        .expect("a valid statement");
    conn.execute("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE").await.expect("a valid statement");
    let lock = sqlx::query("SELECT FROM leads WHERE id = $1 FOR UPDATE").bind(lead);
    lock.execute(&mut conn).await.expect("it is there");
    sleep(length).await;
    conn.execute("COMMIT").await.expect("a valid statement");
}

#[tokio::test]
async fn tables_are_in_public_whatever_the_search_path() {
    let database = empty_database().await;
    database.connect().await.execute("CREATE SCHEMA app").await.expect("a valid statement");
    set_for_everybody(&database, &[("search_path", "app, public")]).await;
    migrate(&url(&database)).await.expect("it says where tables are made");
    Db::new(&url(&database), 2, "tests").wait_until_usable().await.expect("they are where they are looked for");
    let with_path = format!("{}&options=-c%20search_path%3Dapp", database.url);
    let refused = with_path.parse::<common::db::DatabaseUrl>().expect_err("it asks for other tables");
    assert!(refused.to_string().contains("public"), "{refused}");
}

#[tokio::test]
async fn tables_elsewhere_are_refused_and_not_made_anew() {
    let database = database().await;
    let mut conn = database.connect().await;
    conn.execute("ALTER SCHEMA public RENAME TO app; CREATE SCHEMA public").await.expect("a valid statement");
    match migrate(&url(&database)).await {
        Err(MigrateError::Elsewhere(schema)) => assert_eq!(schema, "app"),
        other => panic!("{other:?}"),
    }
    Db::new(&url(&database), 2, "tests").wait_until_usable().await.expect_err("there are no tables");
}

#[tokio::test]
async fn tables_from_before_the_first_release_are_refused_and_left_as_they_are() {
    let database = database().await;
    let mut conn = database.connect().await;
    let unreleased = "UPDATE _sqlx_migrations SET version = 20261123000100 WHERE version = (SELECT min(version) FROM _sqlx_migrations)";
    conn.execute(unreleased).await.expect("it has migrations");
    for refused in [migrate(&url(&database)).await.err(), pending_migrations(&url(&database)).await.err()] {
        let refused = refused.expect("it is of another history");
        assert!(matches!(refused, MigrateError::Unreleased(20_261_123_000_100)), "{refused:?}");
        assert!(refused.to_string().contains("use a new database"), "{refused}");
    }
}

#[tokio::test]
async fn an_encoding_that_cannot_hold_every_name_is_refused() {
    let database = empty_database().await;
    let mut conn = database.connect().await;
    let name =
        format!("latin_{}", database.url.rsplit("test_").next().and_then(|rest| rest.split('?').next()).unwrap_or(""));
    let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    conn.execute(AssertSqlSafe(create)).await.expect("a valid statement");
    let (before, after) = database.url.split_once("/test_").expect("the name of a test's database");
    let url = format!("{before}/{name}{}", after.find('?').map_or("", |at| &after[at..]));
    let url: common::db::DatabaseUrl = url.parse().expect("a valid URL");
    let (migrated, started) = (migrate(&url).await, Db::new(&url, 2, "tests").wait_until_usable().await);
    conn.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.expect("a valid statement");
    assert!(matches!(migrated, Err(MigrateError::Encoding(encoding)) if encoding == "LATIN1"));
    match started {
        Err(refused @ NotUsable::Encoding(_)) => assert!(refused.to_string().contains("ENCODING 'UTF8'"), "{refused}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_standby_is_not_ready_until_it_is_promoted() {
    let mut cluster = private_cluster().await;
    let app = TestApp::start_on(&cluster.url, |_| {}).await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    kari.get("/api/v1/leads").await.expect(200);
    cluster.stop().await;
    std::fs::write(cluster.directory().join("data/standby.signal"), "").expect("a writable directory");
    cluster.start().await;
    let lead = json!({ "customer_name": "Ola", "customer_email": "ola@example.no" });
    let create = async || Answer::of(kari.request(Method::POST, "/api/v1/leads").json(&lead)).await;
    for _ in 0..3 {
        app.get("/health/ready").await.expect_problem(503, "unavailable");
        create().await.expect_problem(503, "unavailable");
    }
    let refused = Db::new(&cluster.url.parse().expect("a URL"), 1, "tests");
    let waiting = timeout(Duration::from_secs(1), refused.wait_until_usable()).await;
    assert!(waiting.is_err(), "it waits for the primary");
    let mut superuser = PgConnection::connect(&cluster.url).await.expect("a standby answers");
    superuser.execute("SELECT pg_promote()").await.expect("it becomes a primary");
    let ready = async {
        while app.request(Method::GET, "/health/ready").send().await.expect("an answer").status() != 200 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(EVENTUALLY, ready).await.expect("it is ready again");
    create().await.expect(201);
}

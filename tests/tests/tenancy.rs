//! No dealership sees or touches another's data, whatever is tried.

mod login;

use std::time::Duration;

use common::{
    db::{Db, IsolationError, NotUsable, is_migrated},
    ids::DealershipId,
    leads,
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tests::{
    answer::Answer,
    app::{NewLead, TestApp, new_lead},
    cluster::{database, private_cluster},
};
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn another_dealerships_lead_does_not_exist() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let lead = oslo.lead("Ola Nordmann").await;
    let url = format!("/api/v1/leads/{}", lead.id);
    assert_eq!(oslo.admin().get(&url).await.expect(200)["customer_name"], "Ola Nordmann");
    let theirs = bergen.admin().get(&url).await.expect_problem(404, "lead-not-found");
    let nobodys = bergen.admin().get("/api/v1/leads/00000000-0000-4000-8000-000000000000").await;
    let nobodys = nobodys.expect_problem(404, "lead-not-found");
    assert_eq!((&theirs["detail"], &theirs["title"]), (&nobodys["detail"], &nobodys["title"]));
    assert_eq!(bergen.admin().get("/api/v1/leads").await.expect(200)["total"], 0);
    assert_eq!(bergen.admin().get("/api/v1/leads?search=Ola").await.expect(200)["total"], 0);
}

#[tokio::test]
async fn a_removed_member_is_out_at_the_next_request() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let jonas = oslo.member("jonas", "org:member").await;
    let token = jonas.token();
    app.get_with(&token, "/api/v1/leads").await.expect(200);
    let id = format!("orgmem_{}_{}", oslo.org, jonas.user).parse().expect("printable");
    app.change(common::clerk::Change::MembershipDeleted { id, user: Some(jonas.user.clone()) }).await;
    app.get_with(&token, "/api/v1/leads").await.expect_problem(403, "not-provisioned");
}

#[tokio::test]
async fn a_token_of_one_organization_opens_no_other() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let session = oslo.admin().session().organization(bergen.org.as_str(), "bergen", "org:admin");
    app.get_with(&session.mint(&app.clerk.key()), "/api/v1/leads").await.expect_problem(403, "not-provisioned");
}

/// As an attacker would who can run any SQL as the tenant role.
async fn as_tenant(conn: &mut PgConnection, context: Option<&str>) {
    conn.execute("RESET ROLE; RESET app.current_dealership_id").await.expect("a superuser may");
    if let Some(context) = context {
        let set = format!("SET app.current_dealership_id = '{context}'");
        conn.execute(AssertSqlSafe(set)).await.expect("any text may be set");
    }
    conn.execute("SET ROLE norvalt_tenant").await.expect("the role exists");
}

#[tokio::test]
async fn the_database_itself_keeps_dealerships_apart() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let lead = oslo.lead("Ola Nordmann").await;
    let mut conn = app.connect().await;

    let tables = [
        "dealerships",
        "users",
        "leads",
        "lead_status_changes",
        "conversations",
        "vehicles",
        "automation_rules",
        "idempotency_keys",
    ];
    for context in [None, Some(""), Some("00000000-0000-0000-0000-000000000000")] {
        as_tenant(&mut conn, context).await;
        for table in tables {
            let rows: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
                .fetch_one(&mut conn)
                .await
                .expect("reading is allowed");
            assert_eq!(rows, 0, "{table} with context {context:?}");
        }
    }
    as_tenant(&mut conn, Some("'' OR true --")).await;
    conn.execute("SELECT * FROM leads").await.expect_err("garbage is no dealership");

    as_tenant(&mut conn, Some(&bergen.id.to_string())).await;
    let (own, foreign) = (bergen.id, oslo.id);
    let touched = [
        format!("UPDATE leads SET customer_name = 'stolen' WHERE id = '{}'", lead.id),
        format!("DELETE FROM leads WHERE id = '{}'", lead.id),
        format!("UPDATE dealerships SET email = 'stolen' WHERE id = '{foreign}'"),
        format!("UPDATE users SET notification_preferences = '{{}}' WHERE dealership_id = '{foreign}'"),
    ];
    for statement in touched {
        let done = conn.execute(AssertSqlSafe(statement.clone())).await.expect("no row is in sight");
        assert_eq!(done.rows_affected(), 0, "{statement}");
    }
    let refused = [
        format!("INSERT INTO leads (dealership_id, source) VALUES ('{foreign}', 'manual')"),
        format!(
            "INSERT INTO conversations (lead_id, dealership_id, channel, direction, sender, sender_type, message_content)
             VALUES ('{}', '{own}', 'sms', 'inbound', 'x', 'customer', 'x')",
            lead.id
        ),
        format!("INSERT INTO leads (dealership_id, source, assigned_to) VALUES ('{own}', 'manual', '{}')", oslo.admin().id),
        format!("INSERT INTO vehicles (dealership_id, make, model, year) VALUES ('{foreign}', 'VW', 'Golf', 2020)"),
        format!("UPDATE users SET role = 'admin' WHERE dealership_id = '{own}'"),
        format!("UPDATE users SET suspended = false WHERE dealership_id = '{own}'"),
        format!("INSERT INTO users (dealership_id, clerk_user_id, email, name, role) VALUES ('{own}', 'x', 'x', 'x', 'admin')"),
        "UPDATE dealerships SET subscription_tier = 'enterprise'".to_owned(),
        "SELECT * FROM jobs".to_owned(),
        "DELETE FROM deliveries".to_owned(),
        "UPDATE deliveries SET dealership_id = dealership_id".to_owned(),
        format!("INSERT INTO deliveries (source, external_id, event_type, dealership_id, status) VALUES ('form', 'x', 'x', '{foreign}', 'pending')"),
        format!("INSERT INTO source_keys (kind, key, dealership_id, source_id) VALUES ('form', 'x', '{foreign}', '{foreign}')"),
        "SELECT * FROM clerk_objects".to_owned(),
        "ALTER TABLE leads DISABLE ROW LEVEL SECURITY".to_owned(),
        "DROP POLICY tenant ON leads".to_owned(),
        "TRUNCATE leads".to_owned(),
        "CREATE TABLE mine (id int)".to_owned(),
    ];
    for statement in refused {
        assert!(conn.execute(AssertSqlSafe(statement.clone())).await.is_err(), "{statement}");
    }
    conn.execute("INSERT INTO leads (dealership_id, source) VALUES (current_setting('app.current_dealership_id')::uuid, 'manual')")
        .await
        .expect("its own are its own");
}

#[tokio::test]
async fn a_connection_forgets_its_dealership_with_the_transaction() {
    let database = database().await;
    let db = Db::new(&database.url.parse().expect("a valid URL"), 1, "tests");
    let oslo = DealershipId::of(&"org_oslo".parse().expect("printable"));
    let lost: Result<_, leads::WriteError> = async {
        let mut tx = db.tenant(oslo).await?;
        // Fails in mid-transaction: there is no such dealership.
        leads::create(&mut tx, &new_lead()).await
    }
    .await;
    lost.expect_err("a lead of no dealership");
    // The pool has one connection, so this is the same one: neither stuck in the failed transaction nor in its role,
    // which may not read the table of migrations.
    assert!(is_migrated(&db).await.expect("the connection is usable again"));
}

#[tokio::test]
async fn an_assignee_of_another_dealership_cannot_be_written() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    let new = NewLead { assigned_to: Some(bergen.admin().id), ..new_lead() };
    let refused = leads::create(&mut tx, &new).await;
    assert!(matches!(refused, Err(leads::WriteError::AssigneeNotAMember)), "{refused:?}");
}

#[tokio::test]
async fn what_opens_nothing_does_not_stand_in_the_way() {
    for harmless in [
        "CREATE VIEW own_leads WITH (security_invoker = true) AS SELECT * FROM leads;
         GRANT SELECT ON own_leads TO norvalt_tenant",
        "CREATE VIEW for_reports AS SELECT * FROM leads",
        "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.invoices (dealership_id uuid)",
        "CREATE TABLE feature_flags (name text)",
        "CREATE EXTENSION pg_stat_statements",
    ] {
        let database = database().await;
        database.connect().await.execute(harmless).await.expect("a valid statement");
        let db = Db::new(&database.url.parse().expect("a valid URL"), 2, "tests");
        db.wait_until_usable().await.expect(harmless);
    }
}

#[tokio::test]
async fn nobody_serves_while_a_table_lies_open() {
    for (open, table) in [
        ("ALTER TABLE leads NO FORCE ROW LEVEL SECURITY", "leads"),
        ("ALTER TABLE users DISABLE ROW LEVEL SECURITY", "users"),
        ("DROP POLICY tenant ON conversations", "conversations"),
        ("CREATE POLICY convenient ON vehicles USING (true)", "vehicles"),
        ("ALTER POLICY tenant ON dealerships WITH CHECK (true)", "dealerships"),
        ("CREATE TABLE invoices (dealership_id uuid)", "invoices"),
        ("CREATE TABLE lead_notes (lead_id uuid); GRANT SELECT ON lead_notes TO norvalt_tenant", "lead_notes"),
        ("CREATE VIEW all_leads AS SELECT * FROM leads; GRANT SELECT ON all_leads TO norvalt_tenant", "all_leads"),
        ("CREATE MATERIALIZED VIEW copied AS SELECT * FROM leads; GRANT SELECT ON copied TO PUBLIC", "copied"),
        (
            "ALTER POLICY tenant ON vehicles USING (status = 'available' OR dealership_id
               = NULLIF(current_setting('app.current_dealership_id', true), '')::uuid)",
            "vehicles",
        ),
        (
            "CREATE FUNCTION leads_of(uuid) RETURNS SETOF leads LANGUAGE sql SECURITY DEFINER AS
               'SELECT * FROM leads WHERE dealership_id = $1'",
            "leads_of",
        ),
        ("ALTER TABLE leads DISABLE TRIGGER ALL", "leads"),
        (
            "ALTER TABLE lead_status_changes DISABLE TRIGGER USER; ALTER TABLE conversations DISABLE TRIGGER ALL",
            "conversations",
        ),
        ("ALTER TABLE leads DROP CONSTRAINT leads_assigned_to_dealership_id_fkey", "leads"),
        ("ALTER TABLE conversations DROP CONSTRAINT conversations_lead_id_dealership_id_fkey", "conversations"),
        ("ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE", "."),
        ("ALTER FUNCTION uncount_leads RESET search_path", "uncount_leads"),
        ("ALTER FUNCTION count_backdated_lead SET search_path = elsewhere, public", "count_backdated_lead"),
    ] {
        let database = database().await;
        let db = Db::new(&database.url.parse().expect("a valid URL"), 2, "tests");
        db.wait_until_usable().await.expect("the schema is sound");
        let mut conn = database.connect().await;
        conn.execute(open).await.expect("a valid statement");
        match db.wait_until_usable().await {
            Err(NotUsable::NotIsolated(IsolationError::NotIsolated(problems))) => {
                assert!(!problems.is_empty() && problems.iter().all(|p| p.contains(table)), "{open}: {problems:?}");
            }
            other => panic!("{open}: {other:?}"),
        }
        conn.close().await.expect("it closes");
    }
}

#[tokio::test]
async fn nobody_serves_while_a_role_of_ours_is_somebody_elses_too() {
    let cluster = private_cluster().await;
    let db = Db::new(&cluster.url.parse().expect("a valid URL"), 2, "tests");
    for (open, close, named) in [
        ("ALTER ROLE norvalt_tenant LOGIN", "ALTER ROLE norvalt_tenant NOLOGIN", "norvalt_tenant"),
        ("ALTER ROLE norvalt_tenant BYPASSRLS", "ALTER ROLE norvalt_tenant NOBYPASSRLS", "norvalt_tenant"),
        ("ALTER ROLE norvalt_system CREATEROLE", "ALTER ROLE norvalt_system NOCREATEROLE", "norvalt_system"),
        ("CREATE ROLE reports LOGIN; GRANT norvalt_system TO reports", "DROP ROLE reports", "reports"),
        ("GRANT norvalt_system TO norvalt_tenant", "REVOKE norvalt_system FROM norvalt_tenant", "norvalt_tenant"),
        ("GRANT pg_read_all_data TO norvalt_tenant", "REVOKE pg_read_all_data FROM norvalt_tenant", "pg_read_all_data"),
    ] {
        let mut conn = cluster.connect().await;
        conn.execute(open).await.expect("a valid statement");
        match db.verify_isolation().await {
            Err(IsolationError::NotIsolated(problems)) => {
                assert!(problems.iter().any(|p| p.contains(named)), "{open}: {problems:?}");
            }
            other => panic!("{open}: {other:?}"),
        }
        db.tenant(DealershipId::of(&"org_oslo".parse().expect("printable")))
            .await
            .expect_err("no dealership is served");
        conn.execute(close).await.expect("a valid statement");
        db.wait_until_usable().await.expect(close);
    }
}

/// Row-Level Security is switched off where it guards what dealerships have.
const OFF: &str = "ALTER TABLE leads DISABLE ROW LEVEL SECURITY; ALTER TABLE conversations DISABLE ROW LEVEL SECURITY;
    ALTER TABLE lead_status_changes DISABLE ROW LEVEL SECURITY; ALTER TABLE vehicles DISABLE ROW LEVEL SECURITY;
    ALTER TABLE automation_rules DISABLE ROW LEVEL SECURITY; ALTER TABLE users DISABLE ROW LEVEL SECURITY;
    ALTER TABLE dealerships DISABLE ROW LEVEL SECURITY";
const ON: &str = "ALTER TABLE leads ENABLE ROW LEVEL SECURITY; ALTER TABLE conversations ENABLE ROW LEVEL SECURITY;
    ALTER TABLE lead_status_changes ENABLE ROW LEVEL SECURITY; ALTER TABLE vehicles ENABLE ROW LEVEL SECURITY;
    ALTER TABLE automation_rules ENABLE ROW LEVEL SECURITY; ALTER TABLE users ENABLE ROW LEVEL SECURITY;
    ALTER TABLE dealerships ENABLE ROW LEVEL SECURITY";

#[tokio::test]
async fn every_statement_names_the_dealership_should_policies_be_switched_off() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let create = async |path: &str, body: Value| -> String {
        let request = oslo.admin().request(Method::POST, path).json(&body);
        Answer::of(request).await.expect(201)["id"].as_str().expect("an id").to_owned()
    };
    let customer =
        json!({ "customer_name": "mark-oslo", "customer_email": "a@example.no", "assigned_to": oslo.admin().id });
    let lead = create("/api/v1/leads", customer).await;
    let message = json!({ "lead_id": lead, "message_content": "mark-oslo", "channel": "email" });
    create("/api/v1/conversations", message).await;
    let won = oslo.admin().request(Method::PATCH, &format!("/api/v1/leads/{lead}")).json(&json!({ "status": "won" }));
    Answer::of(won).await.expect(200);
    let vehicle = create("/api/v1/vehicles", json!({ "make": "mark-oslo", "model": "Y", "year": 2020 })).await;
    let rule = create("/api/v1/automation-rules", json!({ "name": "mark-oslo", "trigger_type": "lead.created" })).await;
    let pages =
        ["leads", "leads?search=mark", "leads?status=won", "vehicles", "automation-rules", "users", "dealership", "me"];
    let mut paths: Vec<_> = pages.map(|page| format!("/api/v1/{page}")).into();
    for of_lead in ["", "/conversations", "/history"] {
        paths.push(format!("/api/v1/leads/{lead}{of_lead}"));
    }
    paths.extend([format!("/api/v1/vehicles/{vehicle}"), format!("/api/v1/automation-rules/{rule}")]);
    // Over connections that are open, which nobody looks at again before a minute is over.
    bergen.admin().get("/api/v1/leads").await.expect(200);
    app.connect().await.execute(OFF).await.expect("a valid statement");
    let mut read = 0;
    for path in &paths {
        let answer = bergen.admin().request(Method::GET, path).send().await.expect("an answer");
        let (status, text) = (answer.status(), answer.text().await.expect("text"));
        assert!(!status.is_server_error(), "{path}: {status}");
        assert!(!text.contains("mark-oslo") && !text.contains(&oslo.id.to_string()), "{path}: {text}");
        read += usize::from(status == 200);
    }
    assert!(read >= pages.len(), "only {read} answers show anything");
    for (path, change) in [
        (format!("/api/v1/leads/{lead}"), json!({ "status": "lost" })),
        (format!("/api/v1/vehicles/{vehicle}"), json!({ "make": "mark-bergen" })),
        (format!("/api/v1/automation-rules/{rule}"), json!({ "name": "mark-bergen" })),
    ] {
        Answer::of(bergen.admin().request(Method::PATCH, &path).json(&change)).await.expect(404);
        Answer::of(bergen.admin().request(Method::DELETE, &path)).await.expect(404);
        oslo.admin().get(&path).await.expect(200);
    }
}

#[tokio::test]
async fn no_dealership_is_served_while_they_are_not_isolated() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    kari.get("/api/v1/leads").await.expect(200);
    let mut conn = app.connect().await;
    conn.execute(OFF).await.expect("a valid statement");
    // New connections look at once.
    conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'norvalt api%'
                    AND datname = current_database()",
    )
    .await
    .expect("a valid statement");
    kari.get("/api/v1/leads").await.expect_problem(503, "unavailable");
    app.get("/health/ready").await.expect_problem(503, "not-ready");
    // What is no dealership's is still done.
    let event = tests::clerk_events::organization("organization.created", "org_new", "Ny", 1);
    app.deliver("msg_1", &event).await.expect(202);
    conn.execute(ON).await.expect("a valid statement");
    let served = async {
        while app.request(Method::GET, "/health/ready").send().await.expect("an answer").status() != 200 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), served).await.expect("it is ready again, without a restart");
    kari.get("/api/v1/leads").await.expect(200);
}

#[tokio::test]
async fn open_connections_are_looked_at_again_from_time_to_time() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await.id;
    let url = app.database_url.parse().expect("a valid URL");
    // One connection, which is there before anything is wrong.
    let db = Db::looking_every(&url, 1, "norvalt looking", Duration::from_millis(200));
    drop(db.tenant(oslo).await.expect("they are isolated"));
    let backends = "SELECT min(pid) FROM pg_stat_activity WHERE application_name = 'norvalt looking' AND datname = current_database()";
    let mut conn = app.connect().await;
    let backend: i32 = sqlx::query_scalar(backends).fetch_one(&mut conn).await.expect("it is open");
    for (change, serves) in [(OFF, false), (ON, true)] {
        conn.execute(change).await.expect("a valid statement");
        let found = async {
            while db.tenant(oslo).await.is_ok() != serves {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), found).await.unwrap_or_else(|_| panic!("nobody has looked after {change}"));
    }
    let still: i32 = sqlx::query_scalar(backends).fetch_one(&mut conn).await.expect("it is open");
    assert_eq!(still, backend, "no connection was opened meanwhile");
}

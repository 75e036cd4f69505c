//! No dealership sees or touches another's data, whatever is tried.

use common::{
    db::{Db, IsolationError, NotUsable, is_migrated},
    ids::DealershipId,
    leads,
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tests::{
    app::{NewLead, TestApp, new_lead},
    cluster::database,
};

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

    let tables =
        ["dealerships", "users", "leads", "lead_status_changes", "conversations", "vehicles", "automation_rules"];
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
        format!("UPDATE users SET notification_preferences = '{{}}' WHERE dealership_id = '{own}'"),
        format!("INSERT INTO users (dealership_id, clerk_user_id, email, name, role) VALUES ('{own}', 'x', 'x', 'x', 'admin')"),
        "UPDATE dealerships SET subscription_tier = 'enterprise'".to_owned(),
        "SELECT * FROM jobs".to_owned(),
        "SELECT * FROM clerk_events".to_owned(),
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

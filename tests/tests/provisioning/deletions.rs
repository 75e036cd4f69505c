//! What becomes of people and dealerships that are deleted.

use common::clerk::{closed_dealerships, process, purge};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::Answer,
    app::TestApp,
    clerk_events::{Membership, deleted, organization, user},
};

use super::{give, kari};

#[tokio::test]
async fn the_deleted_are_forgotten_and_their_leads_stay() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let jonas = oslo.person("jonas");
    let membership_id = format!("orgmem_{}", jonas.user);
    let membership = Membership {
        first_name: "Jonas-Aleksander",
        identifier: Some("jonas@example.no"),
        ..kari(&membership_id, oslo.org.as_str(), jonas.user.as_str())
    };
    let profile = user("user.created", jonas.user.as_str(), "Jonas-Aleksander", Some("jonas@example.no"), false, 1_000);
    let deliver = async |name: &str, event: &Value| {
        app.deliver(name, event).await.expect(202);
        let id = app.count("SELECT max(id) FROM deliveries").await;
        let mut tx = app.db.system().await.expect("the database is there");
        process(&mut tx, id).await.expect("it can be processed");
        tx.commit().await.expect("the database is there");
    };
    deliver("msg_1", &profile).await;
    deliver("msg_2", &membership.event("created")).await;
    let lead = oslo.lead_with(tests::app::NewLead { assigned_to: Some(jonas.id), ..tests::app::new_lead() }).await;
    let url = format!("/api/v1/leads/{}", lead.id);
    assert_eq!(oslo.admin().get(&url).await.expect(200)["assigned_user"]["name"], "Jonas-Aleksander");
    let reply = json!({ "lead_id": lead.id, "message_content": "Hei!", "channel": "sms" });
    let sent = jonas.request(Method::POST, "/api/v1/conversations").json(&reply);
    assert_eq!(Answer::of(sent).await.expect(201)["sender"], "Jonas-Aleksander");
    // He leaves first, and what he wrote keeps his name; a malformed event about him lies around dead.
    deliver("msg_3", &membership.event("deleted")).await;
    let malformed = json!({ "type": "organizationMembership.created", "data": membership.event("created")["data"] });
    let malformed = without_id(malformed);
    assert_eq!(app.deliver("msg_4", &malformed).await.expect(200)["status"], "dead");
    assert_eq!(mentions(&app, "Jonas-Aleksander").await, ["clerk_objects", "conversations", "deliveries"]);

    deliver("msg_5", &deleted("user.deleted", jonas.user.as_str(), 9_000)).await;
    deliver("msg_6", &membership.event("updated")).await;
    assert_eq!(mentions(&app, "Jonas-Aleksander").await, Vec::<String>::new());
    assert_eq!(mentions(&app, "jonas@example.no").await, Vec::<String>::new());
    let kept = oslo.admin().get(&url).await.expect(200);
    assert!(kept["assigned_user"].is_null() && kept["assigned_to"].is_null());
    assert_eq!(oslo.admin().get(&format!("{url}/conversations")).await.expect(200)[0]["sender"], "Slettet bruker");
    jonas.get("/api/v1/me").await.expect_problem(403, "not-provisioned");
}

fn without_id(mut event: Value) -> Value {
    event["data"].as_object_mut().expect("an object").remove("id");
    event
}

/// The tables in which a text stands anywhere.
async fn mentions(app: &TestApp, text: &str) -> Vec<String> {
    let mut conn = app.connect().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
    )
    .fetch_all(&mut conn)
    .await
    .expect("a valid statement");
    let mut found = Vec::new();
    for table in tables {
        // Bytes are shown in hexadecimal.
        let search = format!(
            "SELECT EXISTS (SELECT FROM {table} t WHERE t::text LIKE ANY (
               ARRAY['%' || $1 || '%', '%' || encode(convert_to($1, 'UTF8'), 'hex') || '%']))"
        );
        let search = sqlx::query_scalar(sqlx::AssertSqlSafe(search)).bind(text);
        if search.fetch_one(&mut conn).await.expect("a valid statement") {
            found.push(table);
        }
    }
    found
}

#[tokio::test]
async fn a_closed_dealership_is_out_of_reach_and_keeps_its_book() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    oslo.lead("Ola Nordmann").await;
    give(&app.db, &deleted("organization.deleted", oslo.org.as_str(), 9_000)).await;
    oslo.admin().get("/api/v1/leads").await.expect_problem(403, "not-provisioned");
    oslo.admin().without_organization().get("/api/v1/me").await.expect_problem(403, "not-provisioned");
    assert_eq!(app.count("SELECT count(*) FROM leads").await, 1);
}

#[tokio::test]
async fn a_purged_dealership_stays_gone_and_an_open_one_is_never_purged() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    oslo.lead("Ola Nordmann").await;
    bergen.lead("Kari Nordmann").await;
    give(&app.db, &deleted("organization.deleted", oslo.org.as_str(), 9_000)).await;
    let now = common::clock::Clock::system().now() + chrono::TimeDelta::minutes(1);
    let mut tx = app.db.system().await.expect("the database is there");
    let closed = closed_dealerships(&mut tx, now).await.expect("it answers");
    let counts: Vec<_> = closed.iter().map(|d| (d.name.as_str(), d.leads, d.users)).collect();
    assert_eq!(counts, [("Tesla Oslo", 1, 1)]);
    assert!(purge(&mut tx, &oslo.org).await.expect("it answers"));
    assert!(!purge(&mut tx, &bergen.org).await.expect("it answers"), "it is open");
    tx.commit().await.expect("the database is there");
    assert_eq!(mentions(&app, "Ola Nordmann").await, Vec::<String>::new());
    assert_eq!(bergen.admin().get("/api/v1/leads").await.expect(200)["total"], 1);

    let late = kari("orgmem_late", oslo.org.as_str(), "user_late").event("created");
    give(&app.db, &organization("organization.updated", oslo.org.as_str(), "Tesla Oslo", 99_000)).await;
    give(&app.db, &late).await;
    assert_eq!(app.count("SELECT count(*) FROM dealerships").await, 1);
}

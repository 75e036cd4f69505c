//! Whoever began first and wrote last has changed it last: `now()` is when a transaction began.

use chrono::{DateTime, Utc};
use common::{
    customers,
    db::Identity,
    ids::{CustomerId, OutboxId, SourceId},
    lead_sources::{self, Page, Rotation},
    outbox::{self, Way},
    secrets::Keyring,
};
use reqwest::Method;
use serde_json::{Value, json};
use tests::app::{Person, TestApp};

use super::{create, send, time};

const KEYS: &str = "2026-11:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(of: &Value) -> T {
    of["id"].as_str().expect("an id").parse().expect("an id")
}

/// Changes a source, and says when it was.
async fn renamed(person: &Person<'_>, url: &str) -> DateTime<Utc> {
    time(&send(person, Method::PATCH, url, &json!({ "name": "Forsiden" })).await.expect(200)["updated_at"])
}

#[tokio::test]
async fn sources() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, keyring) = (oslo.admin(), KEYS.parse::<Keyring>().expect("a key"));
    let early = async || app.db.tenant(oslo.id).await.expect("the database is there");
    let updated = async |url: &str| time(&kari.get(url).await.expect(200)["updated_at"]);

    let form = create(&kari, "/api/v1/lead-sources", json!({ "kind": "form", "name": "Skjema" })).await;
    let url = format!("/api/v1/lead-sources/{}", form["id"].as_str().expect("an id"));
    let mut tx = early().await;
    let before = renamed(&kari, &url).await;
    lead_sources::rotate(&mut tx, id(&form), Rotation { keep_days: 1 })
        .await
        .expect("it is there")
        .expect("it is there");
    tx.commit().await.expect("the database is there");
    assert!(updated(&url).await > before);

    let page = Page { id: "1234".into(), name: "Tesla Oslo".into(), token: "EAAB".to_owned().into() };
    let mut tx = early().await;
    let source: SourceId = lead_sources::connect_page(&mut tx, &keyring, &page).await.expect("there is a key").id;
    tx.commit().await.expect("the database is there");
    let url = format!("/api/v1/lead-sources/{source}");
    let mut tx = early().await;
    let before = renamed(&kari, &url).await;
    lead_sources::connect_page(&mut tx, &keyring, &page).await.expect("there is a key");
    tx.commit().await.expect("the database is there");
    assert!(updated(&url).await > before);
    let mut tx = early().await;
    let before = renamed(&kari, &url).await;
    assert!(lead_sources::confirm_page(&mut tx, source, "1234").await.expect("the database is there"));
    tx.commit().await.expect("the database is there");
    assert!(updated(&url).await > before);
}

#[tokio::test]
async fn customers_that_are_one_person() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let customer = async |email: &str| {
        let lead = create(&kari, "/api/v1/leads", json!({ "customer_email": email })).await;
        lead["customer_id"].as_str().expect("an id").to_owned()
    };
    let (home, work) = (customer("siri@example.no").await, customer("siri@jobb.example").await);
    let identity = Identity { user: kari.user.clone(), organization: Some(oslo.org.clone()), impersonator: None };
    let early = async || app.db.enter(&identity).await.expect("she is a member");
    let updated = async || -> (DateTime<Utc>, Option<DateTime<Utc>>) {
        sqlx::query_as("SELECT updated_at, merged_at FROM customers WHERE id::text = $1")
            .bind(&work)
            .fetch_one(&mut app.connect().await)
            .await
            .expect("it is there")
    };
    let parse = |id: &String| id.parse::<CustomerId>().expect("an id");

    let mut tenant = early().await;
    send(&kari, Method::POST, &format!("/api/v1/customers/{home}/merge"), &json!({ "customer_id": work }))
        .await
        .expect(200);
    let (before, _) = updated().await;
    customers::unmerge(&mut tenant.tx, parse(&work)).await.expect("the database is there");
    tenant.tx.commit().await.expect("the database is there");
    assert!(updated().await.0 > before);

    send(&kari, Method::POST, &format!("/api/v1/customers/{home}/merge"), &json!({ "customer_id": work }))
        .await
        .expect(200);
    let mut tenant = early().await;
    send(&kari, Method::POST, &format!("/api/v1/customers/{work}/unmerge"), &json!({})).await.expect(200);
    let (before, _) = updated().await;
    let caller = tenant.caller.clone();
    customers::merge(&mut tenant.tx, parse(&home), parse(&work), &caller).await.expect("they are two");
    tenant.tx.commit().await.expect("the database is there");
    let (after, merged) = updated().await;
    assert!(after > before && merged.is_some_and(|merged| merged >= before), "{before} {after} {merged:?}");
}

#[tokio::test]
async fn what_became_of_a_message() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let lead = create(&kari, "/api/v1/leads", json!({ "customer_email": "ola@example.no" })).await;
    let hello = json!({ "lead_id": lead["id"], "message_content": "Hei", "channel": "email" });
    create(&kari, "/api/v1/conversations", hello).await;
    let url = format!("/api/v1/leads/{}/conversations", lead["id"].as_str().expect("an id"));
    let delivery = async || {
        let delivery = kari.get(&url).await.expect(200)[0]["delivery"].clone();
        (delivery["status"].as_str().expect("a status").to_owned(), time(&delivery["at"]))
    };
    let sending: OutboxId = sqlx::query_scalar("SELECT id FROM outbox WHERE lead_id IS NOT NULL")
        .fetch_one(&mut app.connect().await)
        .await
        .expect("it waits");
    let begin = async || app.db.tenant(oslo.id).await.expect("the database is there");

    let (mut second, mut third) = (begin().await, begin().await);
    let mut first = begin().await;
    let way = Way { domain: "norvalt.example", is_idempotent: false };
    outbox::take(&mut first, sending, way).await.expect("the database is there").expect("it waits");
    first.commit().await.expect("the database is there");
    let (_, taken) = delivery().await;
    let refused = "the provider is away";
    let after = std::time::Duration::from_secs(5);
    outbox::mark_not_taken(&mut third, sending, after, refused).await.expect("the database is there");
    third.commit().await.expect("the database is there");
    let (status, given_back) = delivery().await;
    assert!(status == "queued" && given_back > taken, "{status} {given_back} {taken}");
    outbox::mark_accepted(&mut second, sending, "smtp", Some("1"), true).await.expect("the database is there");
    second.commit().await.expect("the database is there");
    let (status, sent) = delivery().await;
    assert!(status == "sent" && sent > given_back, "{status} {sent} {given_back}");
    let in_order =
        "SELECT count(*) FROM outbox WHERE sending_at < sent_at AND sent_at <= changed_at AND lead_id IS NOT NULL";
    assert_eq!(app.count(in_order).await, 1);
}

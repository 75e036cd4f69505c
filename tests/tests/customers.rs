//! Who asks: recognised by what they can be reached at, merged and split without losing anything.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::Answer,
    app::{Person, TestApp},
};

async fn post(person: &Person<'_>, path: &str, body: &Value, expected: u16) -> Value {
    Answer::of(person.request(Method::POST, path).json(body)).await.expect(expected)
}

async fn lead(person: &Person<'_>, email: Option<&str>, phone: Option<&str>) -> Value {
    let new = json!({ "customer_name": "Siri", "customer_email": email, "customer_phone": phone });
    post(person, "/api/v1/leads", &new, 201).await
}

async fn customer(person: &Person<'_>, id: &Value) -> Value {
    person.get(&format!("/api/v1/customers/{}", id.as_str().expect("an id"))).await.expect(200)
}

#[tokio::test]
async fn leads_of_one_address_or_number_are_one_customers() {
    let app = TestApp::start().await;
    let (kari, bergen) = (app.dealership("Tesla Oslo").await.admin(), app.dealership("VW Bergen").await.admin());
    let first = lead(&kari, Some("Siri@Example.no"), None).await;
    let both = lead(&kari, Some("siri@example.no"), Some("912 34 567")).await;
    let by_phone = lead(&kari, None, Some("+4791234567")).await;
    assert_eq!(first["customer_id"], both["customer_id"]);
    assert_eq!(first["customer_id"], by_phone["customer_id"]);
    let siri = customer(&kari, &first["customer_id"]).await;
    assert_eq!(siri["customer"]["lead_count"], 3);
    assert_eq!(siri["leads"].as_array().map(Vec::len), Some(3));
    let identities =
        json!([{ "kind": "email", "value": "siri@example.no" }, { "kind": "phone", "value": "+4791234567" }]);
    assert_eq!(siri["customer"]["identities"], identities);
    let related = kari.get(&format!("/api/v1/leads/{}/related", both["id"].as_str().expect("an id"))).await.expect(200);
    assert_eq!(related.as_array().map(Vec::len), Some(2));
    let theirs = lead(&bergen, Some("siri@example.no"), None).await;
    assert_ne!(theirs["customer_id"], first["customer_id"]);
    let path = format!("/api/v1/customers/{}", first["customer_id"].as_str().expect("an id"));
    bergen.get(&path).await.expect_problem(404, "customer-not-found");
    let found = kari.get("/api/v1/customers?phone=91234567").await.expect(200);
    assert_eq!((&found["total"], &found["items"][0]["id"]), (&json!(1), &first["customer_id"]));
}

#[tokio::test]
async fn merging_loses_nothing_and_is_taken_back() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let (home, work) =
        (lead(&kari, Some("siri@example.no"), None).await, lead(&kari, Some("siri@jobb.example"), None).await);
    let (home, work) = (&home["customer_id"], &work["customer_id"]);
    let before = (customer(&kari, home).await, customer(&kari, work).await);
    let merge = format!("/api/v1/customers/{}/merge", home.as_str().expect("an id"));
    let preview = post(&kari, &merge, &json!({ "customer_id": work, "dry_run": true }), 200).await;
    assert_eq!((&preview["done"], &preview["merged"]["lead_count"]), (&json!(false), &json!(1)));
    assert_eq!((customer(&kari, home).await, customer(&kari, work).await), before);
    post(&kari, &merge, &json!({ "customer_id": work }), 200).await;
    let merged = customer(&kari, work).await;
    assert_eq!((&merged["customer"]["id"], &merged["customer"]["lead_count"]), (home, &json!(2)));
    assert_eq!(kari.get("/api/v1/customers").await.expect(200)["total"], 1);
    let again = kari.request(Method::POST, &merge).json(&json!({ "customer_id": work }));
    Answer::of(again).await.expect_problem(409, "same-customer");
    // What comes in meanwhile goes where it would have gone.
    lead(&kari, Some("siri@jobb.example"), None).await;
    assert_eq!(customer(&kari, home).await["customer"]["lead_count"], 3);
    let unmerge = format!("/api/v1/customers/{}/unmerge", work.as_str().expect("an id"));
    post(&kari, &unmerge, &json!({}), 200).await;
    assert_eq!(customer(&kari, home).await["customer"], before.0["customer"]);
    assert_eq!(customer(&kari, work).await["customer"]["lead_count"], 2);
    post(&kari, &unmerge, &json!({}), 200).await;
}

#[tokio::test]
async fn a_part_is_split_off_and_merged_again() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    // A couple with one number.
    let (hers, his) = (
        lead(&kari, Some("siri@example.no"), Some("91234567")).await,
        lead(&kari, Some("olav@example.no"), Some("91234567")).await,
    );
    assert_eq!(hers["customer_id"], his["customer_id"]);
    let split = format!("/api/v1/customers/{}/split", hers["customer_id"].as_str().expect("an id"));
    let part = json!({ "lead_ids": [his["id"]], "identities": [{ "kind": "email", "value": "olav@example.no" }] });
    let olav = post(&kari, &split, &part, 201).await;
    assert_eq!(olav["lead_count"], 1);
    assert_eq!(customer(&kari, &hers["customer_id"]).await["customer"]["lead_count"], 1);
    assert_eq!(lead(&kari, Some("olav@example.no"), None).await["customer_id"], olav["id"]);
    let not_theirs = kari.request(Method::POST, &split).json(&part);
    Answer::of(not_theirs).await.expect_problem(422, "invalid-input");
    let merge = format!("/api/v1/customers/{}/merge", hers["customer_id"].as_str().expect("an id"));
    post(&kari, &merge, &json!({ "customer_id": olav["id"] }), 200).await;
    assert_eq!(customer(&kari, &hers["customer_id"]).await["customer"]["lead_count"], 3);
}

#[tokio::test]
async fn what_a_person_writes_into_a_lead_is_known_of_its_customer() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let first = lead(&kari, Some("siri@example.no"), None).await;
    let path = format!("/api/v1/leads/{}", first["id"].as_str().expect("an id"));
    let change = json!({ "customer_phone": "912 34 567" });
    Answer::of(kari.request(Method::PATCH, &path).json(&change)).await.expect(200);
    let by_phone = lead(&kari, None, Some("+4791234567")).await;
    assert_eq!(by_phone["customer_id"], first["customer_id"]);
    // Somebody else's address stays theirs.
    let olav = lead(&kari, Some("olav@example.no"), None).await;
    let change = json!({ "customer_email": "olav@example.no" });
    Answer::of(kari.request(Method::PATCH, &path).json(&change)).await.expect(200);
    assert_eq!(lead(&kari, Some("olav@example.no"), None).await["customer_id"], olav["customer_id"]);
}

#[tokio::test]
async fn leads_that_are_older_than_their_customers_get_them() {
    let app = TestApp::start().await;
    let (kari, silje) = (app.dealership("Tesla Oslo").await.admin(), app.dealership("VW Bergen").await.admin());
    let old = [lead(&kari, Some("Siri@example.no"), None).await, lead(&kari, None, Some("912 34 567")).await];
    let (both, theirs) = (
        lead(&kari, Some("siri@example.no"), Some("91234567")).await,
        lead(&silje, Some("siri@example.no"), None).await,
    );
    let forgotten = "WITH l AS (UPDATE leads SET customer_id = NULL RETURNING 1), c AS (DELETE FROM customer_identities) SELECT count(*) FROM l";
    assert_eq!(app.count(forgotten).await, 4);
    let path = |lead: &Value| format!("/api/v1/leads/{}", lead["id"].as_str().expect("an id"));
    // Whoever changes one of them need not wait.
    let change = json!({ "vehicle_interest": "Model Y" });
    let changed = Answer::of(kari.request(Method::PATCH, &path(&both)).json(&change)).await.expect(200);
    assert!(changed["customer_id"].is_string());
    for expected in [3, 0] {
        assert_eq!(common::leads::adopt_all(&app.db).await.expect("the database is there"), expected);
    }
    for lead in &old {
        assert_eq!(kari.get(&path(lead)).await.expect(200)["customer_id"], changed["customer_id"]);
    }
    let related = kari.get(&format!("{}/related", path(&both))).await.expect(200);
    assert_eq!(related.as_array().map(Vec::len), Some(2));
    assert_ne!(silje.get(&path(&theirs)).await.expect(200)["customer_id"], changed["customer_id"]);
}

//! A POST that is sent again under its key takes effect once and is answered the same.

use std::time::Duration;

use common::idempotency;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tests::{
    answer::Answer,
    app::{FRONTEND, Person, TestApp},
    cluster::database,
    processes::command,
};
use tokio::{task::JoinSet, time::sleep};

fn post(person: &Person<'_>, key: &str, path: &str, body: &Value) -> RequestBuilder {
    person.request(Method::POST, path).header("idempotency-key", key).json(body)
}

async fn send(person: &Person<'_>, key: &str, path: &str, body: &Value) -> Answer {
    Answer::of(post(person, key, path, body)).await
}

fn is_replay(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

fn new_lead() -> Value {
    json!({ "customer_name": "Ola Nordmann", "customer_email": "ola@example.no" })
}

async fn leads(app: &TestApp) -> i64 {
    app.count("SELECT count(*) FROM leads").await
}

/// How many rows there are of what a POST may make, and what it may change.
async fn effects(app: &TestApp) -> String {
    let mut superuser = app.connect().await;
    sqlx::query_scalar(
        "SELECT concat((SELECT count(*) FROM leads), ' ', (SELECT jsonb_agg(t ORDER BY id) FROM conversations t),
                (SELECT jsonb_agg(t ORDER BY id) FROM vehicles t), (SELECT jsonb_agg(t ORDER BY id) FROM automation_rules t),
                (SELECT jsonb_agg(t ORDER BY id) FROM customers t), (SELECT jsonb_agg(t ORDER BY t) FROM customer_identities t),
                (SELECT jsonb_agg(t ORDER BY id) FROM lead_sources t), (SELECT jsonb_agg(t ORDER BY t) FROM source_keys t),
                (SELECT jsonb_agg(t ORDER BY id) FROM outbox t), (SELECT jsonb_agg(t ORDER BY id) FROM deliveries t),
                (SELECT count(*) FROM inquiries), ' ', (SELECT count(*) FROM jobs), ' ', (SELECT count(*) FROM idempotency_keys))",
    )
    .fetch_one(&mut superuser)
    .await
    .expect("a valid statement")
}

/// A message that can be sent again.
async fn lose_a_message(app: &TestApp) -> String {
    let mut superuser = app.connect().await;
    sqlx::query_scalar(
        "UPDATE outbox SET status = 'failed' WHERE id = (SELECT id FROM outbox WHERE message_id IS NOT NULL LIMIT 1)
         RETURNING message_id::text",
    )
    .fetch_one(&mut superuser)
    .await
    .expect("the demo has sent something")
}

#[tokio::test]
async fn every_post_of_the_document_takes_effect_once() {
    let app = TestApp::start().await;
    assert!(command("norvalt", &app.database_url).arg("seed").status().await.expect("it runs").success());
    let kari = app.clerk.session_token("user_demo_kari", None).expect("she is known").authorized_party(FRONTEND);
    let document = app.get("/openapi.json").await.expect(200);
    let mut count = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        let operation = &item["post"];
        if !path.starts_with("/api/v1/") || operation.is_null() {
            continue;
        }
        // Nobody of the demo has logged in to Facebook: `intake::facebook_login` has it.
        if path.ends_with("/facebook/login/pages") {
            continue;
        }
        count += 1;
        let parameters = operation["parameters"].as_array().expect("each has a key");
        assert!(parameters.contains(&json!({ "$ref": "#/components/parameters/IdempotencyKey" })), "{path}");
        let id = parameters.iter().find(|parameter| parameter["in"] == "path").map(|of| of["example"].to_string());
        let id = if path.ends_with("/send-again") { lose_a_message(&app).await } else { id.unwrap_or_default() };
        let url = path.replace("{id}", id.trim_matches('"'));
        let body = &operation["requestBody"]["content"]["application/json"]["example"];
        let ask = async |body: &Value| {
            let request = app.request(Method::POST, &url).bearer_auth(kari.mint(&app.clerk.key()));
            let request = request.header("idempotency-key", format!("the key of {path}"));
            Answer::of(if body.is_null() { request } else { request.json(body) }).await
        };
        let first = ask(body).await;
        assert!(first.status.is_success() && !is_replay(&first), "{path}: {} {:#}", first.status, first.json);
        let after = effects(&app).await;
        let again = ask(body).await;
        assert!(is_replay(&again), "{path} is done again: {} {:#}", again.status, again.json);
        assert_eq!((again.status, &again.json), (first.status, &first.json), "{path}");
        for header in ["location", "content-type"] {
            assert_eq!(again.headers.get(header), first.headers.get(header), "{path}");
        }
        let documented = &operation["responses"][first.status.as_str()]["headers"]["Idempotent-Replayed"];
        assert!(documented.is_object(), "{path}");
        if !body.is_null() {
            let mut other = body.clone();
            other["unknown"] = json!(1);
            ask(&other).await.expect_problem(422, "key-of-another");
        }
        for status in ["400", "409", "422"] {
            assert!(operation["responses"][status].is_object(), "{path} does not document {status}");
        }
        assert_eq!(effects(&app).await, after, "{path}");
    }
    assert!(count > 14, "the document is whole");
}

#[tokio::test]
async fn a_hundred_repeats_at_once_make_one_lead() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let mut asking = JoinSet::new();
    for _ in 0..100 {
        asking.spawn(Answer::of(post(&oslo.admin(), "k", "/api/v1/leads", &new_lead())));
    }
    let answers = asking.join_all().await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(done.iter().filter(|answer| !is_replay(answer)).count(), 1, "one of them did it");
    assert!(done.iter().all(|answer| answer.json == done[0].json));
    for answer in refused {
        assert_eq!(answer.headers["retry-after"], "1");
        answer.expect_problem(409, "under-way");
    }
    assert_eq!(leads(&app).await, 1);
    assert!(is_replay(&send(&oslo.admin(), "k", "/api/v1/leads", &new_lead()).await));
}

/// Waits until somebody waits for a lock.
async fn until_blocked(app: &TestApp) {
    while app.count("SELECT count(*) FROM pg_locks WHERE NOT granted").await == 0 {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_repeat_to_another_process_is_told_and_then_answered() {
    let database = database().await;
    let (app, other) = tokio::join!(TestApp::start_on(&database.url, |_| {}), TestApp::start_on(&database.url, |_| {}));
    let (oslo, same) = (app.dealership("Tesla Oslo").await, other.dealership("Tesla Oslo").await);
    let mut superuser = app.connect().await;
    let mut held = superuser.begin().await.expect("the database is there");
    held.execute("SELECT FROM dealerships FOR UPDATE").await.expect("a superuser may");
    let first = tokio::spawn(Answer::of(post(&oslo.admin(), "k", "/api/v1/leads", &new_lead())));
    until_blocked(&app).await;
    let early = send(&same.admin(), "k", "/api/v1/leads", &new_lead()).await;
    early.expect_problem(409, "under-way");
    held.rollback().await.expect("it is there");
    let first = first.await.expect("no panic").expect(201);
    let late = send(&same.admin(), "k", "/api/v1/leads", &new_lead()).await;
    assert!(is_replay(&late));
    assert_eq!((late.expect(201), leads(&app).await), (first, 1));
}

#[tokio::test]
async fn nothing_is_done_twice_however_processes_race() {
    let database = database().await;
    let (app, other) = tokio::join!(TestApp::start_on(&database.url, |_| {}), TestApp::start_on(&database.url, |_| {}));
    let (oslo, same) = (app.dealership("Tesla Oslo").await, other.dealership("Tesla Oslo").await);
    let (here, there) = (oslo.admin(), same.admin());
    for round in 0..20 {
        let key = format!("round {round}");
        // Of whoever loses, the VIN would be another's.
        let car = json!({ "make": "VW", "model": "ID.4", "year": 2024, "vin": format!("WVWZZZE1ZMP0000{round:02}") });
        let ask = async |person: &Person<'_>| loop {
            let answer = send(person, &key, "/api/v1/vehicles", &car).await;
            if answer.status != 409 {
                return answer.expect(201);
            }
        };
        let (one, two) = tokio::join!(ask(&here), ask(&there));
        assert_eq!(one, two);
        assert_eq!(app.count("SELECT count(*) FROM vehicles").await, round + 1);
    }
}

#[tokio::test]
async fn whoever_is_overtaken_is_answered_what_the_other_was() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (path, kari) = ("/api/v1/leads", oslo.admin());
    let first = send(&kari, "k", path, &new_lead()).await.expect(201);
    // As if its transaction ended after the other one had looked for it.
    let mut superuser = app.connect().await;
    let mut held = superuser.begin().await.expect("the database is there");
    held.execute("CREATE TABLE kept AS SELECT * FROM idempotency_keys; DELETE FROM idempotency_keys")
        .await
        .expect("it may");
    held.commit().await.expect("it is there");
    let mut held = superuser.begin().await.expect("the database is there");
    held.execute("SELECT FROM dealerships FOR UPDATE").await.expect("a superuser may");
    let second = tokio::spawn(Answer::of(post(&kari, "k", path, &new_lead())));
    until_blocked(&app).await;
    held.execute("INSERT INTO idempotency_keys SELECT * FROM kept").await.expect("it may");
    held.commit().await.expect("it is there");
    let second = second.await.expect("no panic");
    assert!(is_replay(&second));
    assert_eq!((second.expect(201), leads(&app).await), (first, 1));
}

#[tokio::test]
async fn what_was_refused_is_not_kept() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (path, kari) = ("/api/v1/leads", oslo.admin());
    send(&kari, "k", path, &json!({})).await.expect_problem(422, "invalid-input");
    send(&kari, "k", path, &new_lead()).await.expect(201);
    send(&kari, "k", "/api/v1/vehicles", &json!({ "make": "VW", "model": "Golf", "year": 2020 }))
        .await
        .expect_problem(422, "key-of-another");
    for wrong in ["", &"x".repeat(256), "a\tb"] {
        send(&kari, wrong, path, &new_lead()).await.expect_problem(400, "unusable-key");
    }
    let lead = json!({ "lead_id": "00000000-0000-4000-8000-000000000000", "message_content": "x", "channel": "sms" });
    for _ in 0..2 {
        send(&kari, "l", "/api/v1/conversations", &lead).await.expect_problem(404, "lead-not-found");
    }
    assert_eq!(app.count("SELECT count(*) FROM idempotency_keys").await, 1);
}

#[tokio::test]
async fn a_key_is_its_persons() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let jonas = oslo.member("jonas", "org:member").await;
    let mut ids = Vec::new();
    for person in [&oslo.admin(), &jonas, &bergen.admin()] {
        let made = send(person, "k", "/api/v1/leads", &new_lead()).await;
        assert!(!is_replay(&made));
        ids.push(made.expect(201)["id"].clone());
    }
    for (person, id) in [&oslo.admin(), &jonas, &bergen.admin()].into_iter().zip(&ids) {
        assert_eq!(send(person, "k", "/api/v1/leads", &new_lead()).await.expect(201)["id"], *id);
    }
    assert_eq!(leads(&app).await, 3);
}

#[tokio::test]
async fn answers_go_with_the_customer_and_after_a_day() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (path, kari) = ("/api/v1/leads", oslo.admin());
    let made = send(&kari, "k", path, &new_lead()).await;
    let location = made.headers["location"].to_str().expect("text").to_owned();
    assert_eq!(app.count("SELECT count(*) FROM idempotency_keys k WHERE k::text LIKE '%Nordmann%'").await, 1);
    Answer::of(kari.request(Method::DELETE, &location)).await.expect(204);
    assert_eq!(app.count("SELECT count(*) FROM idempotency_keys k WHERE k::text LIKE '%Nordmann%'").await, 0);
    send(&kari, "k", path, &new_lead()).await.expect_problem(409, "answer-erased");
    assert_eq!(leads(&app).await, 0, "nobody brings them back");

    let day = Duration::from_hours(24);
    assert_eq!(idempotency::prune(&app.db, day).await.expect("the database is there"), 0);
    let mut superuser = app.connect().await;
    superuser
        .execute("UPDATE idempotency_keys SET created_at = now() - interval '25 h'")
        .await
        .expect("a superuser may");
    assert_eq!(idempotency::prune(&app.db, day).await.expect("the database is there"), 1);
    send(&kari, "k", path, &new_lead()).await.expect(201);
    let gone = format!("DELETE FROM users WHERE dealership_id = '{}'", oslo.id);
    superuser.execute(AssertSqlSafe(gone)).await.expect("a superuser may");
    assert_eq!(app.count("SELECT count(*) FROM idempotency_keys").await, 0);
}

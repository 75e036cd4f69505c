//! Clerk's webhooks, up to the point where they are stored and enqueued.

use common::{
    clerk::{process, set_instance},
    clock::Clock,
    deliveries::{DeliveryFilter, Status, replay},
};
use dev::stand_ins::clerk::signed_headers;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::raw_sql;
use tests::{
    answer::Answer,
    app::{OLD_WEBHOOK_SECRET, TestApp, WEBHOOK_SECRET},
    cluster::private_cluster,
};

fn organization_created(org: &str) -> Value {
    json!({
        "type": "organization.created", "object": "event", "timestamp": 1_716_883_200_000_i64,
        "data": { "object": "organization", "id": org, "name": "Tesla Oslo", "updated_at": 1_716_883_200_000_i64 },
    })
}

async fn stored(app: &TestApp) -> (i64, i64) {
    (app.count("SELECT count(*) FROM deliveries").await, app.count("SELECT count(*) FROM jobs").await)
}

#[tokio::test]
async fn a_new_event_is_stored_and_enqueued_and_a_repeated_one_is_not() {
    let app = TestApp::start().await;
    let event = organization_created("org_1");
    assert_eq!(app.deliver("msg_1", &event).await.expect(202)["status"], "accepted");
    assert_eq!(app.deliver("msg_1", &event).await.expect(200)["status"], "duplicate");
    assert_eq!(stored(&app).await, (1, 1));
    assert_eq!(app.deliver("msg_2", &event).await.expect(202)["status"], "accepted");
    assert_eq!(stored(&app).await, (2, 2));
}

#[tokio::test]
async fn a_hundred_simultaneous_deliveries_of_one_message_are_one() {
    let app = TestApp::start().await;
    let body = organization_created("org_1").to_string();
    let headers = signed_headers(WEBHOOK_SECRET, "msg_1", Clock::system().now(), body.as_bytes()).expect("valid");
    let deliveries: Vec<_> = (0..100)
        .map(|_| {
            let request = app.request(Method::POST, "/webhooks/clerk").body(body.clone());
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
            tokio::spawn(Answer::of(request))
        })
        .collect();
    let mut answers = Vec::new();
    for delivery in deliveries {
        let answer = delivery.await.expect("no panic");
        answers.push((answer.status.as_u16(), answer.json["status"].as_str().unwrap_or_default().to_owned()));
    }
    answers.sort();
    let mut expected = vec![(200, "duplicate".to_owned()); 99];
    expected.push((202, "accepted".to_owned()));
    assert_eq!(answers, expected);
    assert_eq!(stored(&app).await, (1, 1));
    assert_eq!(app.count("SELECT count(*) FROM delivery_repetitions").await, 99);
}

#[tokio::test]
async fn both_secrets_of_a_rotation_are_live_and_no_other() {
    let app = TestApp::start().await;
    let body = || organization_created("org_1").to_string().into_bytes();
    app.deliver_signed(WEBHOOK_SECRET, "msg_1", 0, body()).await.expect(202);
    app.deliver_signed(OLD_WEBHOOK_SECRET, "msg_2", 0, body()).await.expect(202);
    let other = "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCAxMjM0";
    app.deliver_signed(other, "msg_3", 0, body()).await.expect_problem(400, "invalid-signature");
    assert_eq!(stored(&app).await, (2, 2));
}

#[tokio::test]
async fn what_was_not_signed_now_and_whole_is_refused() {
    let app = TestApp::start().await;
    let body = organization_created("org_1").to_string();
    for age in [301, -301, 86_400] {
        let answer = app.deliver_signed(WEBHOOK_SECRET, "msg_1", age, body.clone().into_bytes()).await;
        answer.expect_problem(400, "invalid-signature");
    }
    let headers = signed_headers(WEBHOOK_SECRET, "msg_1", Clock::system().now(), body.as_bytes()).expect("valid");
    let send = async |headers: Vec<(&'static str, String)>, body: String| {
        let request = app.request(Method::POST, "/webhooks/clerk").body(body);
        Answer::of(headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))).await
    };
    for missing in 0..3 {
        let mut headers = headers.to_vec();
        headers.remove(missing);
        send(headers, body.clone()).await.expect_problem(400, "invalid-signature");
    }
    for changed in 0..3 {
        let mut headers = headers.to_vec();
        headers[changed].1.push('0');
        send(headers, body.clone()).await.expect_problem(400, "invalid-signature");
    }
    send(headers.to_vec(), body.replace("org_1", "org_2")).await.expect_problem(400, "invalid-signature");
    assert_eq!(stored(&app).await, (0, 0));

    // Nobody but its sender chooses the id that a message is known by.
    let unsigned = [("webhook-id", "msg_other".to_owned())];
    send(headers.iter().cloned().chain(unsigned).collect(), body.clone()).await.expect(202);
    assert_eq!(app.count("SELECT count(*) FROM deliveries WHERE external_id = 'msg_1'").await, 1);

    // Unknown versions of signatures are skipped, and the unbranded names of the headers are as good.
    let headers = signed_headers(WEBHOOK_SECRET, "msg_2", Clock::system().now(), body.as_bytes()).expect("valid");
    let [id, time, mut signature] = headers.map(|(name, value)| (name.replace("svix", "webhook"), value));
    signature.1 = format!("v2,bm9uc2Vuc2U= {}", signature.1);
    let request = app.request(Method::POST, "/webhooks/clerk").body(body);
    let request = [id, time, signature].into_iter().fold(request, |request, (name, value)| request.header(name, value));
    Answer::of(request).await.expect(202);
}

#[tokio::test]
async fn an_id_has_a_bound() {
    let app = TestApp::start().await;
    let body = || organization_created("org_1").to_string().into_bytes();
    let long: String = (0..2_800_u32).map(|n| char::from(b'!' + u8::try_from(n * n % 89).expect("small"))).collect();
    app.deliver_signed(WEBHOOK_SECRET, &long, 0, body()).await.expect_problem(400, "invalid-signature");
    app.deliver_signed(WEBHOOK_SECRET, &long[..256], 0, body()).await.expect_problem(400, "invalid-signature");
    app.deliver_signed(WEBHOOK_SECRET, &long[..255], 0, body()).await.expect(202);
    assert_eq!(stored(&app).await, (1, 1));
}

#[tokio::test]
async fn clocks_may_be_five_minutes_apart() {
    let app = TestApp::start().await;
    for (n, age) in [290, -290].into_iter().enumerate() {
        let body = organization_created("org_1").to_string().into_bytes();
        app.deliver_signed(WEBHOOK_SECRET, &format!("msg_{n}"), age, body).await.expect(202);
    }
}

#[tokio::test]
async fn what_cannot_be_enqueued_is_not_stored_either() {
    let app = TestApp::start().await;
    let full = "ALTER TABLE jobs ADD CONSTRAINT full_up CHECK (kind <> 'clerk.process_event')";
    let mut conn = app.connect().await;
    raw_sql(full).execute(&mut conn).await.expect("it is ours");
    app.deliver("msg_1", &organization_created("org_1")).await.expect_problem(500, "internal");
    assert_eq!(stored(&app).await, (0, 0));
    raw_sql("ALTER TABLE jobs DROP CONSTRAINT full_up").execute(&mut conn).await.expect("it is ours");
    assert_eq!(app.deliver("msg_1", &organization_created("org_1")).await.expect(202)["status"], "accepted");
    assert_eq!(stored(&app).await, (1, 1));
}

#[tokio::test]
async fn types_without_a_use_are_ignored() {
    let app = TestApp::start().await;
    let odd = json!({ "type": "nul\u{0}".repeat(1_000) });
    let session = json!({ "type": "session.created", "data": { "id": "sess_1" } });
    for (n, event) in [session, json!({}), json!([1]), odd].iter().enumerate() {
        assert_eq!(app.deliver(&format!("msg_{n}"), event).await.expect(200)["status"], "ignored");
    }
    assert_eq!(app.deliver("msg_0", &json!({})).await.expect(200)["status"], "duplicate");
    let kept = app.count("SELECT count(*) FROM deliveries WHERE status = 'ignored' AND body IS NULL").await;
    assert_eq!((kept, stored(&app).await), (4, (4, 0)));
}

#[tokio::test]
async fn another_instances_events_are_set_aside() {
    let ours = |config: &mut common::config::ApiConfig| config.clerk_instance = "ins_1".parse().ok();
    let app = TestApp::start_with(ours).await;
    let of = |instance: Value| {
        let mut event = organization_created("org_1");
        event["instance_id"] = instance;
        event
    };
    assert_eq!(app.deliver("msg_1", &of(json!("ins_2"))).await.expect(200)["status"], "quarantined");
    assert_eq!(app.deliver("msg_1", &of(json!("ins_2"))).await.expect(200)["status"], "duplicate");
    assert_eq!(stored(&app).await, (1, 0));
    // Not all of them say whose they are.
    for (n, same) in [json!("ins_1"), json!(null), json!("")].into_iter().enumerate() {
        assert_eq!(app.deliver(&format!("msg_of_ours_{n}"), &of(same)).await.expect(202)["status"], "accepted");
    }
    app.deliver("msg_3", &organization_created("org_1")).await.expect(202);

    // An operator may know better, and says so first.
    let mut tx = app.db.system().await.expect("the database is there");
    let all = DeliveryFilter::default();
    assert_eq!(replay(&mut tx, &all).await.expect("it answers"), Vec::<i64>::new());
    let filter = DeliveryFilter { status: Some(Status::Quarantined), ..all };
    let replayed = replay(&mut tx, &filter).await.expect("it answers");
    assert_eq!(replayed.len(), 1);
    set_instance(&mut tx, &"ins_2".parse().expect("printable")).await.expect("it answers");
    process(&mut tx, replayed[0]).await.expect("it can be processed");
    tx.commit().await.expect("the database is there");
    assert_eq!(app.count("SELECT count(*) FROM dealerships").await, 1);
}

#[tokio::test]
async fn what_no_retry_can_fix_is_kept_as_dead_with_the_reason() {
    let app = TestApp::start().await;
    let malformed = [
        json!({ "type": "organization.created", "data": { "name": "no id" } }),
        json!({ "type": "organization.created" }),
        json!({ "type": "user.deleted", "data": { "id": 7 } }),
        json!({ "type": "organizationMembership.created", "data": { "id": "orgmem_1", "role": "org:admin" } }),
        json!({ "type": "user.created", "data": { "id": { "Kari": "Nordmann" } } }),
        json!({ "type": "organizationMembership.created", "data": {
            "id": "orgmem_1", "organization": { "id": "org_1" }, "public_user_data": { "user_id": "Kari Nordmann" },
        } }),
    ];
    for (n, event) in malformed.iter().enumerate() {
        assert_eq!(app.deliver(&format!("msg_{n}"), event).await.expect(200)["status"], "dead", "{event}");
    }
    assert_eq!(app.deliver("msg_0", &malformed[0]).await.expect(200)["status"], "duplicate");
    let dead = app.count("SELECT count(*) FROM deliveries WHERE status = 'dead' AND outcome LIKE 'malformed: %'").await;
    assert_eq!((dead, app.count("SELECT count(*) FROM jobs").await), (6, 0));
    let named = app
        .count(
            "SELECT count(*) FROM deliveries WHERE outcome LIKE ANY (ARRAY[
                 'malformed: missing field `id`%', 'malformed: id: found integer, expected a string%',
                 'malformed: id: found map, expected a string%', 'malformed: public_user_data.user_id: must be 1 to 255%'])",
        )
        .await;
    assert_eq!(named, 4, "what is wrong is named");
    assert_eq!(
        app.count("SELECT count(*) FROM deliveries WHERE outcome LIKE '%Kari%'").await,
        0,
        "reasons hold no names"
    );
}

#[tokio::test]
async fn what_is_not_json_or_too_long_is_refused() {
    let app = TestApp::start().await;
    let deliver = async |body: Vec<u8>| app.deliver_signed(WEBHOOK_SECRET, "msg_1", 0, body).await;
    deliver(b"not json".to_vec()).await.expect_problem(400, "unreadable-request");
    deliver(vec![b' '; 1 << 20]).await.expect_problem(400, "unreadable-request");
    deliver(vec![b' '; (1 << 20) + 1]).await.expect_problem(413, "body-too-large");
    let strangers = app.request(Method::POST, "/webhooks/clerk").body("not json").send().await.expect("an answer");
    assert!(strangers.text().await.expect("text").contains("invalid-signature"), "only what is authentic is read");
    assert_eq!(stored(&app).await, (0, 0));
    let mut large = organization_created("org_1");
    large["data"]["public_metadata"] = json!({ "text": "x".repeat(350_000) });
    deliver(large.to_string().into_bytes()).await.expect(202);
    assert_eq!(stored(&app).await, (1, 1));
}

#[tokio::test]
async fn hostile_text_is_stored_and_processed() {
    let app = TestApp::start().await;
    let mut event = organization_created("org_1");
    event["data"]["name"] = json!("Bil\u{0}\u{202e} \u{1f697} Åse's; DROP TABLE leads;--");
    app.deliver("msg_1", &event).await.expect(202);
    let mut tx = app.db.system().await.expect("the database is there");
    common::clerk::process(&mut tx, 1).await.expect("it can be processed");
    tx.commit().await.expect("the database is there");
    assert_eq!(app.count("SELECT count(*) FROM dealerships WHERE name LIKE 'Bil%DROP TABLE leads;--'").await, 1);
}

#[tokio::test]
async fn what_is_not_read_may_be_anything() {
    let app = TestApp::start().await;
    let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    for (n, odd) in [
        format!(r#""unsafe_metadata": {deep}"#),
        r#""unsafe_metadata": { "n": 1e400, "s": "\ud800" }"#.to_owned(),
        r#""first_name": "\ud800", "updated_at": "yesterday", "email_addresses": null"#.to_owned(),
        r#""email_addresses": [null, 7, { "email_address": "kari@example.no" }], "username": []"#.to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let body = format!(r#"{{ "type": "user.updated", "data": {{ "id": "user_{n}", "banned": true, {odd} }} }}"#);
        let answer = app.deliver_signed(WEBHOOK_SECRET, &format!("msg_{n}"), 0, body.into_bytes()).await;
        assert_eq!(answer.expect(202)["status"], "accepted");
        assert_eq!(
            app.count("SELECT count(*) FROM deliveries WHERE convert_from(body, 'UTF8') LIKE '{ \"type\": %, \"banned\": true, %'").await,
            i64::try_from(n).expect("small") + 1,
            "stored as it was signed"
        );
        let mut tx = app.db.system().await.expect("the database is there");
        common::clerk::process(&mut tx, i64::try_from(n).expect("small") + 1).await.expect("it can be processed");
        tx.commit().await.expect("the database is there");
    }
    let banned = "SELECT count(*) FROM clerk_objects WHERE state #>> '{profile,value,banned}' = 'true'";
    assert_eq!(app.count(banned).await, 4);
}

#[tokio::test]
async fn without_a_database_clerk_is_asked_to_try_again() {
    let mut cluster = private_cluster().await;
    let app = TestApp::start_on(&cluster.url, |_| {}).await;
    app.deliver("msg_1", &organization_created("org_1")).await.expect(202);
    cluster.stop().await;
    let answer = app.deliver("msg_2", &organization_created("org_2")).await;
    assert!(answer.headers.contains_key("retry-after"));
    answer.expect_problem(503, "unavailable");
    app.get("/health").await.expect(200);
    app.get("/health/ready").await.expect_problem(503, "unavailable");
    cluster.start().await;
    app.deliver("msg_2", &organization_created("org_2")).await.expect(202);
    assert_eq!(stored(&app).await, (2, 2));
}

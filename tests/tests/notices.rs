//! What people of a dealership are told, and what they do not want to be.

use std::time::Duration;

use dev::mailbox::{Fault, Message, StandIn};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;
use tests::{
    answer::Answer,
    app::{Dealership, Person, TestApp},
    drain::Worker,
    mailbox::{mailbox, sending_through},
};
use tokio::time::{Instant, sleep, timeout};

/// The longest that anything may take here.
const PATIENCE: Duration = Duration::from_secs(30);

async fn fill_in(app: &TestApp, oslo: &Dealership<'_>, name: &str, message: &str) -> String {
    let email = format!("{}@kunde.example", name.to_lowercase());
    let inquiry = json!({ "name": name, "email": email, "message": message });
    let path = format!("/webhooks/form/{}", oslo.id);
    let receipt = Answer::of(app.request(Method::POST, &path).json(&inquiry)).await.expect(200);
    receipt["lead_id"].as_str().expect("a receipt").to_owned()
}

async fn prefer(person: &Person<'_>, preferences: &Value) -> Answer {
    let body = json!({ "notification_preferences": preferences });
    Answer::of(person.request(Method::PATCH, "/api/v1/me").json(&body)).await
}

/// Nobody waits any longer for more to tell.
async fn tell_now(app: &TestApp) {
    let due = "UPDATE jobs SET run_at = now() WHERE kind = 'notifications.bundle' AND state = 'scheduled'";
    app.connect().await.execute(due).await.expect("it is done");
}

async fn address(person: &Person<'_>) -> String {
    person.get("/api/v1/me").await.expect(200)["email"].as_str().expect("an address").to_owned()
}

async fn told<'a>(mailbox: &'a StandIn, address: &'a str, what: &'a str) -> Message {
    let arrived = mailbox.wait_for(move |mail| mail.to.iter().any(|to| to == address) && mail.text.contains(what));
    timeout(PATIENCE, arrived).await.expect("it arrives in time")
}

/// Until as many are written down.
async fn noted(app: &TestApp, expected: i64) {
    let since = Instant::now();
    while app.count("SELECT count(*) FROM notifications").await < expected {
        assert!(since.elapsed() < PATIENCE, "nothing is to be told");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_happens_together_is_told_together_to_whom_it_concerns() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, jonas) = (oslo.admin(), oslo.member("jonas", "org:member").await);
    prefer(&jonas, &json!({ "events": { "new_lead": false } })).await.expect(200);
    fill_in(&app, &oslo, "Per", "Har dere en Model Y på lager?").await;
    fill_in(&app, &oslo, "Siri", "Har dere en Model 3 på lager?").await;
    let worker = Worker::start(&app, &sending_through(&mailbox));
    noted(&app, 2).await;
    tell_now(&app).await;
    let karis = address(&kari).await;
    let mail = told(&mailbox, &karis, "Ny henvendelse: Per").await;
    assert!(mail.text.contains("Ny henvendelse: Siri"), "one mail tells of both: {}", mail.text);

    // Who takes care of a source's leads hears of them, and nobody else.
    prefer(&jonas, &json!({ "events": { "new_lead": true } })).await.expect(200);
    let sources = kari.get("/api/v1/lead-sources").await.expect(200);
    let form =
        sources.as_array().expect("a list").iter().find(|source| source["kind"] == "form").expect("each has one");
    let path = format!("/api/v1/lead-sources/{}", form["id"].as_str().expect("an id"));
    let given = kari.request(Method::PATCH, &path).json(&json!({ "assigned_to": jonas.id }));
    Answer::of(given).await.expect(200);
    fill_in(&app, &oslo, "Ola", "Har dere en Model S på lager?").await;
    noted(&app, 3).await;
    tell_now(&app).await;
    let his = address(&jonas).await;
    told(&mailbox, &his, "Ny henvendelse: Ola").await;
    worker.stop().await;
    let to_kari = mailbox.messages().into_iter().filter(|mail| mail.to.contains(&karis)).count();
    assert_eq!(to_kari, 1, "it is Jonas's lead");
}

#[tokio::test]
async fn quiet_hours_are_kept_and_what_waited_is_told_afterwards() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let always = json!({ "quiet_hours": { "from": "00:00", "to": "23:59" } });
    let shown = prefer(&kari, &always).await.expect(200);
    assert_eq!(shown["notification_preferences"], always);
    for (wrong, remedy) in [
        (json!({ "quiet_hours": { "from": "9" } }), "such as"),
        (json!({ "events": { "full_moon": true } }), "full_moon"),
        (json!({ "email": "yes" }), "true or false"),
    ] {
        let problem = prefer(&kari, &wrong).await.expect_problem(422, "invalid-input");
        assert!(problem["detail"].as_str().expect("a text").contains(remedy), "{problem:#}");
    }
    fill_in(&app, &oslo, "Per", "Har dere en Model Y på lager?").await;
    let worker = Worker::start(&app, &sending_through(&mailbox));
    noted(&app, 1).await;
    tell_now(&app).await;
    let since = Instant::now();
    // It has looked, and will again.
    while app
        .count(
            "SELECT count(*) FROM jobs WHERE kind = 'notifications.bundle' AND run_at > now() + interval '5 minutes'",
        )
        .await
        == 0
    {
        assert!(since.elapsed() < PATIENCE, "nobody looks again");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(app.count("SELECT count(*) FROM notifications WHERE outbox_id IS NOT NULL").await, 0);
    prefer(&kari, &json!({})).await.expect(200);
    tell_now(&app).await;
    told(&mailbox, &address(&kari).await, "Ny henvendelse: Per").await;
    prefer(&kari, &json!({ "email": false })).await.expect(200);
    let before = app.count("SELECT count(*) FROM notifications").await;
    let lead = fill_in(&app, &oslo, "Siri", "Har dere en Model 3 på lager?").await;
    let path = format!("/api/v1/leads/{lead}/answers");
    while kari.get(&path).await.json[0]["state"] != "answered" {
        assert!(since.elapsed() < 2 * PATIENCE, "it is not answered");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(app.count("SELECT count(*) FROM notifications").await, before, "she wants no mail");
    worker.stop().await;
}

#[tokio::test]
async fn people_hear_of_who_needs_them_and_of_what_did_not_arrive() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let karis = address(&kari).await;
    let lead = oslo.lead("Per").await.id.to_string();
    mailbox.set_fault(Fault::Refuse.times(1));
    let worker = Worker::start(&app, &sending_through(&mailbox));
    let body = json!({ "lead_id": lead, "message_content": "Hei", "channel": "email" });
    Answer::of(kari.request(Method::POST, "/api/v1/conversations").json(&body)).await.expect(201);
    noted(&app, 1).await;
    tell_now(&app).await;
    told(&mailbox, &karis, "Et svar kom ikke fram: Per").await;
    fill_in(&app, &oslo, "Siri", "Dette er uakseptabelt! Jeg kontakter advokaten min.").await;
    noted(&app, 3).await;
    tell_now(&app).await;
    told(&mailbox, &karis, "En kunde trenger svar fra et menneske: Siri").await;
    worker.stop().await;
}

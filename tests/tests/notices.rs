//! What people of a dealership are told, and what they do not want to be.

use std::time::Duration;

use dev::stand_ins::mailbox::{Fault, Message, StandIn};
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
const TIMEOUT: Duration = Duration::from_secs(30);

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
    timeout(TIMEOUT, arrived).await.expect("it arrives in time")
}

/// Until as many are written down.
async fn noted(app: &TestApp, expected: i64) {
    let since = Instant::now();
    while app.count("SELECT count(*) FROM notifications").await < expected {
        assert!(since.elapsed() < TIMEOUT, "nothing is to be told");
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
            // At the next full ten minutes, which may be a moment away.
            "SELECT count(*) FROM jobs WHERE kind = 'notifications.bundle' AND extract(epoch FROM run_at)::bigint % 600 = 0",
        )
        .await
        == 0
    {
        assert!(since.elapsed() < TIMEOUT, "nobody looks again");
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
        assert!(since.elapsed() < 2 * TIMEOUT, "it is not answered");
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

/// A customer asks so that a person is needed, which is worth a text message.
async fn complain(app: &TestApp, oslo: &Dealership<'_>, name: &str) -> String {
    fill_in(app, oslo, name, "Dette er uakseptabelt! Jeg kontakter advokaten min.").await
}

fn texts(mailbox: &StandIn, number: &str) -> Vec<String> {
    let to = |message: &Message| message.to.iter().any(|to| to == number);
    mailbox.messages().into_iter().filter(to).map(|message| message.text).collect()
}

#[tokio::test]
async fn what_is_urgent_comes_by_text_message_to_who_has_given_a_number() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, jonas) = (oslo.admin(), oslo.member("jonas", "org:member").await);
    let number = async |person: &Person<'_>, number: Value| {
        let body = json!({ "phone": number });
        Answer::of(person.request(Method::PATCH, "/api/v1/me").json(&body)).await
    };
    assert_eq!(number(&kari, json!("912 34 567")).await.expect(200)["phone"], "+4791234567");
    number(&kari, json!("12")).await.expect_problem(422, "invalid-input");
    let people = jonas.get("/api/v1/users").await.expect(200);
    assert!(people.as_array().expect("a list").iter().all(|one| one["phone"].is_null()), "it is hers: {people:#}");

    let worker = Worker::start(&app, &sending_through(&mailbox));
    complain(&app, &oslo, "Per").await;
    complain(&app, &oslo, "Siri").await;
    // Two new leads and two that need somebody, for each of two people; and by text message to Kari.
    noted(&app, 10).await;
    tell_now(&app).await;
    told(&mailbox, "+4791234567", "Per").await;
    let sent = texts(&mailbox, "+4791234567");
    assert_eq!(sent.len(), 1, "together: {sent:?}");
    assert!(
        sent[0].starts_with("Tesla Oslo: ") && sent[0].contains("Siri") && !sent[0].contains("Ny henvendelse"),
        "{sent:?}"
    );
    // What is told by mail alone, and what by text message alone.
    let chosen = json!({ "events": { "needs_human": { "email": true, "sms": false }, "new_lead": { "email": false, "sms": true } } });
    prefer(&kari, &chosen).await.expect(200);
    complain(&app, &oslo, "Ola").await;
    noted(&app, 14).await;
    let by = "SELECT count(*) FROM notifications n JOIN users u ON u.id = n.user_id WHERE n.outbox_id IS NULL AND u.phone IS NOT NULL
              AND (n.channel, n.event) IN (('sms', 'new_lead'), ('email', 'needs_human'))";
    assert_eq!(app.count(by).await, 2);
    tell_now(&app).await;
    told(&mailbox, &address(&kari).await, "Ola").await;
    assert_eq!(texts(&mailbox, "+4791234567").len(), 1, "the next text message comes ten minutes later");
    let later = "UPDATE outbox SET created_at = created_at - interval '11 minutes' WHERE channel = 'sms'";
    app.connect().await.execute(later).await.expect("it is done");
    tell_now(&app).await;
    told(&mailbox, "+4791234567", "Ny henvendelse: Ola").await;

    // Nobody gets fifty.
    let many = "INSERT INTO outbox (id, dealership_id, user_id, channel, automatic, recipient, status, created_at)
                SELECT gen_random_uuid(), dealership_id, id, 'sms', true, phone, 'sent', now() - interval '1 hour'
                FROM users CROSS JOIN generate_series(1, 10) WHERE phone IS NOT NULL";
    let mut conn = app.connect().await;
    conn.execute(later).await.expect("it is done");
    conn.execute(many).await.expect("it is done");
    fill_in(&app, &oslo, "Eva", "Har dere en Model 3 på lager?").await;
    noted(&app, 16).await;
    tell_now(&app).await;
    let since = Instant::now();
    while app.count("SELECT count(*) FROM notifications WHERE outbox_id IS NULL").await > 0 {
        assert!(since.elapsed() < TIMEOUT, "it is neither told nor dropped");
        sleep(Duration::from_millis(50)).await;
    }
    worker.stop().await;
    assert_eq!(texts(&mailbox, "+4791234567").len(), 2);
    number(&kari, Value::Null).await.expect(200);
}

#[tokio::test]
async fn people_are_told_of_a_lead_that_nobody_answers_in_time() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    fill_in(&app, &oslo, "Uten", "Har dere en Model Y på lager?").await;
    assert_eq!(app.count("SELECT count(*) FROM jobs WHERE kind = 'leads.watch'").await, 0, "nobody has asked for it");
    let setting = kari.request(Method::PATCH, "/api/v1/dealership").json(&json!({ "sla_minutes": 30 }));
    assert_eq!(Answer::of(setting).await.expect(200)["sla_minutes"], 30);
    let answered = fill_in(&app, &oslo, "Besvart", "Har dere en Model Y på lager?").await;
    fill_in(&app, &oslo, "Venter", "Har dere en Model 3 på lager?").await;
    let due = "SELECT count(*) FROM jobs WHERE kind = 'leads.watch' AND run_at > now() + interval '29 minutes'";
    assert_eq!(app.count(due).await, 2);
    let body = json!({ "lead_id": answered, "message_content": "Ja!", "channel": "manual" });
    Answer::of(kari.request(Method::POST, "/api/v1/conversations").json(&body)).await.expect(201);
    let worker = Worker::start(&app, &sending_through(&mailbox));
    app.connect().await.execute("UPDATE jobs SET run_at = now() WHERE kind = 'leads.watch'").await.expect("it is done");
    let since = Instant::now();
    while app.count("SELECT count(*) FROM jobs WHERE kind = 'leads.watch' AND state = 'done'").await < 2 {
        assert!(since.elapsed() < TIMEOUT, "nobody looks after them");
        sleep(Duration::from_millis(50)).await;
    }
    tell_now(&app).await;
    let mail = told(&mailbox, &address(&kari).await, "Ingen har svart en kunde ennå: Venter").await;
    assert!(!mail.text.contains("ennå: Besvart") && !mail.text.contains("ennå: Uten"), "{}", mail.text);
    worker.stop().await;
}

//! What the assistant suggests to people, who decide.

use std::time::Duration;

use chrono::TimeDelta;
use common::{
    answers::{self, SuggestionKey},
    clock::Clock,
    ids::LeadId,
};
use dev::stand_ins::assistant::{self, Fault};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;
use tests::{
    answer::Answer,
    app::{Dealership, NewLead, Person, TestApp, email, new_lead},
    assistant::{answering_through, assistant},
    drain::Worker,
    jobs::JobTable,
};

use super::{answer, until};

fn path(lead: &str) -> String {
    format!("/api/v1/leads/{lead}/suggestions")
}

async fn ask(person: &Person<'_>, lead: &str) -> Answer {
    Answer::of(person.request(Method::POST, &path(lead))).await
}

/// The last suggestion for a lead, once it is no longer pending.
async fn until_written(person: &Person<'_>, lead: &str) -> Value {
    until(person, &path(lead), |all| all[0]["state"] != "pending").await[0].clone()
}

/// A worker that asks an assistant.
async fn worker(app: &TestApp) -> (Worker, assistant::StandIn) {
    let assistant = assistant(Duration::ZERO).await;
    (Worker::start(app, &answering_through(&assistant)), assistant)
}

/// A customer who asked two days ago.
async fn lead_of(oslo: &Dealership<'_>, message: &str) -> String {
    let lead = NewLead {
        customer_name: Some("Kari Nordmann".to_owned()),
        customer_email: Some(email("kari@kunde.example")),
        initial_message: Some(message.to_owned()),
        created_at: Some(Clock::system().now() - TimeDelta::days(2)),
        ..new_lead()
    };
    oslo.lead_with(lead).await.id.to_string()
}

async fn change_settings(person: &Person<'_>, changes: &Value) {
    Answer::of(person.request(Method::PATCH, "/api/v1/dealership/answers").json(changes)).await.expect(200);
}

#[tokio::test]
async fn a_person_is_suggested_an_answer_and_a_summary_and_nothing_is_sent() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let car = json!({ "make": "Tesla", "model": "Model Y", "year": 2024, "price": 489_900 });
    Answer::of(kari.request(Method::POST, "/api/v1/vehicles").json(&car)).await.expect(201);
    let lead = lead_of(&oslo, "Hei! Er Model Y fortsatt ledig?").await;
    answer(&kari, &lead, "Hei Kari! Ja, den står her.", "manual").await;

    let asked = ask(&kari, &lead).await.expect(202);
    assert_eq!((&asked["state"], &asked["reply"], &asked["hints"]), (&json!("pending"), &Value::Null, &json!([])));
    assert_eq!(ask(&kari, &lead).await.expect(202)["id"], asked["id"], "it is being written already");
    assert_eq!(app.count("SELECT count(*) FROM jobs WHERE kind = 'answers.suggest'").await, 1);
    let (worker, assistant) = worker(&app).await;
    let written = until_written(&kari, &lead).await;
    assert_eq!((&written["id"], &written["state"]), (&asked["id"], &json!("ready")), "{written:#}");
    let reply = written["reply"].as_str().expect("a text");
    assert!(reply.starts_with("Hei Kari,\n\nTakk for meldingen") && reply.contains("489 900 kr"), "{reply}");
    let summary = written["summary"].as_str().expect("a text");
    assert!(
        summary.contains("«Hei! Er Model Y fortsatt ledig?»") && summary.contains("Ja, den står her."),
        "{summary}"
    );
    assert_eq!((&written["hints"], &written["language"]), (&json!([]), &json!("nb")));

    assistant.set_fault(Fault::Injection.times(1));
    ask(&kari, &lead).await.expect(202);
    let written = until_written(&kari, &lead).await;
    let codes: Vec<_> = written["hints"].as_array().expect("hints").iter().map(|hint| hint["code"].clone()).collect();
    assert_eq!(codes, ["link", "discount"], "{written:#}");
    assert!(written["hints"][0]["message"].as_str().is_some_and(|told| told.contains("link")));
    assert!(written["reply"].as_str().is_some_and(|reply| reply.contains("evil.example")), "the person decides");
    worker.stop().await;
    assert_eq!(kari.get(&path(&lead)).await.expect(200).as_array().map(Vec::len), Some(2));
    assert_eq!(kari.get(&format!("/api/v1/leads/{lead}/answers")).await.expect(200), json!([]));
    assert_eq!(app.count("SELECT count(*) FROM outbox").await, 0);
    let draft = json!({ "message_content": "Hei" });
    let draft = kari.request(Method::POST, &format!("/api/v1/leads/{lead}/draft")).json(&draft);
    Answer::of(draft).await.expect_problem(409, "no-draft");
}

#[tokio::test]
async fn what_comes_to_nothing_says_why_and_may_be_asked_for_again() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let lead = lead_of(&oslo, "Er den ledig?").await;
    let (worker, assistant) = worker(&app).await;
    for (fault, reason) in [
        (Fault::Nonsense, "cannot be read"),
        (Fault::Cut, "did not come to an end"),
        (Fault::Refusal, "did not come to an end"),
        (Fault::Capped, "spending limit"),
        (Fault::Down, "assistant"),
    ] {
        assistant.set_fault(fault.until_told_otherwise());
        ask(&kari, &lead).await.expect(202);
        let failed = until_written(&kari, &lead).await;
        assistant.end_faults();
        assert_eq!((&failed["state"], &failed["reply"]), (&json!("failed"), &Value::Null), "{fault:?}");
        assert!(failed["reason"].as_str().is_some_and(|said| said.contains(reason)), "{fault:?}: {failed:#}");
    }
    ask(&kari, &lead).await.expect(202);
    assert_eq!(until_written(&kari, &lead).await["state"], "ready");
    worker.stop().await;

    ask(&kari, &lead).await.expect(202);
    app.connect().await.execute("UPDATE answers SET due_at = now() WHERE state = 'waiting'").await.expect("it may");
    let late = until_written(&kari, &lead).await;
    assert_eq!((&late["state"], &late["reason"]), (&json!("failed"), &json!("it was not written in time")));
    ask(&kari, &lead).await.expect(202);
    assert_eq!(kari.get(&path(&lead)).await.expect(200)[0]["state"], "pending", "another one");
}

#[tokio::test]
async fn nothing_is_suggested_where_there_is_no_assistant_or_the_dealership_wants_none() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let kari = oslo.admin();
    let lead = lead_of(&oslo, "Er den ledig?").await;
    ask(&bergen.admin(), &lead).await.expect_problem(404, "lead-not-found");
    for (changes, problem) in [
        (json!({ "mode": "off" }), "assistant-off"),
        (json!({ "mode": "draft", "daily_cap": 0 }), "assistant-limit"),
        (json!({ "daily_cap": 1, "daily_tokens_cap": 0 }), "assistant-limit"),
    ] {
        change_settings(&kari, &changes).await;
        ask(&kari, &lead).await.expect_problem(409, problem);
    }
    assert_eq!(app.count("SELECT count(*) FROM answers").await, 0);
    change_settings(&kari, &json!({ "daily_tokens_cap": 1000 })).await;
    ask(&kari, &lead).await.expect(202);
    let (worker, _assistant) = worker(&app).await;
    assert_eq!(until_written(&kari, &lead).await["state"], "ready", "the last that there is room for");
    ask(&kari, &lead).await.expect_problem(409, "assistant-limit");
    worker.stop().await;
}

#[tokio::test]
async fn an_api_that_knows_of_no_assistant_says_so() {
    let app = TestApp::start_with(|config| config.has_assistant = false).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let lead = lead_of(&oslo, "Er den ledig?").await;
    ask(&oslo.admin(), &lead).await.expect_problem(409, "no-assistant");
}

#[tokio::test]
async fn a_suggestion_is_written_once_and_goes_with_its_lead() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let lead = lead_of(&oslo, "Er den ledig?").await;
    ask(&kari, &lead).await.expect(202);
    let key = SuggestionKey { lead: lead.parse::<LeadId>().expect("an id"), turn: 1 };
    let begun = async || {
        let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
        let asked = answers::prepare_suggestion(&mut tx, key, true, Clock::system().now()).await.expect("it is there");
        tx.commit().await.expect("the database is there");
        asked
    };
    // The first worker died after this.
    assert!(begun().await.is_some());
    let (worker, assistant) = worker(&app).await;
    assert_eq!(until_written(&kari, &lead).await["state"], "ready");
    worker.stop().await;
    assert_eq!(assistant.asked(), 1);
    assert!(begun().await.is_none(), "it is written");

    ask(&kari, &lead).await.expect(202);
    Answer::of(kari.request(Method::DELETE, &format!("/api/v1/leads/{lead}"))).await.expect(204);
    let (worker, _assistant) = self::worker(&app).await;
    JobTable::at(&app.database_url).await.wait_for_count("answers.suggest", "done", 2).await;
    worker.stop().await;
    assert_eq!(app.count("SELECT count(*) FROM answers").await, 0);
}

#[tokio::test]
async fn the_assistant_is_given_all_that_was_written_in_its_order_and_by_whom() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let lead = lead_of(&oslo, "Er den ledig?").await;
    let written = "INSERT INTO conversations (lead_id, dealership_id, channel, direction, sender, sender_type, message_content, created_at)
                   SELECT id, dealership_id, 'email', w.direction, 'x', w.sender_type, w.text, now() - w.ago * interval '1 hour'
                   FROM leads, (VALUES (2, 'inbound', 'customer', 'Takk! Når?'), (4, 'outbound', 'ai', 'Takk, vi svarer snart.'),
                                       (3, 'outbound', 'human', 'Ja, den er ledig.')) AS w (ago, direction, sender_type, text)";
    app.connect().await.execute(written).await.expect("valid rows");
    ask(&kari, &lead).await.expect(202);
    let key = SuggestionKey { lead: lead.parse::<LeadId>().expect("an id"), turn: 1 };
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    let asked = answers::prepare_suggestion(&mut tx, key, true, Clock::system().now()).await.expect("it is there");
    let given = serde_json::to_value(asked.expect("it waits").correspondence).expect("JSON");
    let thread: Vec<_> =
        given["thread"].as_array().expect("a list").iter().map(|one| (&one["from"], &one["text"])).collect();
    assert_eq!(
        thread,
        [
            (&json!("customer"), &json!("Er den ledig?")),
            (&json!("automatic"), &json!("Takk, vi svarer snart.")),
            (&json!("dealership"), &json!("Ja, den er ledig.")),
            (&json!("customer"), &json!("Takk! Når?")),
        ]
    );
}

#[tokio::test]
async fn what_sorting_mails_has_cost_is_not_there_for_suggestions() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let lead = lead_of(&oslo, "Er den ledig?").await;
    change_settings(&kari, &json!({ "daily_tokens_cap": 1000 })).await;
    let sorted = "INSERT INTO deliveries (source, external_id, event_type, dealership_id, headers, body, status, outcome, processed_at,
                                          opinion_at, opinion_tokens)
                  SELECT 'email', 'sorted', 'mail', id, '{}', '', 'processed', 'x', now(), now(), 1000 FROM dealerships";
    app.connect().await.execute(sorted).await.expect("a valid row");
    ask(&kari, &lead).await.expect_problem(409, "assistant-limit");
    app.connect().await.execute("UPDATE deliveries SET opinion_tokens = 999").await.expect("it may");
    ask(&kari, &lead).await.expect(202);
}

//! Who writes the automatic answer: the assistant as long as it is right and in time, else the template, and a person
//! whenever one is there first.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use common::clock::Clock;
use dev::stand_ins::{
    assistant::{self, Fault},
    mailbox::{self, Message},
};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::Answer,
    app::{Dealership, INBOUND_DOMAIN, MAIL_SECRET, NewLead, Person, TestApp, email, new_lead},
    assistant::{answering_through, assistant},
    drain::Worker,
    jobs::JobTable,
    mailbox::{mailbox, sending_through},
};

use super::{answer, fill_in, to, until, until_last};

const DISCLOSURE: &str = "Dette svaret er automatisk og skrevet av kunstig intelligens (KI).";
const TEMPLATE: &str = "Dette er et automatisk svar.";
const QUESTION: &str = "Hei! Er Model Y fortsatt ledig? Jeg lurer på hva den koster.";

/// A mailbox, an assistant, and a worker between them.
struct Stage {
    mailbox: mailbox::StandIn,
    assistant: assistant::StandIn,
    worker: Worker,
}

impl Stage {
    async fn set(app: &TestApp) -> Self {
        let mailbox = mailbox(app).await;
        let assistant = assistant(Duration::ZERO).await;
        let mut settings = sending_through(&mailbox);
        settings.extend(answering_through(&assistant));
        let worker = Worker::start(app, &settings);
        Self { mailbox, assistant, worker }
    }

    async fn mail_to(&self, address: &str) -> Message {
        to(&self.mailbox, address).await
    }
}

/// A dealership that has a car.
async fn fjordbil(app: &TestApp) -> Dealership<'_> {
    let fjordbil = app.dealership("Fjordbil").await;
    let car = json!({ "make": "Tesla", "model": "Model Y", "year": 2024, "price": 489_900 });
    Answer::of(fjordbil.admin().request(Method::POST, "/api/v1/vehicles").json(&car)).await.expect(201);
    fjordbil
}

fn form(name: &str, text: &str) -> Value {
    json!({ "name": name, "email": address(name), "message": text })
}

fn address(name: &str) -> String {
    format!("{}@kunde.example", name.to_lowercase())
}

/// The last automatic answer of a lead, once it is in this state.
async fn until_answer(person: &Person<'_>, lead: &str, state: &str) -> Value {
    let path = format!("/api/v1/leads/{lead}/answers");
    until(person, &path, |answers| answers[0]["state"] == state).await[0].clone()
}

async fn needs_human(person: &Person<'_>, lead: &str) -> Value {
    person.get(&format!("/api/v1/leads/{lead}")).await.expect(200)["needs_human"].clone()
}

async fn change_settings(person: &Person<'_>, changes: &Value) {
    let patch = person.request(Method::PATCH, "/api/v1/dealership/answers").json(changes);
    Answer::of(patch).await.expect(200);
}

#[tokio::test]
async fn customers_are_told_in_their_language_of_the_car_that_they_ask_about() {
    let app = TestApp::start().await;
    let stage = Stage::set(&app).await;
    let fjordbil = fjordbil(&app).await;
    for (name, text, begins, car, language) in [
        ("Kari", QUESTION, DISCLOSURE, "Tesla Model Y 2024 er ledig og koster 489 900 kr.", "nb"),
        (
            "Jane",
            "Hello! Is the Model Y still available? I would like to know what it costs.",
            "This is an automatic reply written by artificial intelligence (AI).",
            "The Tesla Model Y 2024 is available and costs 489 900 kr.",
            "en",
        ),
        (
            "Anna",
            "Dzień dobry, czy samochód Model Y jest jeszcze dostępny? Ile kosztuje?",
            "To automatyczna odpowiedź napisana przez sztuczną inteligencję (AI).",
            "Samochód Tesla Model Y 2024 jest dostępny, cena: 489 900 kr.",
            "pl",
        ),
    ] {
        let lead = fill_in(&app, &fjordbil, &form(name, text)).await;
        let mail = stage.mail_to(&address(name)).await;
        assert!(mail.text.starts_with(begins), "{}", mail.text);
        assert!(mail.text.contains(car), "{}", mail.text);
        assert_eq!(mail.header("auto-submitted"), Some("auto-replied"));
        let answer = until_answer(&fjordbil.admin(), &lead, "answered").await;
        assert_eq!((&answer["author"], &answer["language"]), (&json!("assistant"), &json!(language)));
        assert_eq!(answer["verdict"], "sendable");
        assert_eq!(answer["given"]["vehicles"][0]["model"], "Model Y");
    }
    stage.worker.stop().await;
    assert_eq!((stage.mailbox.messages().len(), stage.assistant.asked()), (3, 3));
}

#[tokio::test]
async fn what_an_assistant_gets_wrong_is_not_sent_and_the_template_answers() {
    let app = TestApp::start().await;
    let stage = Stage::set(&app).await;
    let fjordbil = fjordbil(&app).await;
    let kari = fjordbil.admin();
    for (fault, verdict) in [
        (Fault::Injection, "link"),
        (Fault::Nonsense, "unreadable"),
        (Fault::Refusal, "unfinished"),
        (Fault::Cut, "unfinished"),
        (Fault::Capped, "limit"),
        (Fault::Down, "assistant"),
    ] {
        stage.assistant.set_fault(fault.until_told_otherwise());
        let name = format!("{fault:?}");
        let lead = fill_in(&app, &fjordbil, &form(&name, QUESTION)).await;
        let mail = stage.mail_to(&address(&name)).await;
        stage.assistant.end_faults();
        assert!(mail.text.starts_with(TEMPLATE), "{fault:?}: {}", mail.text);
        assert!(!mail.text.contains("rabatt") && !mail.raw.contains("evil.example"), "{fault:?}: {}", mail.text);
        let answer = until_answer(&kari, &lead, "answered").await;
        assert_eq!(answer["author"], "template", "{fault:?}");
        assert!(answer["verdict"].as_str().is_some_and(|said| said.contains(verdict)), "{fault:?}: {answer:#}");
    }
    stage.worker.stop().await;
    assert_eq!(stage.mailbox.messages().len(), 6);
}

#[tokio::test]
async fn the_clock_wins_against_an_assistant_that_takes_its_time() {
    let app = TestApp::start().await;
    let stage = Stage::set(&app).await;
    let fjordbil = fjordbil(&app).await;
    stage.assistant.set_fault(assistant::ActiveFault { seconds: 18, ..Fault::Slow.times(1) });
    let lead = fjordbil.inquiry(NewLead {
        customer_email: Some(email("per@kunde.example")),
        initial_message: Some(QUESTION.to_owned()),
        // A minute after which the template answers is over in ten seconds.
        created_at: Some(Clock::system().now() - TimeDelta::seconds(50)),
        ..new_lead()
    });
    let lead = lead.await.id.to_string();
    let mail = stage.mail_to("per@kunde.example").await;
    assert!(mail.text.starts_with(TEMPLATE), "{}", mail.text);
    let answer = until_answer(&fjordbil.admin(), &lead, "answered").await;
    assert_eq!((&answer["author"], stage.assistant.asked()), (&json!("template"), 1));
    assert_eq!(answer["verdict"], "the assistant did not answer in time");
    stage.worker.stop().await;
    assert_eq!(stage.mailbox.messages().len(), 1);
}

#[tokio::test]
async fn customers_wait_from_when_they_wrote_and_not_from_when_it_is_read() {
    let app = TestApp::start().await;
    let fjordbil = fjordbil(&app).await;
    let kari = fjordbil.admin();
    let source = kari.request(Method::POST, "/api/v1/lead-sources").json(&json!({ "kind": "email", "name": "Salg" }));
    let source = Answer::of(source).await.expect(201);
    let to = format!("{}@{INBOUND_DOMAIN}", source["key"].as_str().expect("a key"));
    let mail = format!("From: Per <per@kunde.example>\r\nMessage-ID: <1@kunde.example>\r\n\r\n{QUESTION}\r\n");
    let request = app.request(Method::POST, "/webhooks/email/raw").bearer_auth(MAIL_SECRET);
    let request = request.header("content-type", "message/rfc822").header("x-envelope-to", to).body(mail);
    Answer::of(request).await.expect(200);
    let received: DateTime<Utc> = sqlx::query_scalar(
        "UPDATE deliveries SET received_at = received_at - interval '2 minutes' WHERE source = 'email' RETURNING received_at",
    )
    .fetch_one(&mut app.connect().await)
    .await
    .expect("there is one");

    let stage = Stage::set(&app).await;
    let mail = stage.mail_to("per@kunde.example").await;
    assert!(mail.text.starts_with(TEMPLATE), "{}", mail.text);
    stage.worker.stop().await;
    assert_eq!(stage.assistant.asked(), 0, "its time is over");
    let lead = &kari.get("/api/v1/leads").await.expect(200)["items"][0];
    let time = |name: &str| lead[name].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok()).expect("a time");
    assert_eq!(time("created_at"), received);
    assert!(time("updated_at") > received + TimeDelta::minutes(1), "{lead:#}");
}

#[tokio::test]
async fn who_wants_to_be_called_is_left_to_a_person() {
    let app = TestApp::start().await;
    let stage = Stage::set(&app).await;
    let fjordbil = fjordbil(&app).await;
    let lead = fill_in(&app, &fjordbil, &form("Per", "Hei! Ring meg om Model Y.")).await;
    let mail = stage.mail_to("per@kunde.example").await;
    assert!(mail.text.starts_with(TEMPLATE) && mail.text.contains("et menneske skal svare på"), "{}", mail.text);
    assert_eq!(needs_human(&fjordbil.admin(), &lead).await, "the customer asks to be called");
    let answer = until_answer(&fjordbil.admin(), &lead, "answered").await;
    assert_eq!(answer["reason"], "the customer asks to be called");
    stage.worker.stop().await;
    assert_eq!(stage.assistant.asked(), 0);
}

#[tokio::test]
async fn a_dealership_decides_whether_anything_is_sent_by_itself() {
    let app = TestApp::start().await;
    let stage = Stage::set(&app).await;
    let fjordbil = fjordbil(&app).await;
    let kari = fjordbil.admin();
    change_settings(&kari, &json!({ "mode": "draft" })).await;
    let lead = fill_in(&app, &fjordbil, &form("Per", QUESTION)).await;
    let draft = until_answer(&kari, &lead, "drafted").await;
    assert_eq!(draft["author"], "assistant");
    assert!(kari.get(&format!("/api/v1/leads/{lead}/conversations")).await.expect(200) == json!([]));
    let path = format!("/api/v1/leads/{lead}/draft");
    let sent = Answer::of(kari.request(Method::POST, &path).json(&json!({ "message_content": draft["reply"] })))
        .await
        .expect(201);
    assert_eq!((&sent["sender_type"], &sent["sender_user_id"]), (&json!("human"), &json!(kari.id)));
    assert_eq!(sent["message_content"], draft["reply"]);
    let mail = stage.mail_to("per@kunde.example").await;
    assert_eq!(mail.header("auto-submitted"), None, "a person sent it");
    assert!(!mail.text.contains("automatisk"), "{}", mail.text);
    assert_eq!(until_answer(&kari, &lead, "answered").await["message_id"], sent["id"]);

    change_settings(&kari, &json!({ "mode": "off" })).await;
    let lead = fill_in(&app, &fjordbil, &form("Ola", QUESTION)).await;
    assert_eq!(until_answer(&kari, &lead, "skipped").await["reason"], "automatic answers are switched off");

    change_settings(&kari, &json!({ "mode": "on" })).await;
    let sources = kari.get("/api/v1/lead-sources").await.expect(200);
    let of_form = sources.as_array().expect("a list").iter().find(|source| source["kind"] == "form");
    let source = format!("/api/v1/lead-sources/{}", of_form.expect("each has one")["id"].as_str().expect("an id"));
    let quiet = kari.request(Method::PATCH, &source).json(&json!({ "automatic_answer": false }));
    Answer::of(quiet).await.expect(200);
    fill_in(&app, &fjordbil, &form("Eva", QUESTION)).await;
    assert_eq!(app.count("SELECT count(*) FROM jobs WHERE kind = 'answers.write'").await, 2, "the two before");
    stage.worker.stop().await;
    assert_eq!(stage.mailbox.messages().len(), 1);
}

#[tokio::test]
async fn a_person_takes_over_when_the_customer_goes_on() {
    let app = TestApp::start().await;
    let stage = Stage::set(&app).await;
    let fjordbil = fjordbil(&app).await;
    let kari = fjordbil.admin();
    let lead_path = |lead: &str| format!("/api/v1/leads/{lead}");
    let lead = fill_in(&app, &fjordbil, &form("Per", QUESTION)).await;
    let mail = stage.mail_to("per@kunde.example").await;
    until_last(&kari, &lead, "sent").await;
    stage.mailbox.reply_as_customer(&mail, "Takk! Har den hengerfeste?").await.expect("it is taken");
    let waiting = until(&kari, &lead_path(&lead), |lead| lead["needs_human"].is_string()).await;
    assert_eq!(waiting["needs_human"], "the customer has written again");

    change_settings(&kari, &json!({ "turns": 2 })).await;
    let lead = fill_in(&app, &fjordbil, &form("Eva", QUESTION)).await;
    let mail = stage.mail_to("eva@kunde.example").await;
    until_last(&kari, &lead, "sent").await;
    stage.mailbox.reply_as_customer(&mail, "Takk! Har Model Y hengerfeste?").await.expect("it is taken");
    let second = stage.mailbox.wait_for(|other| other.to == mail.to && other.id != mail.id);
    let second = tokio::time::timeout(super::TIMEOUT, second).await.expect("it arrives in time");
    assert!(second.text.starts_with(DISCLOSURE), "{}", second.text);
    until_last(&kari, &lead, "sent").await;
    assert_eq!(until_answer(&kari, &lead, "answered").await["turn"], 2);
    assert!(needs_human(&kari, &lead).await.is_null());
    stage.mailbox.reply_as_customer(&second, "Og når kan jeg se den?").await.expect("it is taken");
    until(&kari, &lead_path(&lead), |lead| lead["needs_human"].is_string()).await;
    stage.worker.stop().await;
    assert_eq!(stage.mailbox.messages().len(), 3);
}

#[tokio::test]
async fn who_answers_while_the_assistant_writes_answers_alone() {
    let app = TestApp::start().await;
    let stage = Stage::set(&app).await;
    let fjordbil = fjordbil(&app).await;
    let kari = fjordbil.admin();
    stage.assistant.set_fault(assistant::ActiveFault { seconds: 3, ..Fault::Slow.times(1) });
    let lead = fill_in(&app, &fjordbil, &form("Per", QUESTION)).await;
    let path = format!("/api/v1/leads/{lead}/answers");
    until(&kari, &path, |answers| answers[0]["given"].is_object()).await;
    answer(&kari, &lead, "Hei Per! Ja, den er ledig.", "email").await;
    assert_eq!(until_answer(&kari, &lead, "withdrawn").await["reason"], "a person answered first");
    let mut jobs = JobTable::at(&app.database_url).await;
    jobs.wait_for_count("answers.write", "done", 1).await;
    until_last(&kari, &lead, "sent").await;
    stage.worker.stop().await;
    let sent: Vec<_> = stage.mailbox.messages().into_iter().map(|message| message.text).collect();
    assert!(sent.len() == 1 && sent[0].contains("Hei Per! Ja, den er ledig."), "{sent:?}");
    assert_eq!(stage.assistant.asked(), 1);
    assert_eq!(until_answer(&kari, &lead, "withdrawn").await["came_back"], Value::Null);
}

#[tokio::test]
async fn nothing_sent_by_itself_carries_a_strangers_links_to_the_address_that_was_typed() {
    let app = TestApp::start().await;
    let (stage, fjordbil) = (Stage::set(&app).await, fjordbil(&app).await);
    let hostile = json!({
        "name": "https://evil.example", "email": "offer@kunde.example", "vehicle_interest": "Gevinst: evil.example",
        "message": "Hei, jeg vil gjerne si at dere har vunnet en Model Y. Hent den på https://evil.example/premie",
    });
    let lead = fill_in(&app, &fjordbil, &hostile).await;
    let mail = stage.mail_to("offer@kunde.example").await;
    assert!(!mail.raw.contains("evil"), "{}", mail.raw);
    assert!(mail.text.contains("\nHei,"), "it is still an answer: {}", mail.text);
    // A person has read it.
    answer(&fjordbil.admin(), &lead, "Hei, dette er ikke fra oss.", "email").await;
    let by_person = stage.mailbox.wait_for(|message| message.text.contains("dette er ikke fra oss")).await;
    assert!(by_person.text.contains("https://evil.example/premie"), "{}", by_person.text);

    let harmless = json!({ "name": "Ola-André", "email": "ola@kunde.example", "vehicle_interest": "ID.Buzz",
        "message": "Er bilen f.eks. ledig kl. 12.30 i morgen?" });
    fill_in(&app, &fjordbil, &harmless).await;
    let mail = stage.mail_to("ola@kunde.example").await;
    assert!(mail.text.contains("Hei Ola-André,") && mail.text.contains("kl. 12.30 i morgen?"), "{}", mail.text);
    assert_eq!(mail.subject.as_deref(), Some("Din henvendelse til Fjordbil: ID.Buzz"));
    stage.worker.stop().await;
}

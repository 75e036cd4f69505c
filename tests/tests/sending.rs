//! What people and nobody answer reaches the customer, and its fate is known.

mod assistant;
mod burst;
mod opening;
mod property;
mod reports;
mod suggestions;
mod texts;

use std::time::Duration;

use dev::stand_ins::mailbox::{Fault, Message, StandIn};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::Answer,
    app::{Dealership, Person, TestApp, email},
    drain::Worker,
    mailbox::{mailbox, sending_through},
};
use tokio::time::{Instant, sleep};

/// The longest that anything may take here.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Asks again until it is so.
async fn until(person: &Person<'_>, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let found = person.get(path).await.expect(200);
        if is_so(&found) {
            return found;
        }
        assert!(since.elapsed() < TIMEOUT, "{path} stays {found:#}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The messages of a lead, once its last one is so far.
async fn until_last(person: &Person<'_>, lead: &str, status: &str) -> Value {
    let path = format!("/api/v1/leads/{lead}/conversations");
    until(person, &path, |messages| messages[0]["delivery"]["status"] == status).await
}

async fn answer(person: &Person<'_>, lead: &str, text: &str, channel: &str) -> Value {
    let body = json!({ "lead_id": lead, "message_content": text, "channel": channel });
    Answer::of(person.request(Method::POST, "/api/v1/conversations").json(&body)).await.expect(201)
}

/// A customer fills in the form of a dealership. Returns the lead.
async fn fill_in(app: &TestApp, oslo: &Dealership<'_>, inquiry: &Value) -> String {
    let path = format!("/webhooks/form/{}", oslo.id);
    let receipt = Answer::of(app.request(Method::POST, &path).json(inquiry)).await.expect(200);
    receipt["lead_id"].as_str().expect("a receipt").to_owned()
}

fn to<'a>(mailbox: &'a StandIn, address: &'a str) -> impl Future<Output = Message> + 'a {
    let arrived = mailbox.wait_for(move |message| message.to.iter().any(|to| to == address));
    async { tokio::time::timeout(TIMEOUT, arrived).await.expect("it arrives in time") }
}

#[tokio::test]
async fn an_answer_reaches_the_customer_and_theirs_comes_back_into_the_lead() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let lead = oslo.lead_with(tests::app::NewLead {
        customer_name: Some("Åse Bjørnø".to_owned()),
        customer_email: Some(email("aase@kunde.example")),
        initial_message: Some("Har dere en blå Ænes?".to_owned()),
        ..tests::app::new_lead()
    });
    let lead = lead.await.id.to_string();
    let written = answer(&kari, &lead, "Hei Åse! Ja, vi har én på lager.", "email").await;
    assert_eq!(written["delivery"]["status"], "queued");
    let before = kari.get(&format!("/api/v1/leads/{lead}")).await.expect(200);
    assert!(before["first_response_time"].is_null() && before["status"] == "new", "nothing has been sent: {before:#}");

    let worker = Worker::start(&app, &sending_through(&mailbox));
    let mail = to(&mailbox, "aase@kunde.example").await;
    assert!(mail.text.contains("Hei Åse! Ja, vi har én på lager."), "{}", mail.text);
    assert!(mail.text.contains("Har dere en blå Ænes?"), "what is answered is quoted: {}", mail.text);
    assert_eq!(mail.from, "svar@norvalt.example");
    assert_eq!(mail.from_name.as_deref(), Some("Tesla Oslo"));
    assert_eq!(mail.header("auto-submitted"), None, "a person wrote it");
    until_last(&kari, &lead, "sent").await;
    let after = kari.get(&format!("/api/v1/leads/{lead}")).await.expect(200);
    assert!(after["first_response_time"].is_string() && after["last_contact_at"].is_string(), "{after:#}");
    assert!(after["first_automatic_response_time"].is_null());
    assert_eq!(after["status"], "contacted");
    let history = kari.get(&format!("/api/v1/leads/{lead}/history")).await.expect(200);
    assert_eq!((&history[0]["changed_by"]["id"], &history[0]["automatic"]), (&json!(kari.id), &json!(false)));

    mailbox.reply_as_customer(&mail, "Flott, kan jeg komme på torsdag?").await.expect("it is taken");
    let path = format!("/api/v1/leads/{lead}/conversations");
    let messages = until(&kari, &path, |messages| messages[0]["direction"] == "inbound").await;
    assert!(
        messages[0]["message_content"].as_str().expect("a text").starts_with("Flott, kan jeg komme"),
        "{messages:#}"
    );
    let waiting = kari.get(&format!("/api/v1/leads/{lead}")).await.expect(200);
    assert_eq!(waiting["needs_human"], "the customer has written again");
    assert_eq!(kari.get("/api/v1/leads").await.expect(200)["total"], 1, "no other lead was made");
    // An answer is an answer to that one.
    answer(&kari, &lead, "Torsdag klokken ti passer fint!", "email").await;
    let second = mailbox.wait_for(|message| message.text.contains("Torsdag klokken ti"));
    let second = tokio::time::timeout(TIMEOUT, second).await.expect("it arrives in time");
    assert!(second.references.contains(mail.message_id.as_ref().expect("it has an id")), "{:?}", second.references);
    let done = kari.get(&format!("/api/v1/leads/{lead}")).await.expect(200);
    assert!(done["needs_human"].is_null(), "a person has answered");
    // The same to another message is not the same again.
    for answered in [&mail, &second] {
        mailbox.reply_as_customer(answered, "Ja, takk!").await.expect("it is taken");
    }
    let same = |message: &Value| message["message_content"].as_str().is_some_and(|text| text.starts_with("Ja, takk!"));
    until(&kari, &path, |messages| {
        messages.as_array().is_some_and(|all| all.iter().filter(|one| same(one)).count() == 2)
    })
    .await;
    worker.stop().await;
    assert_eq!(mailbox.messages().len(), 2);
}

#[tokio::test]
async fn a_new_lead_is_answered_by_itself_and_only_a_persons_answer_is_a_response() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let worker = Worker::start(&app, &sending_through(&mailbox));
    let inquiry = json!({ "name": "Bjørn Håkonsen", "email": "bjorn@kunde.example", "message": "Hei! Har dere en Model Y på lager?" });
    let lead = fill_in(&app, &oslo, &inquiry).await;
    let mail = to(&mailbox, "bjorn@kunde.example").await;
    assert_eq!(mail.header("auto-submitted"), Some("auto-replied"));
    assert!(mail.header("list-unsubscribe").is_none(), "no address of ours is known here");
    let messages = until_last(&kari, &lead, "sent").await;
    assert_eq!((&messages[0]["sender_type"], &messages[0]["sender"]), (&json!("ai"), &json!("Tesla Oslo")));
    let shown = kari.get(&format!("/api/v1/leads/{lead}")).await.expect(200);
    assert!(shown["first_response_time"].is_null(), "nobody has answered: {shown:#}");
    assert!(shown["first_automatic_response_time"].is_string());
    assert_eq!(shown["status"], "contacted");
    let history = kari.get(&format!("/api/v1/leads/{lead}/history")).await.expect(200);
    assert_eq!((&history[0]["changed_by"], &history[0]["automatic"]), (&Value::Null, &json!(true)));
    let answers = kari.get(&format!("/api/v1/leads/{lead}/answers")).await.expect(200);
    assert_eq!((&answers[0]["state"], &answers[0]["author"]), (&json!("answered"), &json!("template")));
    answer(&kari, &lead, "Hei Bjørn, den er her. Velkommen innom!", "email").await;
    until_last(&kari, &lead, "sent").await;
    let shown = kari.get(&format!("/api/v1/leads/{lead}")).await.expect(200);
    assert!(shown["first_response_time"].is_string(), "{shown:#}");
    worker.stop().await;
}

#[tokio::test]
async fn who_answers_first_answers_alone() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let inquiry = json!({ "name": "Per", "email": "per@kunde.example", "message": "Er den ledig?" });
    let lead = fill_in(&app, &oslo, &inquiry).await;
    answer(&kari, &lead, "Hei Per! Ja, den er ledig.", "email").await;
    let worker = Worker::start(&app, &sending_through(&mailbox));
    until_last(&kari, &lead, "sent").await;
    let path = format!("/api/v1/leads/{lead}/answers");
    let answers = until(&kari, &path, |answers| answers[0]["state"] != "waiting" && !answers[0].is_null()).await;
    assert_eq!(answers[0]["state"], "skipped");
    worker.stop().await;
    let sent: Vec<_> = mailbox.messages().into_iter().map(|message| message.text).collect();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(sent[0].contains("Hei Per! Ja, den er ledig."));
}

#[tokio::test]
async fn what_may_have_been_sent_is_shown_and_not_sent_again_by_itself() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let lead = oslo.lead("Per").await.id.to_string();
    mailbox.set_fault(Fault::CutAfterData.times(1));
    let worker = Worker::start(&app, &sending_through(&mailbox));
    let message = answer(&kari, &lead, "Hei Per!", "email").await;
    let messages = until_last(&kari, &lead, "unknown").await;
    assert!(messages[0]["delivery"]["reason"].is_string(), "{messages:#}");
    let shown = kari.get(&format!("/api/v1/leads/{lead}")).await.expect(200);
    assert_eq!(shown["needs_human"], "nobody knows whether an answer was sent");
    assert!(shown["first_response_time"].is_null() && shown["status"] == "new", "{shown:#}");
    let again = format!("/api/v1/conversations/{}/send-again", message["id"].as_str().expect("an id"));
    Answer::of(kari.request(Method::POST, &again)).await.expect(200);
    until_last(&kari, &lead, "sent").await;
    Answer::of(kari.request(Method::POST, &again)).await.expect_problem(409, "not-lost");
    worker.stop().await;
    assert_eq!(mailbox.messages().len(), 2, "a person has sent it again");
}

#[tokio::test]
async fn a_provider_that_was_away_gets_it_once_and_one_that_refuses_is_believed() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let worker = Worker::start(&app, &sending_through(&mailbox));
    let lead = oslo.lead("Per").await.id.to_string();
    mailbox.set_fault(Fault::Down.times(1));
    answer(&kari, &lead, "Først", "email").await;
    until_last(&kari, &lead, "sent").await;
    assert_eq!(mailbox.messages().len(), 1);
    mailbox.set_fault(Fault::Refuse.times(1));
    answer(&kari, &lead, "Så nei", "email").await;
    let messages = until_last(&kari, &lead, "failed").await;
    assert!(messages[0]["delivery"]["reason"].is_string(), "{messages:#}");
    let shown = kari.get(&format!("/api/v1/leads/{lead}")).await.expect(200);
    assert_eq!(shown["needs_human"], "an answer did not reach the customer");
    mailbox.set_fault(Fault::Busy.times(1));
    answer(&kari, &lead, "Så", "email").await;
    let path = format!("/api/v1/leads/{lead}/conversations");
    let messages = until(&kari, &path, |messages| messages[0]["delivery"]["reason"].is_string()).await;
    assert_eq!(messages[0]["delivery"]["status"], "queued", "it is tried again: {messages:#}");
    worker.stop().await;
}

#[tokio::test]
async fn nothing_more_goes_to_an_address_that_does_not_take_it() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let worker = Worker::start(&app, &sending_through(&mailbox));
    let lead = oslo.lead("Per").await.id.to_string();
    answer(&kari, &lead, "Hei!", "email").await;
    let mail = to(&mailbox, "kunde@example.no").await;
    until_last(&kari, &lead, "sent").await;
    mailbox.bounce(&mail).await.expect("it is taken");
    until_last(&kari, &lead, "bounced").await;
    answer(&kari, &lead, "Hei igjen!", "email").await;
    let messages = until_last(&kari, &lead, "failed").await;
    assert_eq!(
        messages[0]["delivery"]["reason"],
        "an earlier message to the address came back; send this one again if it is right"
    );
    // A mail server may be wrong: a person can say so.
    let again = format!("/api/v1/conversations/{}/send-again", messages[0]["id"].as_str().expect("an id"));
    Answer::of(kari.request(Method::POST, &again)).await.expect(200);
    until_last(&kari, &lead, "sent").await;
    // Another dealership has heard nothing of it.
    let bergen = app.dealership("VW Bergen").await;
    let other = bergen.lead("Per").await.id.to_string();
    answer(&bergen.admin(), &other, "Hei fra Bergen!", "email").await;
    until_last(&bergen.admin(), &other, "sent").await;
    worker.stop().await;
}

#[tokio::test]
async fn who_calls_a_mail_spam_gets_no_more() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let worker = Worker::start(&app, &sending_through(&mailbox));
    let lead = oslo.lead("Per").await.id.to_string();
    answer(&kari, &lead, "Hei!", "email").await;
    let mail = to(&mailbox, "kunde@example.no").await;
    until_last(&kari, &lead, "sent").await;
    mailbox.complain(&mail).await.expect("it is taken");
    until_last(&kari, &lead, "delivered").await;
    answer(&kari, &lead, "Hei igjen!", "email").await;
    let messages = until_last(&kari, &lead, "failed").await;
    assert_eq!(messages[0]["delivery"]["reason"], "the customer reported an earlier message as unwanted");
    worker.stop().await;
    assert_eq!(mailbox.messages().len(), 1);
    assert_eq!(kari.get("/api/v1/leads").await.expect(200)["total"], 1, "a complaint is no inquiry");
}

#[tokio::test]
async fn what_the_customer_will_see_is_shown_before_it_is_sent() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let new = tests::app::NewLead {
        customer_email: Some(email("per@kunde.example")),
        customer_phone: Some(tests::app::phone("+4791234567")),
        initial_message: Some("Er den ledig?".to_owned()),
        ..tests::app::new_lead()
    };
    let lead = oslo.lead_with(new).await.id.to_string();
    let preview = async |text: &str, channel: &str| {
        let body = json!({ "lead_id": lead, "message_content": text, "channel": channel });
        Answer::of(kari.request(Method::POST, "/api/v1/conversations/preview").json(&body)).await
    };
    let shown = preview("Hei Per! Ja.", "sms").await.expect(200);
    assert_eq!(shown["recipient"], "+4791234567");
    assert_eq!(
        shown["sms"],
        json!({ "text": "Hei Per! Ja.\nTesla Oslo", "encoding": "gsm7", "units": 23, "parts": 1 })
    );
    let long = format!("«{}»", "a".repeat(70));
    let shown = preview(&long, "sms").await.expect(200);
    assert_eq!((&shown["sms"]["encoding"], &shown["sms"]["parts"]), (&json!("ucs2"), &json!(2)));
    preview("Hei", "website").await.expect_problem(422, "invalid-input");

    let shown = preview("Hei Per! Ja, den er ledig.", "email").await.expect(200);
    assert!(shown["sms"].is_null() && shown["email"]["from"].is_null(), "{shown:#}");
    assert_eq!(app.count("SELECT count(*) FROM outbox").await, 0, "nothing is sent");
    answer(&kari, &lead, "Hei Per! Ja, den er ledig.", "email").await;
    let worker = Worker::start(&app, &sending_through(&mailbox));
    let mail = to(&mailbox, "per@kunde.example").await;
    worker.stop().await;
    let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    let text = shown["email"]["text"].as_str().expect("a text");
    assert_eq!(lines(text.trim_end()), lines(mail.text.trim_end()), "the mail is what was shown");
    assert_eq!(shown["email"]["subject"].as_str(), mail.subject.as_deref());
    assert_eq!(shown["email"]["from_name"].as_str(), mail.from_name.as_deref());
}

#[tokio::test]
async fn what_cannot_be_sent_says_so() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let lead = oslo.lead("Per").await.id.to_string();
    let message = answer(&kari, &lead, "Hei", "sms").await;
    assert_eq!(message["delivery"]["status"], "failed");
    assert_eq!(message["delivery"]["reason"], "the lead has no phone number");
    let again = format!("/api/v1/conversations/{}/send-again", message["id"].as_str().expect("an id"));
    Answer::of(kari.request(Method::POST, &again)).await.expect_problem(409, "no-address");
    answer(&kari, &lead, "Hei", "email").await;
    let worker = Worker::start(&app, &[]);
    let messages = until_last(&kari, &lead, "failed").await;
    assert_eq!(messages[0]["delivery"]["reason"], "no e-mail provider is configured");
    worker.stop().await;
}

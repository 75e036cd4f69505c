//! Text messages: what Twilio reports of them, and what customers send back.

use std::{collections::BTreeMap, time::Duration};

use dev::stand_ins::mailbox::{Message, StandIn, signature};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};
use sqlx::Executor;
use tests::{
    answer::Answer,
    app::{Dealership, NewLead, Person, TWILIO_TOKEN, TestApp, new_lead, phone},
    drain::Worker,
    mailbox::{mailbox, sending_through},
};
use tokio::time::{sleep, timeout};

use super::{answer, to, until, until_last};

const NUMBER: &str = "+4791234567";

/// A worker whose Twilio reports nothing by itself: the address is that of nobody.
fn worker(app: &TestApp, mailbox: &StandIn) -> Worker {
    let mut settings = sending_through(mailbox);
    settings.push(("PUBLIC_URL", "http://127.0.0.1:9".to_owned()));
    Worker::start(app, &settings)
}

async fn lead(oslo: &Dealership<'_>) -> String {
    let new = NewLead { customer_email: None, customer_phone: Some(phone(NUMBER)), ..new_lead() };
    oslo.lead_with(new).await.id.to_string()
}

async fn shown(person: &Person<'_>, lead: &str) -> Value {
    person.get(&format!("/api/v1/leads/{lead}")).await.expect(200)
}

/// Posts a form as Twilio does, signed with this token.
async fn post(app: &TestApp, path: &str, form: &BTreeMap<String, String>, token: &str) -> StatusCode {
    let url = Url::parse_with_params("http://x/", form).expect("a URL");
    let request = app.request(Method::POST, path).body(url.query().unwrap_or_default().to_owned());
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let signed = signature(token, &format!("{}{path}", app.url), form);
    Answer::of(request.header("x-twilio-signature", signed)).await.status
}

fn form(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Reports, at the address that Twilio was given, that a message got so far.
async fn report(app: &TestApp, message: &Message, status: &str) {
    let callback = message.status_callback.as_deref().expect("it is to be reported");
    let path = callback.strip_prefix("http://127.0.0.1:9").expect("what the worker was told");
    let fields = form(&[("MessageSid", &message.provider_id), ("MessageStatus", status), ("To", NUMBER)]);
    assert_eq!(post(app, path, &fields, TWILIO_TOKEN).await, StatusCode::OK, "{status}");
}

#[tokio::test]
async fn a_text_is_contact_once_it_has_arrived() {
    let app = TestApp::start_with_reports().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, lead) = (oslo.admin(), lead(&oslo).await);
    let worker = worker(&app, &mailbox);
    answer(&kari, &lead, "Hei! Bilen er ledig.", "sms").await;
    let text = to(&mailbox, NUMBER).await;
    assert_eq!(text.text, "Hei! Bilen er ledig.\nTesla Oslo");
    assert_eq!(text.from, "+4759440000");
    until_last(&kari, &lead, "sent").await;
    report(&app, &text, "sent").await;
    let waiting = shown(&kari, &lead).await;
    assert!(waiting["first_response_time"].is_null() && waiting["last_contact_at"].is_null(), "{waiting:#}");
    assert_eq!(waiting["status"], "contacted");
    report(&app, &text, "delivered").await;
    until_last(&kari, &lead, "delivered").await;
    let reached = shown(&kari, &lead).await;
    assert!(reached["first_response_time"].is_string() && reached["last_contact_at"].is_string(), "{reached:#}");
    // Repeated and late ones change nothing.
    report(&app, &text, "delivered").await;
    report(&app, &text, "sent").await;

    answer(&kari, &lead, "Kommer du i dag?", "sms").await;
    let second = mailbox.wait_for(|message| message.text.contains("Kommer du i dag?")).await;
    until_last(&kari, &lead, "sent").await;
    report(&app, &second, "undelivered").await;
    let messages = until_last(&kari, &lead, "bounced").await;
    assert_eq!(messages[1]["delivery"]["status"], "delivered");
    let after = shown(&kari, &lead).await;
    assert_eq!(after["first_response_time"], reached["first_response_time"]);
    assert_eq!(after["needs_human"], "an answer did not reach the customer");
    worker.stop().await;
    assert_eq!(mailbox.messages().len(), 2);
}

#[tokio::test]
async fn a_text_to_a_dealerships_own_number_is_theirs_if_their_account_signs_it() {
    let app = TestApp::start_with_reports().await;
    let mailbox = mailbox(&app).await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let (kari, jonas) = (oslo.admin(), bergen.admin());
    let account =
        |token: &str| json!({ "provider": "twilio", "from": "+4759440099", "account_sid": "AC7", "auth_token": token });
    for (person, token) in [(&jonas, "a-guess"), (&kari, "the-token-of-ac7")] {
        let kept = person.request(Method::PUT, "/api/v1/dealership/sending/sms").json(&account(token));
        Answer::of(kept).await.expect(200);
    }
    Answer::of(jonas.request(Method::DELETE, "/api/v1/dealership/sending/sms")).await.expect(204);
    Answer::of(jonas.request(Method::PUT, "/api/v1/dealership/sending/sms").json(&account("a-guess")))
        .await
        .expect(200);
    let (lead, other) = (lead(&oslo).await, lead(&bergen).await);
    let mut conn = app.connect().await;
    // Both have written to the customer, Bergen last.
    for (person, lead) in [(&kari, &lead), (&jonas, &other)] {
        answer(person, lead, "Hei!", "sms").await;
        let sent = "UPDATE outbox SET status = 'sent'; DELETE FROM jobs WHERE kind = 'outbox.send_sms'";
        conn.execute(sent).await.expect("it is done");
    }
    let text = |id: &str, to: &str| {
        form(&[("AccountSid", "AC7"), ("MessageSid", id), ("From", NUMBER), ("To", to), ("Body", "Er den ledig?")])
    };
    let path = "/webhooks/twilio/sms";
    assert_eq!(post(&app, path, &text("SM1", "+4759440099"), "another-token").await, StatusCode::UNAUTHORIZED);
    assert_eq!(post(&app, path, &text("SM2", "+4759440000"), "the-token-of-ac7").await, StatusCode::UNAUTHORIZED);
    assert_eq!(post(&app, path, &text("SM3", "+4759440099"), "the-token-of-ac7").await, StatusCode::OK);
    let worker = worker(&app, &mailbox);
    let theirs = format!("/api/v1/leads/{lead}/conversations");
    until(&kari, &theirs, |messages| messages[0]["message_content"] == "Er den ledig?").await;
    assert_eq!(post(&app, path, &text("SM4", "+4759440000"), TWILIO_TOKEN).await, StatusCode::OK);
    let others = format!("/api/v1/leads/{other}/conversations");
    until(&jonas, &others, |messages| messages[0]["direction"] == "inbound").await;
    assert_eq!(app.count("SELECT count(*) FROM conversations WHERE direction = 'inbound'").await, 2);
    worker.stop().await;
}

#[tokio::test]
async fn a_customers_text_comes_back_into_the_lead_and_stop_is_heard() {
    let app = TestApp::start_with_reports().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, lead) = (oslo.admin(), lead(&oslo).await);
    let worker = worker(&app, &mailbox);
    answer(&kari, &lead, "Hei! Bilen er ledig.", "sms").await;
    let text = to(&mailbox, NUMBER).await;
    until_last(&kari, &lead, "sent").await;
    mailbox.reply_as_customer(&text, "Når åpner dere?").await.expect("it is taken");
    let path = format!("/api/v1/leads/{lead}/conversations");
    let messages = until(&kari, &path, |messages| messages[0]["direction"] == "inbound").await;
    assert_eq!((&messages[0]["message_content"], &messages[0]["channel"]), (&json!("Når åpner dere?"), &json!("sms")));
    assert_eq!(shown(&kari, &lead).await["needs_human"], "the customer has written again");

    mailbox.complain(&text).await.expect("it is taken");
    until(&kari, &path, |messages| messages[0]["message_content"] == "STOP").await;
    answer(&kari, &lead, "Vi åpner klokken ni.", "sms").await;
    let messages = until_last(&kari, &lead, "failed").await;
    assert_eq!(messages[0]["delivery"]["reason"], "the customer wants no more messages");
    assert_eq!(mailbox.messages().len(), 1, "nothing went out");

    mailbox.reply_as_customer(&text, "START").await.expect("it is taken");
    let settled = "SELECT count(*) FROM deliveries WHERE source = 'sms' AND status = 'processed'";
    let read = async {
        while app.count(settled).await < 3 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(super::TIMEOUT, read).await.expect("it is read");
    answer(&kari, &lead, "Vi åpner klokken ni.", "sms").await;
    until_last(&kari, &lead, "sent").await;
    worker.stop().await;
    assert_eq!(mailbox.messages().len(), 2);
}

#[tokio::test]
async fn what_is_not_from_twilio_is_not_taken_and_strangers_wait_for_a_person() {
    let app = TestApp::start_with_reports().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, lead) = (oslo.admin(), lead(&oslo).await);
    let worker = worker(&app, &mailbox);
    answer(&kari, &lead, "Hei! Bilen er ledig.", "sms").await;
    let text = to(&mailbox, NUMBER).await;
    until_last(&kari, &lead, "sent").await;
    let events = text.status_callback.as_deref().and_then(|url| url.strip_prefix("http://127.0.0.1:9"));
    let delivered = form(&[("MessageSid", &text.provider_id), ("MessageStatus", "delivered")]);
    let stop = form(&[("MessageSid", "SM1"), ("From", NUMBER), ("Body", "STOP")]);
    for (path, form) in [(events.expect("an address"), &delivered), ("/webhooks/twilio/sms", &stop)] {
        let forged = post(&app, path, form, "another-token-of-tests").await;
        assert!(matches!(forged.as_u16(), 401 | 403), "{forged}");
        let unsigned = app.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
        let unsigned = Answer::of(unsigned.body("MessageStatus=delivered")).await.status;
        assert!(matches!(unsigned.as_u16(), 401 | 403), "{unsigned}");
    }
    assert_eq!(app.count("SELECT count(*) FROM deliveries").await, 0, "nothing is stored");

    let stranger = Message { to: vec!["+4799887766".to_owned()], ..text };
    mailbox.reply_as_customer(&stranger, "Hvem er dere?").await.expect("it is taken");
    let parked = "SELECT count(*) FROM deliveries WHERE source = 'sms' AND status = 'parked' AND dealership_id IS NULL";
    assert_eq!(app.count(parked).await, 1);
    worker.stop().await;
    assert!(shown(&kari, &lead).await["first_response_time"].is_null());
    assert_eq!(app.count("SELECT count(*) FROM conversations WHERE direction = 'inbound'").await, 0);
}

//! What one dealership may write, so that it does not fill the disk of all.

use common::{config::ApiConfig, ids::DealershipId};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::{
    answer::Answer,
    app::{INBOUND_DOMAIN, MAIL_SECRET, Person, TestApp},
};
use uuid::Uuid;

fn small(config: &mut ApiConfig) {
    config.dealership_quota = 1 << 20;
}

/// A lead of about 20 kB.
async fn write(person: &Person<'_>) -> Answer {
    let new = json!({ "customer_email": "ola@example.no", "initial_message": "x".repeat(20_000) });
    Answer::of(person.request(Method::POST, "/api/v1/leads").json(&new)).await
}

#[tokio::test]
async fn a_dealership_that_writes_without_end_is_stopped_and_no_other_one() {
    let app = TestApp::start_with(small).await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let (kari, jonas) = (oslo.admin(), oslo.member("jonas", "org:member").await);
    let mut written = 0;
    let refused = loop {
        // The quota is the dealership's, whoever writes.
        let answer = write(if written % 2 == 0 { &kari } else { &jonas }).await;
        if answer.status != StatusCode::CREATED {
            break answer;
        }
        written += 1;
    };
    assert!((40..52).contains(&written), "{written}");
    let wait: u32 = refused.headers["retry-after"].to_str().expect("printable").parse().expect("seconds");
    assert!((1..86_400).contains(&wait), "{wait}");
    refused.expect_problem(429, "quota-exceeded");

    let page = kari.get("/api/v1/leads?limit=1").await.expect(200);
    let lead = format!("/api/v1/leads/{}", page["items"][0]["id"].as_str().expect("an id"));
    let patch = || kari.request(Method::PATCH, &lead).json(&json!({ "initial_message": "x".repeat(20_000) }));
    Answer::of(patch()).await.expect_problem(429, "quota-exceeded");
    let account =
        json!({ "provider": "twilio", "from": "+4759440000", "account_sid": "AC7", "auth_token": "x".repeat(500) });
    let put = || kari.request(Method::PUT, "/api/v1/dealership/sending/sms").json(&account);
    // Of what is left for less than another lead, some of them may have a part.
    let mut refused = Answer::of(put()).await;
    for _ in 0..30 {
        if refused.status == StatusCode::OK {
            refused = Answer::of(put()).await;
        }
    }
    refused.expect_problem(429, "quota-exceeded");
    Answer::of(kari.request(Method::DELETE, &lead)).await.expect(204);
    write(&bergen.admin()).await.expect(201);
}

#[tokio::test]
async fn a_body_that_does_not_say_how_long_it_is_counts_as_long_as_may_be() {
    let app = TestApp::start_with(|config| config.dealership_quota = 3 << 20).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let head = format!(
            "POST /api/v1/automation-rules HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n",
            oslo.admin().token()
        );
        statuses.push(status_of(&app, head).await);
    }
    assert_eq!(statuses, ["422", "422", "429", "429"]);
}

#[tokio::test]
async fn what_is_sent_for_one_dealership_without_end_comes_later_and_is_not_lost() {
    let app = TestApp::start_with(|config| config.inbound_quota = 1 << 20).await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let form = async |dealership: &DealershipId| {
        let body = json!({ "email": "ola@example.no", "message": Uuid::new_v4().to_string() + &"x".repeat(200_000) });
        let post = app.request(Method::POST, &format!("/webhooks/form/{dealership}"));
        Answer::of(post.json(&body)).await
    };
    for _ in 0..5 {
        form(&oslo.id).await.expect(200);
    }
    let refused = form(&oslo.id).await;
    let wait: u32 = refused.headers["retry-after"].to_str().expect("printable").parse().expect("seconds");
    assert!((1..86_400).contains(&wait), "{wait}");
    refused.expect_problem(429, "quota-exceeded");
    // Of a mail to both, neither has anything yet.
    let (kari, silje) = (oslo.admin(), bergen.admin());
    let mut addresses = Vec::new();
    for person in [&kari, &silje] {
        let sources = person.get("/api/v1/lead-sources").await.expect(200);
        let source = sources.as_array().expect("a list").iter().find(|source| source["kind"] == "email").cloned();
        let key = source.expect("each has one")["key"].as_str().expect("a key").to_owned();
        addresses.push(format!("{key}@{INBOUND_DOMAIN}"));
    }
    let mail = format!("From: a@b.no\r\nSubject: x\r\n\r\n{}", "x".repeat(200_000));
    let post = |to: &str| {
        let post = app.request(Method::POST, "/webhooks/email/raw").bearer_auth(MAIL_SECRET);
        post.header("content-type", "message/rfc822").header("x-envelope-to", to).body(mail.clone())
    };
    for to in [addresses[0].clone(), addresses.join(",")] {
        Answer::of(post(&to)).await.expect_problem(503, "unavailable");
    }
    assert_eq!(app.count("SELECT count(*) FROM deliveries WHERE source = 'email'").await, 0);
    Answer::of(post(&addresses[1])).await.expect(200);
    form(&bergen.id).await.expect(200);
}

/// Sends these bytes, and returns the status of the answer.
async fn status_of(app: &TestApp, request: String) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = app.url.strip_prefix("http://").expect("a URL");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer.split(' ').nth(1).expect("a status").to_owned()
}

//! What somebody who is not known may cost: before a body is read it is told what cannot come to anything, and whoever sends too much.

use std::time::Duration;

use common::config::ApiConfig;
use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use reqwest::{Method, StatusCode, header};
use serde_json::json;
use sqlx::raw_sql;
use tests::{answer::Answer, app::TestApp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// What they send has the form of what is signed.
const META: (&str, &str) =
    ("x-hub-signature-256", "sha256=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
const TWILIO: (&str, &str) = ("x-twilio-signature", "L/OH5YylLD5NRKLltdqwSvS0BnU=");

/// The status that is answered to the head of a request whose body of a megabyte never comes.
async fn told_before_the_body(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> u16 {
    let address = app.url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n", 1024 * 1024);
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut status = [0; 12];
    // Sooner than any body would be too slow.
    timeout(Duration::from_secs(5), stream.read_exact(&mut status)).await.expect("it is told").expect("an answer");
    str::from_utf8(&status).ok().and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("a status")
}

fn few(config: &mut ApiConfig) {
    config.clients.anonymous_burst = 10;
}

#[tokio::test]
async fn what_comes_to_nothing_is_told_before_its_body() {
    let app = TestApp::start().await;
    for (path, headers, status) in [
        ("/webhooks/form/nobodys", &[][..], 404),
        ("/webhooks/form/%00", &[], 404),
        ("/webhooks/form/nobodys", &[("accept", "text/html")], 404),
        ("/webhooks/adf/nobodys", &[], 404),
        ("/webhooks/facebook", &[], 401),
        ("/webhooks/facebook", &[("x-hub-signature-256", "sha256=0")], 401),
        ("/webhooks/nobody/events", &[], 404),
        ("/webhooks/sendgrid/events", &[], 503),
        ("/webhooks/twilio/sms", &[], 401),
        ("/webhooks/twilio/sms", &[("x-twilio-signature", "AAAA")], 401),
        ("/webhooks/email/nobody", &[], 404),
        ("/webhooks/email/raw", &[], 401),
        ("/webhooks/email/postmark", &[("authorization", "Basic eDp5")], 401),
    ] {
        assert_eq!(told_before_the_body(&app, path, headers).await, status, "{path} {headers:?}");
    }
}

#[tokio::test]
async fn whoever_is_refused_too_often_need_not_send_a_long_body() {
    let app = TestApp::start_with(few).await;
    let refused = (0..50).map(|_| Answer::of(app.request(Method::POST, "/webhooks/facebook").body("{}")));
    assert!(join_all(refused).await.iter().any(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(told_before_the_body(&app, "/webhooks/facebook", &[META]).await, 429);
    assert_eq!(told_before_the_body(&app, "/webhooks/twilio/sms", &[TWILIO]).await, 429);
    // It is tried again after that.
    assert_eq!(told_before_the_body(&app, "/webhooks/email/mailgun", &[]).await, 503);
}

#[tokio::test]
async fn a_form_that_cannot_be_read_counts_and_one_too_many_is_told_before_its_body() {
    let app = TestApp::start().await;
    let path = format!("/webhooks/form/{}", app.dealership("Tesla Oslo").await.id);
    let form = || app.request(Method::POST, &path).header(header::CONTENT_TYPE, "application/json");
    let unreadable = join_all((0..130).map(|_| Answer::of(form().body("[]")))).await;
    let count = |status: u16| unreadable.iter().filter(|answer| answer.status.as_u16() == status).count();
    assert!(count(400) >= 100 && count(429) >= 10 && count(400) + count(429) == 130, "{} {}", count(400), count(429));
    assert_eq!(told_before_the_body(&app, &path, &[]).await, 429);
    assert_eq!(told_before_the_body(&app, &path, &[("accept", "text/html")]).await, 429);
    let limited = Answer::of(form().body(json!({ "phone": "91234567" }).to_string())).await;
    assert_eq!(limited.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    limited.expect_problem(429, "too-many-requests");
    // Somebody who looks at the page loses nothing that they have typed.
    let plain = app.request(Method::POST, &path).header(header::ACCEPT, "text/html");
    let plain =
        plain.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body("name=K%C3%A5re&phone=91234567");
    let page = plain.send().await.expect("an answer");
    assert_eq!(page.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(page.text().await.expect("a page").contains("value=\"Kåre\""));
    assert_eq!(app.count("SELECT count(*) FROM deliveries").await, 0);
}

#[tokio::test]
async fn a_forged_text_message_does_not_ask_the_database_without_end() {
    const SENT: usize = 60;
    let app = TestApp::start_with(few).await;
    let mut lock = app.connect().await;
    raw_sql("BEGIN; LOCK TABLE sending_accounts").execute(&mut lock).await.expect("nobody holds it");
    let sms = || {
        let form = "AccountSid=AC7&To=%2B4759440000&From=%2B4791234567&MessageSid=SM7&Body=Hei";
        Answer::of(app.request(Method::POST, "/webhooks/twilio/sms").header(TWILIO.0, TWILIO.1).body(form))
    };
    let mut asked: FuturesUnordered<_> = (0..SENT).map(|_| sms()).collect();
    for _ in 0..SENT - 20 {
        let answer = timeout(ANSWER_TIMEOUT, asked.next()).await.expect("nothing hangs").expect("one remains");
        answer.expect_problem(429, "too-many-requests");
    }
    raw_sql("ROLLBACK").execute(&mut lock).await.expect("the lock is ours");
    while let Some(answer) = timeout(ANSWER_TIMEOUT, asked.next()).await.expect("nothing hangs") {
        assert!([429, 503].contains(&answer.status.as_u16()), "{}", answer.status);
    }
    assert_eq!(app.count("SELECT count(*) FROM deliveries").await, 0);
}

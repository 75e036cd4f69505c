//! Mails as long as providers let them be, many at once: they are stored one after the other, in little memory.

use std::{pin::pin, time::Duration};

use axum::body::Bytes;
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::{
    answer::Answer,
    app::{INBOUND_DOMAIN, MAIL_SECRET, TestApp},
    processes::{Signal, command, ended, resident_memory, signal, start_api_as},
};
use tokio::time::{Instant, sleep};

/// Each comes in both of these ways.
const MAILS: usize = 6;
const LENGTH: usize = 30 * 1024 * 1024;
/// In MiB more than before: while they are stored, and a moment after.
const MOST: usize = 110;
const AFTER: usize = 25;
const MOMENT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn long_mails_take_memory_within_bounds_and_give_it_back() {
    let mut app = TestApp::start().await;
    let kari = app.dealership("Fjordbil").await.admin();
    let source = kari.request(Method::POST, "/api/v1/lead-sources").json(&json!({ "kind": "email", "name": "Salg" }));
    let to = format!("{}@{INBOUND_DOMAIN}", Answer::of(source).await.expect(201)["key"].as_str().expect("a key"));
    let mut api = command("api", &app.database_url);
    api.env("INBOUND_DOMAIN", INBOUND_DOMAIN)
        .env("INBOUND_MAIL_SECRETS", MAIL_SECRET)
        .env("INBOUND_QUOTA_MIB", "10000");
    let (mut api, url) = start_api_as(api, &app.clerk).await;
    app.url = url;
    let [text, file] = ["text/plain", "image/jpeg\r\nContent-Transfer-Encoding: base64"].map(long);
    let send = async |number: usize| {
        let head = format!("From: kunde@kunde.example\r\nMessage-ID: <{number}@kunde.example>\r\n");
        let mail = Bytes::from([head.as_bytes(), if number.is_multiple_of(2) { &text } else { &file }].concat());
        let request = || {
            let request = app.request(Method::POST, "/webhooks/email/raw").bearer_auth(MAIL_SECRET);
            request.header("content-type", "message/rfc822").header("x-envelope-to", &to).body(mail.clone())
        };
        // As mail servers do when they are told that there is too much to do.
        while Answer::of(request()).await.status != StatusCode::OK {
            sleep(Duration::from_millis(200)).await;
        }
    };
    let before = resident_memory(&api);
    let mut most = before;
    let mut sending = pin!(join_all((0..2 * MAILS).map(send)));
    loop {
        tokio::select! {
            _ = &mut sending => break,
            () = sleep(Duration::from_millis(5)) => most = most.max(resident_memory(&api)),
        }
    }
    let over = Instant::now();
    while resident_memory(&api) > before + AFTER && over.elapsed() < MOMENT {
        sleep(Duration::from_millis(50)).await;
    }
    let after = resident_memory(&api);
    println!("{before} MiB before {} mails of 30 MiB, at most {most} MiB with them, {after} MiB after", 2 * MAILS);
    let stored = "SELECT count(*) FROM deliveries WHERE source = 'email' AND length(body) > 30 * 1024 * 1024";
    assert_eq!(app.count(stored).await, i64::try_from(2 * MAILS).expect("few"));
    signal(&api, Signal::TERM);
    assert_eq!(ended(&mut api).await.code(), Some(0));
    assert!(most <= before + MOST && after <= before + AFTER, "{before} MiB, {most} MiB, then {after} MiB");
}

/// The rest of a mail with a long part of this type.
fn long(content_type: &str) -> Vec<u8> {
    let head = format!(
        "To: salg@fjordbil.example\r\nSubject: Bil\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHei! Er bilen til salgs?\r\n\
         --b\r\nContent-Type: {content_type}\r\n\r\n"
    );
    let line = [&[b'a'; 76], b"\r\n".as_slice()].concat();
    [head.as_bytes(), &line.repeat(LENGTH / line.len()), b"\r\n--b--\r\n"].concat()
}

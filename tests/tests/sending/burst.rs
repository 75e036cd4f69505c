//! A thousand leads at once, and one worker: `cargo test burst -- --ignored --nocapture --test-threads=1`.

use std::time::Duration;

use dev::assistant::Fault;
use futures::{StreamExt, stream};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::{
    answer::Answer,
    app::{INBOUND_DOMAIN, MAIL_SECRET, Person, TestApp},
    assistant::{answering_through, assistant},
    clerk_events,
    drain::Worker,
    mailbox::{mailbox, sending_through},
};
use tokio::time::{Instant, sleep};

const LEADS: usize = 1_000;
/// Mails under way at a time.
const AT_ONCE: usize = 16;
/// How long an assistant takes.
const LATENCY: Duration = Duration::from_secs(3);
/// Then the test has failed anyway.
const TIMEOUT: Duration = Duration::from_mins(3);

/// How long customers waited, in seconds, from when the lead came in until its answer was sent.
#[derive(Debug, sqlx::FromRow)]
struct Waited {
    answered: i64,
    within_75: i64,
    within_90: i64,
    p50: f64,
    p99: f64,
    max: f64,
}

#[tokio::test]
#[ignore = "takes minutes: cargo test burst -- --ignored --nocapture --test-threads=1"]
async fn a_burst_is_answered_in_time() {
    let waited = burst(None).await;
    assert!(waited.within_90 >= 990, "{waited:?}");
}

#[tokio::test]
#[ignore = "takes minutes: cargo test burst -- --ignored --nocapture --test-threads=1"]
async fn a_burst_is_answered_in_time_without_an_assistant() {
    let waited = burst(Some(Fault::Down)).await;
    assert_eq!(waited.within_75, 1_000, "{waited:?}");
}

async fn burst(fault: Option<Fault>) -> Waited {
    let app = TestApp::start().await;
    let (mailbox, assistant) = (mailbox(&app).await, assistant(LATENCY).await);
    if let Some(fault) = fault {
        assistant.set_fault(fault.until_told_otherwise());
    }
    let mut settings = sending_through(&mailbox);
    settings.extend(answering_through(&assistant));
    let fjordbil = app.dealership("Fjordbil").await;
    let kari = fjordbil.admin();
    let caps = json!({ "daily_cap": 10_000, "daily_tokens_cap": 1_000_000_000 });
    Answer::of(kari.request(Method::PATCH, "/api/v1/dealership/answers").json(&caps)).await.expect(200);
    let worker = Worker::start(&app, &settings);
    let mut idle = Vec::new();
    for number in 0..5 {
        idle.push(provision(&app, number).await);
    }
    let began = Instant::now();
    write(&app, &kari).await;
    println!("{LEADS} mails were taken within {:.1?}", began.elapsed());
    let mut meanwhile = Vec::new();
    while app.count("SELECT count(*) FROM outbox WHERE automatic AND sent_at IS NOT NULL").await < 1_000 {
        assert!(began.elapsed() < TIMEOUT, "some leads are not answered: {:?}", waited(&app).await);
        meanwhile.push(provision(&app, 5 + meanwhile.len()).await);
        sleep(Duration::from_millis(500)).await;
    }
    println!("the last answer was sent after {:.1?}; {} asked at once", began.elapsed(), assistant.most_at_once());
    println!("Clerk's webhooks took {}; otherwise {}", told(meanwhile), told(idle));
    worker.stop().await;
    let by = "SELECT count(*) FROM answers WHERE author = 'assistant'";
    let waited = waited(&app).await;
    let Waited { answered, p50, p99, max, .. } = &waited;
    let by = app.count(by).await;
    println!("{answered} answered, {by} by the assistant: p50 {p50:.1} s, p99 {p99:.1} s, max {max:.1} s");
    let messages = mailbox.messages();
    let to_customers = messages.iter().filter(|message| message.to[0].ends_with("@kunde.example")).count();
    assert_eq!(to_customers, LEADS, "each has one answer");
    waited
}

/// As many customers each write a mail.
async fn write(app: &TestApp, kari: &Person<'_>) {
    let source = kari.request(Method::POST, "/api/v1/lead-sources").json(&json!({ "kind": "email", "name": "Salg" }));
    let source = Answer::of(source).await.expect(201);
    let to = &format!("{}@{INBOUND_DOMAIN}", source["key"].as_str().expect("a key"));
    let written = stream::iter(0..LEADS).for_each_concurrent(AT_ONCE, async |number| {
        let mail = format!(
            "From: Kunde <kunde{number}@kunde.example>\r\nTo: salg@fjordbil.example\r\nSubject: Bil\r\n\
             Message-ID: <{number}@kunde.example>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
             Hei! Har dere noen elbiler til salgs nå? Jeg ser etter noe til familien.\r\n"
        );
        let request = || {
            let request = app.request(Method::POST, "/webhooks/email/raw").bearer_auth(MAIL_SECRET);
            request.header("content-type", "message/rfc822").header("x-envelope-to", to).body(mail.clone())
        };
        // As mail servers do when they are told that there is too much to do.
        while Answer::of(request()).await.status != StatusCode::OK {
            sleep(Duration::from_millis(200)).await;
        }
    });
    written.await;
}

/// How long it takes from when Clerk tells of an organization until it is there.
async fn provision(app: &TestApp, number: usize) -> Duration {
    let began = Instant::now();
    let before = app.count("SELECT count(*) FROM dealerships").await;
    let id = format!("org_burst{number}");
    let event = clerk_events::organization("organization.created", &id, "Bil Vest", 1_700_000_000_000);
    while !app.deliver(&format!("msg_{number}"), &event).await.status.is_success() {
        sleep(Duration::from_millis(200)).await;
    }
    while app.count("SELECT count(*) FROM dealerships").await == before {
        assert!(began.elapsed() < TIMEOUT, "a dealership is not there");
        sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

fn told(mut took: Vec<Duration>) -> String {
    took.sort();
    let middle = took.get(took.len() / 2).copied().unwrap_or_default();
    format!("{middle:.1?} (p50) and {:.1?} (max of {})", took.last().copied().unwrap_or_default(), took.len())
}

async fn waited(app: &TestApp) -> Waited {
    sqlx::query_as(
        "WITH waits AS (
           SELECT extract(epoch FROM o.sent_at - l.created_at)::float8 AS seconds
           FROM outbox o JOIN leads l ON l.id = o.lead_id WHERE o.automatic AND o.sent_at IS NOT NULL)
         SELECT count(*) AS answered, count(*) FILTER (WHERE seconds <= 75) AS within_75,
                count(*) FILTER (WHERE seconds <= 90) AS within_90,
                coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), 0) AS p50,
                coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds), 0) AS p99, coalesce(max(seconds), 0) AS max
         FROM waits",
    )
    .fetch_one(&mut app.connect().await)
    .await
    .expect("a valid statement")
}

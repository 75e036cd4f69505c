//! A thousand leads at once, and one worker: `cargo test --release burst -- --ignored --nocapture --test-threads=1`.

use std::time::Duration;

use dev::stand_ins::assistant::Fault;
use futures::{StreamExt, stream};
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::PgConnection;
use tests::{
    answer::Answer,
    app::{INBOUND_DOMAIN, MAIL_SECRET, Person, SECRETS_KEYS, TestApp},
    assistant::{answering_through, assistant},
    clerk_events,
    mailbox::{mailbox, sending_through},
    processes::{Signal, command, ended, signal, start_api_as, start_worker_as},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

const LEADS: usize = 1_000;
/// Mails under way at a time.
const AT_ONCE: usize = 16;
/// How long an assistant takes.
const LATENCY: Duration = Duration::from_secs(3);
/// Then the test has failed anyway.
const TIMEOUT: Duration = Duration::from_mins(3);
/// Organizations that Clerk tells of while nothing else goes on, and the first ones that do not count: they meet connections that
/// are not open yet.
const IDLE: usize = 420;
const WARM_UP: usize = 20;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(50);
/// Nobody who has just signed up looks again before this.
const SOON: Duration = Duration::from_millis(500);

/// How long customers waited, and Clerk's webhooks meanwhile and otherwise.
struct Observed {
    waited: Waited,
    meanwhile: Vec<Duration>,
    idle: Vec<Duration>,
}

/// In seconds, from when a mail came in until its answer was sent.
#[derive(Debug, sqlx::FromRow)]
struct Waited {
    answered: i64,
    within_75: i64,
    within_90: i64,
    p50: f64,
    p99: f64,
    max: f64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo test --release burst -- --ignored --nocapture --test-threads=1"]
async fn a_burst_is_answered_in_time_and_keeps_nobody_waiting() {
    let Observed { waited, meanwhile, idle } = burst(None).await;
    assert!(waited.within_90 >= 990, "{waited:?}");
    // Without optimisations, the API is busy for long enough with taking the mails alone.
    let limit = if cfg!(debug_assertions) { SOON } else { 2 * p99_of(&idle) };
    assert!(p99_of(&meanwhile) <= limit, "Clerk's webhooks take {}; {limit:.1?} is the limit", told(&meanwhile));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo test --release burst -- --ignored --nocapture --test-threads=1"]
async fn a_burst_is_answered_in_time_without_an_assistant() {
    let waited = burst(Some(Fault::Down)).await.waited;
    assert_eq!(waited.within_75, 1_000, "{waited:?}");
}

async fn burst(fault: Option<Fault>) -> Observed {
    let mut app = TestApp::start().await;
    let (mailbox, assistant) = (mailbox(&app).await, assistant(LATENCY).await);
    if let Some(fault) = fault {
        assistant.set_fault(fault.until_told_otherwise());
    }
    // Processes of their own, as they are deployed: none of them waits for this one.
    let shared = [("SECRETS_KEYS", SECRETS_KEYS), ("INBOUND_DOMAIN", INBOUND_DOMAIN)];
    let mut api = command("api", &app.database_url);
    api.envs(shared).env("INBOUND_MAIL_SECRETS", MAIL_SECRET);
    let (mut api, url) = start_api_as(api, &app.clerk).await;
    app.url = url;
    let mut worker = command("worker", &app.database_url);
    worker.envs(shared).envs(sending_through(&mailbox)).envs(answering_through(&assistant));
    let mut worker = start_worker_as(worker);
    let fjordbil = app.dealership("Fjordbil").await;
    let kari = fjordbil.admin();
    let caps = json!({ "daily_cap": 10_000, "daily_tokens_cap": 1_000_000_000 });
    Answer::of(kari.request(Method::PATCH, "/api/v1/dealership/answers").json(&caps)).await.expect(200);

    let (over, is_over) = watch::channel(false);
    let idle = organizations(&app, 0, |number| number == IDLE).await.split_off(WARM_UP);
    let began = Instant::now();
    let answered = async {
        write(&app, &kari).await;
        println!("{LEADS} mails were taken within {:.1?}", began.elapsed());
        all_answered(&app, began).await;
        over.send_replace(true);
    };
    let ((), meanwhile) = tokio::join!(answered, organizations(&app, IDLE, |_| *is_over.borrow()));
    println!("the last answer was sent after {:.1?}; {} asked at once", began.elapsed(), assistant.most_at_once());
    println!("Clerk's webhooks took {}; otherwise {}", told(&meanwhile), told(&idle));
    parts(&app).await;
    for process in [&mut worker, &mut api] {
        signal(process, Signal::TERM);
        assert_eq!(ended(process).await.code(), Some(0));
    }
    let messages = mailbox.messages();
    let to_customers = messages.iter().filter(|message| message.to[0].ends_with("@kunde.example")).count();
    assert_eq!(to_customers, LEADS, "each has one answer");
    Observed { waited: waited(&app).await, meanwhile, idle }
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

async fn all_answered(app: &TestApp, began: Instant) {
    while app.count("SELECT count(*) FROM outbox WHERE automatic AND sent_at IS NOT NULL").await < 1_000 {
        assert!(began.elapsed() < TIMEOUT, "some leads are not answered: {:?}", waited(app).await);
        sleep(Duration::from_millis(500)).await;
    }
}

/// One organization after the other, of which Clerk tells: how long each took until it was there.
async fn organizations(app: &TestApp, first: usize, mut is_enough: impl FnMut(usize) -> bool) -> Vec<Duration> {
    let mut connection = app.connect().await;
    let mut took = Vec::new();
    while !is_enough(first + took.len()) {
        took.push(provision(app, &mut connection, first + took.len()).await);
        sleep(PAUSE).await;
    }
    took
}

/// How long it takes from when Clerk tells of an organization, in a webhook that is accepted, until it is there.
async fn provision(app: &TestApp, connection: &mut PgConnection, number: usize) -> Duration {
    let id = format!("org_burst{number}");
    let event = clerk_events::organization("organization.created", &id, "Bil Vest", 1_700_000_000_000);
    let mut began = Instant::now();
    while !app.deliver(&format!("msg_{number}"), &event).await.status.is_success() {
        sleep(Duration::from_millis(200)).await;
        began = Instant::now();
    }
    let there = "SELECT EXISTS (SELECT FROM dealerships WHERE clerk_org_id = $1)";
    while !sqlx::query_scalar::<_, bool>(there).bind(&id).fetch_one(&mut *connection).await.expect("a valid statement")
    {
        assert!(began.elapsed() < TIMEOUT, "a dealership is not there");
        sleep(Duration::from_millis(2)).await;
    }
    began.elapsed()
}

/// Prints, in milliseconds, how long Clerk's jobs took until they began, and from there.
async fn parts(app: &TestApp) {
    let parts: Vec<(bool, f64, f64, f64, f64)> = sqlx::query_as(
        "WITH parts AS (
           SELECT CASE WHEN d.source = 'clerk' THEN substring(d.external_id FROM 5)::int END AS number,
                  extract(epoch FROM d.processed_at - d.received_at)::float8 * 1e3 AS begun,
                  extract(epoch FROM j.finished_at - d.processed_at)::float8 * 1e3 AS done
           FROM jobs j JOIN deliveries d ON d.id = (j.payload ->> 'delivery_id')::bigint
           WHERE j.kind = 'clerk.process_event')
         SELECT number >= $1,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY begun), percentile_cont(0.99) WITHIN GROUP (ORDER BY begun),
                percentile_cont(0.5) WITHIN GROUP (ORDER BY done), percentile_cont(0.99) WITHIN GROUP (ORDER BY done)
         FROM parts WHERE number >= $2 GROUP BY 1 ORDER BY 1",
    )
    .bind(i32::try_from(IDLE).expect("few"))
    .bind(i32::try_from(WARM_UP).expect("few"))
    .fetch_all(&mut app.connect().await)
    .await
    .expect("a valid statement");
    for (meanwhile, begun, begun_p99, done, done_p99) in parts {
        let when = if meanwhile { "meanwhile" } else { "otherwise" };
        println!(
            "{when} (p50, p99): begun after {begun:.1}, {begun_p99:.1} ms, done {done:.1}, {done_p99:.1} ms later"
        );
    }
}

fn p99_of(took: &[Duration]) -> Duration {
    percentile(took, 99)
}

fn percentile(took: &[Duration], percent: usize) -> Duration {
    let mut took = took.to_vec();
    took.sort_unstable();
    took.get((took.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

fn told(took: &[Duration]) -> String {
    let [p50, p99, max] = [50, 99, 100].map(|percent| percentile(took, percent));
    format!("{p50:.1?} (p50), {p99:.1?} (p99) and {max:.1?} (max of {})", took.len())
}

/// Also prints it.
async fn waited(app: &TestApp) -> Waited {
    let waited: Waited = sqlx::query_as(
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
    .expect("a valid statement");
    let by = app.count("SELECT count(*) FROM answers WHERE author = 'assistant'").await;
    let Waited { answered, p50, p99, max, .. } = &waited;
    println!("{answered} answered, {by} by the assistant: p50 {p50:.1} s, p99 {p99:.1} s, max {max:.1} s");
    waited
}

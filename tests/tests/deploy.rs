//! How a process of the API ends, and that a rolling restart loses nothing.

use std::{
    process::ExitStatus,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::clock::Clock;
use dev::stand_ins::clerk::signed_headers;
use http_body_util::Full;
use hyper::{Request, body::Bytes, http::request::Builder};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::raw_sql;
use tests::{
    answer::Answer,
    app::{Person, TestApp, WEBHOOK_SECRET},
    balancer::Balancer,
    clerk_events::user,
    jobs::JobTable,
    processes::{Signal, command, signal, start_api_as},
};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    process::Child,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

const STEP_TIMEOUT: Duration = Duration::from_secs(30);

async fn start(app: &TestApp, drain: &str, shutdown: &str) -> (Child, String) {
    let mut command = command("api", &app.database_url);
    command.env("DRAIN_SECONDS", drain).env("SHUTDOWN_SECONDS", shutdown);
    start_api_as(command, &app.clerk).await
}

async fn end(mut process: Child) -> ExitStatus {
    timeout(STEP_TIMEOUT, process.wait()).await.expect("it ends").expect("it is our own child")
}

/// Waits until a statement of the API waits for a lock.
async fn wait_for_lock(app: &TestApp) {
    let waits = "SELECT $1 <= (SELECT count(*) FROM pg_stat_activity
                               WHERE datname = current_database() AND wait_event_type = 'Lock')";
    JobTable::at(&app.database_url).await.wait_until(waits, 1).await;
}

fn me(url: &str, token: &str) -> reqwest::RequestBuilder {
    Client::new().get(format!("{url}/api/v1/leads")).bearer_auth(token)
}

#[tokio::test]
async fn a_process_that_stops_is_not_ready_at_once_and_serves_on_for_a_while() {
    let app = TestApp::start().await;
    let (process, url) = start(&app, "2", "20").await;
    let address = url.strip_prefix("http://").expect("an address");
    let client = Client::new();
    let get = async |path: &str| Answer::of(client.get(format!("{url}{path}"))).await;
    get("/health/ready").await.expect(200);
    let mut idle = TcpStream::connect(address).await.expect("it listens");

    signal(&process, Signal::TERM);
    let draining = Instant::now();
    loop {
        let answer = get("/health/ready").await;
        if answer.status != 200 {
            answer.expect_problem(503, "not-ready");
            break;
        }
        assert!(draining.elapsed() < Duration::from_millis(500), "readiness fails at once");
    }
    let answer = get("/").await;
    assert_eq!(answer.headers["connection"], "close", "no connection is kept");
    answer.expect(200);
    assert!(draining.elapsed() < Duration::from_secs(2), "the machine is too slow for this test");

    // Nobody closed it while somebody might have used it; now it is.
    assert_eq!(timeout(STEP_TIMEOUT, idle.read(&mut [0; 1])).await.expect("it is closed").expect("cleanly"), 0);
    assert!(draining.elapsed() >= Duration::from_millis(1900), "it served for as long as it should");
    assert!(end(process).await.success());
    TcpStream::connect(address).await.expect_err("nobody listens");
}

#[tokio::test]
async fn running_requests_finish_within_the_time_allowed() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let mut lock = app.connect().await;
    for (shutdown, in_time) in [("20", true), ("1", false)] {
        let (process, url) = start(&app, "0", shutdown).await;
        raw_sql("BEGIN; LOCK TABLE leads").execute(&mut lock).await.expect("nobody holds it");
        let running = tokio::spawn(me(&url, &kari.token()).send());
        wait_for_lock(&app).await;
        signal(&process, Signal::TERM);
        let address = url.strip_prefix("http://").expect("an address");
        let closed = async { while TcpStream::connect(address).await.is_ok() {} };
        timeout(STEP_TIMEOUT, closed).await.expect("it takes no more");
        if in_time {
            raw_sql("ROLLBACK").execute(&mut lock).await.expect("the lock is ours");
            let answer = running.await.expect("no panic").expect("an answer");
            assert_eq!((answer.status().as_u16(), answer.headers()["connection"].as_bytes()), (200, &b"close"[..]));
            assert_eq!(end(process).await.code(), Some(0));
        } else {
            assert_eq!(end(process).await.code(), Some(1), "somebody was cut off");
            running.await.expect("no panic").expect_err("it was cut off");
            raw_sql("ROLLBACK").execute(&mut lock).await.expect("the lock is ours");
        }
    }
}

#[tokio::test]
async fn a_second_signal_aborts() {
    let app = TestApp::start().await;
    let (process, url) = start(&app, "20", "60").await;
    signal(&process, Signal::TERM);
    let not_ready = async { while Answer::of(Client::new().get(format!("{url}/health/ready"))).await.status == 200 {} };
    timeout(STEP_TIMEOUT, not_ready).await.expect("the first signal has come");
    signal(&process, Signal::INT);
    assert_eq!(end(process).await.code(), Some(130));
}

/// What users do all the time, each request once.
struct Load {
    clients: JoinSet<Vec<String>>,
    stop: Arc<AtomicBool>,
    /// Pages read, leads created, webhooks accepted.
    done: Arc<[AtomicUsize; 3]>,
}

impl Load {
    fn start(balancer: &Arc<Balancer>, tokens: &[String]) -> Self {
        let mut load = Self { clients: JoinSet::new(), stop: Arc::default(), done: Arc::default() };
        for (client, token) in tokens.iter().enumerate() {
            let (stop, done) = (Arc::clone(&load.stop), Arc::clone(&load.done));
            let (balancer, token) = (Arc::clone(balancer), token.clone());
            load.clients.spawn(async move {
                let mut lost = Vec::new();
                for n in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let (request, wanted) = match n % 3 {
                        0 => (list(&token), 200),
                        1 => (create(&token), 201),
                        _ => (webhook(client, n), 202),
                    };
                    match balancer.send(request).await {
                        Ok((status, _)) if status == wanted => _ = done[n % 3].fetch_add(1, Ordering::Relaxed),
                        Ok((status, body)) => lost.push(format!("{status} {}", String::from_utf8_lossy(&body))),
                        Err(error) => lost.push(error.to_string()),
                    }
                }
                lost
            });
        }
        load
    }

    fn done(&self) -> [usize; 3] {
        self.done.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// Waits until so many more leads were created.
    async fn go_on_for(&self, more: usize) {
        let wanted = self.done()[1] + more;
        let enough = async {
            while self.done()[1] < wanted {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(STEP_TIMEOUT, enough).await.expect("requests are served");
    }
}

fn bearer(request: Builder, token: &str) -> Builder {
    request.header("authorization", format!("Bearer {token}"))
}

fn list(token: &str) -> Request<Full<Bytes>> {
    bearer(Request::get("/api/v1/leads?limit=5"), token).body(Full::default()).expect("a valid request")
}

fn create(token: &str) -> Request<Full<Bytes>> {
    let lead = json!({ "customer_name": "Ola Nordmann", "customer_email": "ola@example.no" }).to_string();
    let request = bearer(Request::post("/api/v1/leads"), token).header("content-type", "application/json");
    request.body(Full::from(lead)).expect("a valid request")
}

fn webhook(client: usize, n: usize) -> Request<Full<Bytes>> {
    let body: Value = user("user.updated", &format!("user_{client}"), "Kari", None, false, 1_000);
    let (body, now) = (body.to_string(), Clock::system().now());
    let headers = signed_headers(WEBHOOK_SECRET, &format!("msg_{client}_{n}"), now, body.as_bytes()).expect("valid");
    let request = headers.into_iter().fold(Request::post("/webhooks/clerk"), |r, (name, value)| r.header(name, value));
    request.body(Full::from(body)).expect("a valid request")
}

#[tokio::test]
async fn a_rolling_restart_under_load_loses_no_request() {
    const CLIENTS: usize = 8;
    let app = TestApp::start().await;
    let kari: Person<'_> = app.dealership("Tesla Oslo").await.admin();
    let expiry = Clock::system().now() + chrono::TimeDelta::minutes(10);
    let tokens: Vec<_> =
        (0..CLIENTS).map(|_| kari.session().claim("exp", json!(expiry.timestamp())).mint(&app.clerk.key())).collect();

    let balancer = Arc::new(Balancer::default());
    let mut serving = Vec::new();
    for _ in 0..2 {
        let (process, url) = start(&app, "2", "20").await;
        balancer.add(&url).await;
        serving.push(process);
    }
    let load = Load::start(&balancer, &tokens);
    load.go_on_for(50).await;
    // Twice each, one after the other.
    for _ in 0..4 {
        let (process, url) = start(&app, "2", "20").await;
        balancer.add(&url).await;
        serving.push(process);
        let old = serving.remove(0);
        signal(&old, Signal::TERM);
        assert!(end(old).await.success(), "it ended cleanly");
        load.go_on_for(50).await;
    }
    load.stop.store(true, Ordering::Relaxed);
    let done = Arc::clone(&load.done);
    let lost: Vec<_> = load.clients.join_all().await.into_iter().flatten().collect();
    assert!(lost.is_empty(), "{} lost, such as {:?}", lost.len(), &lost[..lost.len().min(5)]);
    let [pages, leads, webhooks] = done.each_ref().map(|count| count.load(Ordering::Relaxed));
    println!("{pages} pages, {leads} leads and {webhooks} webhooks during 4 restarts, and nothing lost");
    for (sql, wanted) in [
        ("SELECT count(*) FROM leads", leads),
        ("SELECT count(*) FROM deliveries", webhooks),
        ("SELECT count(*) FROM jobs WHERE kind = 'clerk.process_event'", webhooks),
    ] {
        assert_eq!(app.count(sql).await, i64::try_from(wanted).expect("few"), "{sql}");
    }
}

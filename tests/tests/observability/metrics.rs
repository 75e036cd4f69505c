use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use reqwest::{Client, Method};
use serde_json::json;
use sqlx::raw_sql;
use tests::{
    cluster::database,
    jobs::JobTable,
    logged_process::LoggedProcess,
    metrics::Metrics,
    processes::{deliver, worker_command},
};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

use super::{Pair, kari_joins, stand_in};

#[tokio::test]
async fn the_api_counts_what_it_answers_and_strangers_cannot_make_it_count_more() {
    let pair = Pair::start(&[]).await;
    let client = Client::new();
    let request = |method: &str, path: &str| {
        client.request(Method::from_bytes(method.as_bytes()).expect("a token"), format!("{}{path}", pair.url))
    };
    for stranger in 0..30 {
        request("GET", &format!("/api/v1/leads/kari-{stranger}@example.no")).send().await.expect("an answer");
        request("GET", &format!("/wp-admin/{stranger}.php?kari=1")).send().await.expect("an answer");
        request(&format!("BREW{stranger}"), "/api/v1/leads").send().await.expect("an answer");
    }
    request("GET", "/api/v1/me").bearer_auth("not.a.token").send().await.expect("an answer");
    let token = pair.clerk.session_token("user_demo_kari", None).expect("she is known").mint(&pair.clerk.key());
    request("GET", "/api/v1/me").bearer_auth(token).send().await.expect("an answer");
    request("POST", "/webhooks/clerk").body("{}").send().await.expect("an answer");
    for delivery in ["msg_1", "msg_1"] {
        deliver(&pair.url, delivery, &kari_joins()).await;
    }
    deliver(&pair.url, "msg_2", &json!({ "type": "user.created", "data": {} }).to_string()).await;
    deliver(&pair.url, "msg_3", &json!({ "type": "sms.created", "data": {} }).to_string()).await;

    let metrics = Metrics::of(&pair.api_admin).await;
    for (series, value) in [
        (r#"http_requests_total{method="GET",route="/api/v1/leads/{id}",status="401"}"#, 30),
        (r#"http_requests_total{method="GET",route="unmatched",status="404"}"#, 30),
        (r#"http_requests_total{method="other",route="/api/v1/leads",status="405"}"#, 30),
        (r#"http_requests_total{method="GET",route="/api/v1/me",status="403"}"#, 1),
        (r#"http_request_duration_seconds_count{method="GET",route="/api/v1/me"}"#, 2),
        ("http_requests_in_flight", 0),
        (r#"token_refusals_total{reason="missing"}"#, 30),
        (r#"token_refusals_total{reason="malformed"}"#, 1),
        (r#"token_refusals_total{reason="signature"}"#, 0),
        (r#"webhooks_total{source="clerk",outcome="accepted"}"#, 1),
        (r#"webhooks_total{source="clerk",outcome="duplicate"}"#, 1),
        (r#"webhooks_total{source="clerk",outcome="dead"}"#, 1),
        (r#"webhooks_total{source="clerk",outcome="ignored"}"#, 1),
        (r#"webhooks_total{source="clerk",outcome="rejected"}"#, 1),
        ("database_connections_limit", 8),
        ("database_timeouts_total", 0),
    ] {
        assert!(metrics.has(&format!("norvalt_{series}"), value), "{series} is not {value}\n{}", metrics.0);
    }
    assert!(metrics.value(r#"norvalt_database_connections{state="idle"}"#) > 0.0, "{}", metrics.0);
    assert!(metrics.value("norvalt_process_resident_memory_bytes") > 1e6, "{}", metrics.0);
    assert!(metrics.value("norvalt_process_start_time_seconds") > 1.7e9, "{}", metrics.0);
    let build = format!("norvalt_build_info{{version=\"{}\"}}", common::VERSION);
    assert!(metrics.value(&build) > 0.0, "{}", metrics.0);
    assert!(metrics.count("norvalt_http_requests_total") < 10, "{}", metrics.0);
    assert!(!metrics.0.contains("kari") && !metrics.0.contains("BREW"), "{}", metrics.0);
}

#[tokio::test]
async fn a_client_that_goes_away_is_counted_too() {
    let pair = Pair::start(&[]).await;
    deliver(&pair.url, "msg_1", &kari_joins()).await.expect(202);
    JobTable::at(&pair.database.url).await.wait_for_count("clerk.process_event", "done", 1).await;
    let mut lock = pair.database.connect().await;
    raw_sql("BEGIN; LOCK TABLE users").execute(&mut lock).await.expect("nobody holds it");
    let token = pair.clerk.session_token("user_demo_kari", None).expect("she is known").mint(&pair.clerk.key());
    let request = Client::new().get(format!("{}/api/v1/me", pair.url)).bearer_auth(token).send();
    let request = tokio::spawn(request);
    until(&pair.api_admin, "norvalt_http_requests_in_flight", 1).await;
    request.abort();
    until(&pair.api_admin, r#"norvalt_http_requests_total{method="GET",route="/api/v1/me",status="499"}"#, 1).await;
    until(&pair.api_admin, "norvalt_http_requests_in_flight", 0).await;
}

#[tokio::test]
async fn the_worker_counts_what_it_does_and_measures_the_queue() {
    let pair = Pair::start(&[]).await;
    let mut jobs = JobTable::at(&pair.database.url).await;
    until_status(&pair.worker_admin, "/health/ready", 200).await;
    let before = Metrics::of(&pair.worker_admin).await;
    let oldest = r#"norvalt_queue_oldest_job_seconds{queue="default",kind="clerk.process_event"}"#;
    assert_eq!(before.count(oldest), 1, "an empty queue has an age too\n{}", before.0);
    let dead = r#"norvalt_job_attempts_total{kind="clerk.process_event",outcome="dead"}"#;
    assert_eq!(before.count(dead), 1, "{}", before.0);

    deliver(&pair.url, "msg_1", &kari_joins()).await.expect(202);
    deliver(&pair.url, "msg_2", &json!({ "type": "user.created", "data": {} }).to_string()).await.expect(200);
    jobs.wait_for_count("clerk.process_event", "done", 1).await;
    jobs.insert("clerk.process_event", 1, r#"{"delivery_id": "kari@example.no"}"#).await;
    jobs.insert("of.the_next_release", 1, "{}").await;
    until(&pair.worker_admin, dead, 1).await;
    let deferred = r#"norvalt_job_attempts_total{kind="of.the_next_release",outcome="deferred"}"#;
    until(&pair.worker_admin, deferred, 1).await;
    let queue_of = r#"{queue="default",kind="clerk.process_event",state="dead"}"#;
    until(&pair.worker_admin, &format!("norvalt_queue_jobs{queue_of}"), 1).await;

    let metrics = Metrics::of(&pair.worker_admin).await;
    for (series, value) in [
        (r#"job_attempts_total{kind="clerk.process_event",outcome="done"}"#, 1),
        (r#"job_duration_seconds_count{kind="clerk.process_event"}"#, 2),
        (r#"job_wait_seconds_count{kind="clerk.process_event"}"#, 2),
        (r#"job_slots{queue="default"}"#, 10),
        (r#"deliveries_processed_total{source="clerk",type="organizationMembership.created",outcome="applied"}"#, 1),
        (r#"queue_jobs{queue="default",kind="of.the_next_release",state="scheduled"}"#, 1),
        (r#"deliveries_dead{source="clerk"}"#, 1),
        (r#"deliveries_parked{source="email"}"#, 0),
        ("jobs_reaped_total", 0),
    ] {
        assert!(metrics.has(&format!("norvalt_{series}"), value), "{series} is not {value}\n{}", metrics.0);
    }
    assert!(metrics.value(r#"norvalt_claim_duration_seconds_count{queue="default"}"#) > 0.0, "{}", metrics.0);
    assert!(!metrics.0.contains("kari"), "{}", metrics.0);
}

#[tokio::test]
async fn the_worker_says_whether_it_lives_and_whether_it_works() {
    let database = database().await;
    let mut worker = LoggedProcess::start(worker_command(&database.url));
    let admin = worker.url("admin_address").await;
    let status = async |path: &str| status_of(&admin, path).await;
    until_status(&admin, "/health/ready", 200).await;
    assert_eq!(status("/health").await, 200);

    let mut superuser = database.connect().await;
    let forget = "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    raw_sql("CREATE TABLE kept AS SELECT * FROM _sqlx_migrations").execute(&mut superuser).await.expect("valid");
    raw_sql(forget).execute(&mut superuser).await.expect("valid");
    assert_eq!((status("/health/ready").await, status("/health").await), (503, 200));
    let restore = "INSERT INTO _sqlx_migrations SELECT * FROM kept ON CONFLICT DO NOTHING";
    raw_sql(restore).execute(&mut superuser).await.expect("valid");
    assert_eq!(status("/health/ready").await, 200);

    // It stops only when the job has ended that waits for the lock.
    raw_sql("BEGIN; LOCK TABLE deliveries").execute(&mut superuser).await.expect("nobody holds it");
    let mut jobs = JobTable::at(&database.url).await;
    jobs.insert("clerk.process_event", 1, r#"{"delivery_id": 1}"#).await;
    // Another job may wait for it too: events are pruned every minute.
    let waits = "SELECT $1 <= (SELECT count(*) FROM pg_stat_activity
                               WHERE datname = current_database() AND wait_event_type = 'Lock')";
    jobs.wait_until(waits, 1).await;
    assert!(Metrics::of(&admin).await.value(r#"norvalt_job_slots_in_use{queue="default"}"#) >= 1.0);
    worker.terminate();
    until_status(&admin, "/health/ready", 503).await;
    assert_eq!(status("/health").await, 200);
    raw_sql("ROLLBACK").execute(&mut superuser).await.expect("the lock is ours");
    let (code, said) = worker.ended().await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_by_its_variable() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let database = database().await;
    let clerk = stand_in().await;
    let mut api = tests::processes::api_command(&database.url, &clerk);
    api.env("API_ADMIN_ADDRESS", &address);
    let mut worker = worker_command(&database.url);
    worker.env("WORKER_ADMIN_ADDRESS", &address);
    for (command, variable) in [(api, "API_ADMIN_ADDRESS"), (worker, "WORKER_ADMIN_ADDRESS")] {
        let (code, said) = LoggedProcess::start(command).ended().await;
        assert!(code == Some(1) && said.contains(variable), "{code:?} {said}");
    }
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_metric_exists() {
    let pair = Pair::start(&[]).await;
    let (api, worker) = (Metrics::of(&pair.api_admin).await, Metrics::of(&pair.worker_admin).await);
    // A family is not there before its first value.
    Client::new().get(&pair.url).send().await.expect("an answer");
    deliver(&pair.url, "msg_1", &kari_joins()).await.expect(202);
    JobTable::at(&pair.database.url).await.wait_for_count("clerk.process_event", "done", 1).await;
    until(&pair.worker_admin, r#"norvalt_job_duration_seconds_count{kind="clerk.process_event"}"#, 1).await;
    let later = [Metrics::of(&pair.api_admin).await, Metrics::of(&pair.worker_admin).await];
    let served: BTreeSet<_> = [api, worker].iter().chain(&later).flat_map(Metrics::names).collect();

    let documented = documented_metrics();
    assert_eq!(served, documented);

    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let text = operations_documents();
    for mentioned in text.split(|c| !is_name(c)).filter(|word| word.starts_with("norvalt_")) {
        let name = mentioned.strip_suffix("_bucket").unwrap_or(mentioned);
        let is_role = ["norvalt_tenant", "norvalt_system"].contains(&name);
        assert!(is_role || documented.contains(name), "docs/operations has {mentioned}, which does not exist");
    }
}

/// The names of the metrics that have a row in `docs/operations`.
pub(super) fn documented_metrics() -> BTreeSet<String> {
    let text = operations_documents();
    let cells = text.lines().filter(|line| line.starts_with("| `norvalt_")).filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`')).filter(|word| word.starts_with("norvalt_")).map(str::to_owned).collect()
}

/// All that `docs/operations` says.
fn operations_documents() -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations");
    let entries = fs::read_dir(directory).expect("the directory is part of the repository");
    entries.map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("text")).collect()
}

/// Waits until a series has a value.
async fn until(admin: &str, series: &str, value: u32) {
    let deadline = Instant::now() + SCRAPE_TIMEOUT;
    loop {
        let metrics = Metrics::of(admin).await;
        if metrics.has(series, value) {
            return;
        }
        assert!(Instant::now() < deadline, "{series} is not {value}\n{}", metrics.0);
        sleep(INTERVAL).await;
    }
}

/// Waits until the path is answered with this status.
async fn until_status(admin: &str, path: &str, status: u16) {
    let deadline = Instant::now() + SCRAPE_TIMEOUT;
    while status_of(admin, path).await != status {
        assert!(Instant::now() < deadline, "{path} is not answered with {status}");
        sleep(INTERVAL).await;
    }
}

async fn status_of(admin: &str, path: &str) -> u16 {
    Client::new().get(format!("{admin}{path}")).send().await.expect("an answer").status().as_u16()
}

/// Far longer than anything should take, on a busy machine too.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(20);

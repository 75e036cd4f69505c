//! A standby that does not confirm keeps every COMMIT waiting, and no time limit of the server counts there.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::{
    answer::Answer,
    app::{Dealership, Person, TestApp},
    processes::{Signal, ended, signal, start_worker},
    proxy::Proxy,
};
use tokio::time::{Instant, sleep, timeout};

use super::Pair;

/// A commit has waited for 2 s, somebody looks each second, and one commit is tried.
const NOTICED: Duration = Duration::from_secs(5);
const RECOVERED: Duration = Duration::from_secs(3);
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
const OURS: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'norvalt%'";

async fn until_ready_is(app: &TestApp, status: StatusCode) -> Duration {
    let since = Instant::now();
    while app.get("/health/ready").await.status != status {
        sleep(Duration::from_millis(50)).await;
    }
    since.elapsed()
}

async fn create(person: &Person<'_>) -> Answer {
    let lead = json!({ "customer_name": "Ola", "customer_email": "ola@example.no" });
    Answer::of(person.request(Method::POST, "/api/v1/leads").json(&lead)).await
}

#[tokio::test]
async fn commits_that_hang_are_noticed_while_reads_go_on() {
    let pair = Pair::synchronous().await;
    let app = TestApp::start_on(&pair.primary.url, |_| {}).await;
    let dealerships =
        futures::future::join_all(["Oslo", "Bergen", "Trondheim", "Tromsø"].map(|city| app.dealership(city)));
    let people: Vec<_> = dealerships.await.iter().map(Dealership::admin).collect();
    let kari = &people[0];
    create(kari).await.expect(201);

    let frozen = pair.standby.freeze();
    let stalled = Instant::now();
    // More than there are connections for people: without an end of the waiting, nobody could even read.
    let writing = futures::future::join_all((0..8).map(|n| create(&people[n % people.len()])));
    let noticing = timeout(NOTICED, until_ready_is(&app, StatusCode::SERVICE_UNAVAILABLE));
    let (refused, noticed) = tokio::join!(writing, noticing);
    let noticed = noticed.expect("it is noticed");
    println!("noticed after {noticed:.1?}, and nobody waited for longer than {:.1?}", stalled.elapsed());
    for answer in refused {
        assert_eq!(answer.status, 503, "{}", answer.json);
    }
    assert!(stalled.elapsed() < 2 * NOTICED);
    let problem = app.get("/health/ready").await.expect_problem(503, "not-ready");
    assert!(problem["detail"].as_str().expect("text").contains("Only reads succeed"), "{problem}");
    app.get("/health/ready/reads").await.expect(200);

    // It stays so although nobody waits any more but who tries, and what is asked meanwhile is answered at once.
    let asked = Instant::now();
    for _ in 0..20 {
        kari.get("/api/v1/leads").await.expect(200);
        create(kari).await.expect_problem(503, "unavailable");
        app.get("/health/ready").await.expect_problem(503, "not-ready");
        sleep(Duration::from_millis(100)).await;
    }
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    assert!(app.count(WAITING).await <= 1);

    drop(frozen);
    let recovered = timeout(RECOVERED, until_ready_is(&app, StatusCode::OK)).await.expect("it is ready again");
    println!("ready again after {recovered:.1?}");
    create(kari).await.expect(201);
    assert_eq!(app.count(WAITING).await, 0);
}

#[tokio::test]
async fn nothing_is_acknowledged_again_that_a_standby_may_not_have() {
    let pair = Pair::synchronous().await;
    let app = TestApp::start_on(&pair.primary.url, |_| {}).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let lead = json!({ "customer_name": "Ola", "customer_email": "ola@example.no" });
    let (kari, per) = (oslo.admin(), oslo.member("per", "org:member").await);
    let create = async |person: &Person<'_>| {
        let create = person.request(Method::POST, "/api/v1/leads").header("Idempotency-Key", "1").json(&lead);
        timeout(Duration::from_millis(700), create.send()).await
    };
    let frozen = pair.standby.freeze();
    create(&kari).await.expect_err("it hangs");
    let committed = async {
        while app.count("SELECT count(*) FROM leads").await == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(NOTICED, committed).await.expect("nobody waits for it any more, so that others see it");
    let again = create(&kari).await;
    assert!(again.is_err(), "the standby does not have it: {again:?}");
    create(&per).await.expect_err("nor this one");
    drop(frozen);
    timeout(RECOVERED + NOTICED, until_ready_is(&app, StatusCode::OK)).await.expect("it is ready again");
    let again = kari.request(Method::POST, "/api/v1/leads").header("Idempotency-Key", "1").json(&lead);
    let again = Answer::of(again).await;
    assert_eq!((again.status.as_u16(), again.headers["idempotent-replayed"].as_bytes()), (201, &b"true"[..]));
    assert_eq!(app.count("SELECT count(*) FROM leads").await, 2);
}

#[tokio::test]
async fn whoever_takes_over_is_written_to_although_commits_hung_before() {
    let pair = Pair::synchronous().await;
    let way = Proxy::before(&pair.primary.url).await;
    let app = TestApp::start_on(way.url(), |_| {}).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let frozen = pair.standby.freeze();
    let noticing = timeout(NOTICED, until_ready_is(&app, StatusCode::SERVICE_UNAVAILABLE));
    let (hung, noticed) = tokio::join!(create(&kari), noticing);
    assert_eq!((hung.status.as_u16(), noticed.is_ok()), (503, true), "it is noticed");
    pair.primary.kill();
    drop(frozen);
    pair.standby.promote().await;
    way.lead_to(&pair.standby.url);
    let written = async {
        while create(&kari).await.status != 201 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(RECOVERED + NOTICED, written).await.expect("nothing hangs there");
}

#[tokio::test]
async fn a_worker_whose_commits_hang_does_not_use_up_connections() {
    let pair = Pair::synchronous().await;
    let app = TestApp::start_on(&pair.primary.url, |_| {}).await;
    let mut worker = start_worker(&pair.primary.url);
    sleep(Duration::from_secs(2)).await;
    let before = app.count(OURS).await;
    let frozen = pair.standby.freeze();
    let mut most = before;
    for _ in 0..10 {
        sleep(Duration::from_secs(1)).await;
        most = most.max(app.count(OURS).await);
    }
    // What it gives up on, it ends; and one more connection ends it.
    println!("connections: {before} before, {most} at most");
    assert!(most <= before + 4, "{before} before, {most} at most");
    drop(frozen);
    signal(&worker, Signal::TERM);
    assert_eq!(ended(&mut worker).await.code(), Some(0));
}

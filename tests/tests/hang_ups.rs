//! Whoever hangs up leaves nothing behind that works for nobody.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, Executor};
use tests::{
    answer::Answer,
    app::{Person, TestApp},
    clerk_events::deleted,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

const CONNECTIONS: u32 = 4;
/// Shorter than the server's own limit, after which statements end by themselves.
const SOON: Duration = Duration::from_secs(5);
const BACKENDS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'norvalt api'";
const RUNNING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'norvalt api' AND state = 'active'";
/// Those that were opened well after the table was locked.
const REPLACED: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'norvalt api' AND backend_start > interval '1.5 s' + (
      SELECT max(xact_start) FROM pg_stat_activity
      WHERE datname = current_database() AND state = 'idle in transaction' AND query LIKE '%LOCK TABLE users%')";

#[tokio::test]
async fn their_statements_are_cancelled_and_connections_stay_bounded() {
    let app = TestApp::start_with(|config| config.database_connections = CONNECTIONS).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, held) = (oslo.admin(), oslo.lead("Ola Nordmann").await.id);
    let other = oslo.lead("Kari Nordmann").await.id;
    let mut conn = app.connect().await;
    conn.execute("BEGIN").await.expect("a valid statement");
    let lock = sqlx::query("SELECT FROM leads WHERE id = $1 FOR UPDATE").bind(held);
    lock.execute(&mut conn).await.expect("it is there");

    let address = app.url.strip_prefix("http://").expect("an address");
    let body = r#"{"lead_score":7}"#;
    let request = format!(
        "PATCH /api/v1/leads/{held} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        kari.token(),
        body.len()
    );
    for _ in 0..8 {
        let mut callers = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut caller = TcpStream::connect(address).await.expect("it listens");
            caller.write_all(request.as_bytes()).await.expect("it reads");
            callers.push(caller);
        }
        let started = Instant::now();
        while app.count(RUNNING).await == 0 {
            assert!(started.elapsed() < SOON, "no statement waits for the lock");
            sleep(Duration::from_millis(5)).await;
        }
        drop(callers);
        assert!(app.count(BACKENDS).await <= i64::from(CONNECTIONS), "more than are allowed");
    }
    let over = async {
        while app.count(RUNNING).await > 0 {
            assert!(app.count(BACKENDS).await <= i64::from(CONNECTIONS), "more than are allowed");
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, over).await.expect("statements that nobody waits for end");
    // The lock is still held; nobody else is kept from anything.
    let change = kari.request(Method::PATCH, &format!("/api/v1/leads/{other}")).json(&json!({ "lead_score": 9 }));
    timeout(SOON, Answer::of(change)).await.expect("there is a connection").expect(200);
    conn.close().await.expect("it closes");
}

async fn backends_stay_bounded(app: &TestApp, until: Instant) {
    while Instant::now() < until {
        let backends = app.count(BACKENDS).await;
        assert!(backends <= i64::from(CONNECTIONS), "{backends} are more than are allowed");
        sleep(Duration::from_millis(20)).await;
    }
}

fn get(path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n")
}

#[tokio::test]
async fn connections_that_are_being_opened_count_until_they_are_open_or_gone() {
    let app = TestApp::start_with(|config| config.database_connections = CONNECTIONS).await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    kari.get("/api/v1/leads").await.expect(200);
    let mut conn = app.connect().await;
    conn.execute("SET search_path = public").await.expect("a valid statement");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'norvalt api'";
    sqlx::query(end).execute(&mut conn).await.expect("a superuser may");
    // Whoever opens a connection looks at the policies, and waits here.
    conn.execute("BEGIN; LOCK TABLE pg_policy IN ACCESS EXCLUSIVE MODE").await.expect("a superuser may");
    let address = app.url.strip_prefix("http://").expect("an address");
    let request = get("/api/v1/leads", &kari.token());
    for _ in 0..8 {
        let mut callers = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut caller = TcpStream::connect(address).await.expect("it listens");
            caller.write_all(request.as_bytes()).await.expect("it reads");
            callers.push(caller);
        }
        backends_stay_bounded(&app, Instant::now() + Duration::from_millis(150)).await;
        drop(callers);
    }
    backends_stay_bounded(&app, Instant::now() + SOON).await;
    conn.execute("ROLLBACK").await.expect("a valid statement");
    timeout(SOON, kari.get("/api/v1/leads")).await.expect("there is a connection").expect(200);
}

#[tokio::test]
async fn whoever_cannot_be_looked_up_in_time_is_told_so_once_and_leaves_no_statement() {
    let app = TestApp::start_with(|config| config.database_connections = CONNECTIONS).await;
    let mut people = Vec::new();
    for n in 0..4 {
        people.push(app.dealership(&format!("Dealership {n}")).await.admin());
    }
    // A connection is another person's, of another dealership; and a token may not say which.
    let mut tokens: Vec<_> = people.iter().flat_map(|person| [person.token(), person.token()]).collect();
    tokens.push(app.dealership("Dealership 0").await.admin().without_organization().token());
    let mut conn = app.connect().await;
    // All connections are open: one that is new could not even be looked over.
    conn.execute("BEGIN; LOCK TABLE leads IN EXCLUSIVE MODE").await.expect("a superuser may");
    let ola = json!({ "customer_name": "Ola", "customer_email": "ola@example.no" });
    let create = async |person: &Person<'_>| Answer::of(person.request(Method::POST, "/api/v1/leads").json(&ola)).await;
    let creating = join_all(people.iter().map(create));
    let opening = async {
        while app.count(RUNNING).await < i64::from(CONNECTIONS - 1) {
            sleep(Duration::from_millis(5)).await;
        }
        // One is kept for these.
        app.deliver("msg_1", &deleted("user.deleted", "user_1", 1_000)).await.expect(202);
        conn.execute("ROLLBACK").await.expect("a valid statement");
    };
    for answer in tokio::join!(creating, opening).0 {
        answer.expect(201);
    }
    conn.execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await.expect("a superuser may");
    let asking = tokens.iter().map(async |token| {
        let asked = Instant::now();
        (app.get_with(token, "/api/v1/leads").await, asked.elapsed())
    });
    let answers = join_all(asking);
    let (answers, ()) = tokio::join!(answers, backends_stay_bounded(&app, Instant::now() + 2 * SOON));
    // For a connection, and for the look-up.
    let waiting = 2 * Duration::from_secs(2) + Duration::from_millis(900);
    let mut looked_up = 0;
    for (answer, took) in answers {
        assert_eq!(answer.headers["retry-after"], "2");
        // One person's second request, or nobody's turn.
        if answer.status == 429 || answer.json["type"] == "urn:norvalt:problem:overloaded" {
            continue;
        }
        answer.expect_problem(503, "unavailable");
        assert!(took < waiting, "{took:?}");
        looked_up += 1;
    }
    assert!(looked_up >= CONNECTIONS - 1, "{looked_up}");
    assert_eq!(app.count(RUNNING).await, 0);
    assert_eq!(app.count(REPLACED).await, 0, "a connection that was only kept waiting can be used again");
    conn.execute("ROLLBACK").await.expect("a valid statement");
    for person in &people {
        timeout(SOON, person.get("/api/v1/leads")).await.expect("there is a connection").expect(200);
    }
}

//! Whoever hangs up leaves nothing behind that works for nobody.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, Executor};
use tests::{answer::Answer, app::TestApp};
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

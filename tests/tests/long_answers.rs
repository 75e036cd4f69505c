//! Answers as long as they can be, to people who leave them unread.

use std::{pin::pin, time::Duration};

use futures::future::join_all;
use sqlx::raw_sql;
use tests::{
    app::TestApp,
    processes::{Signal, command, ended, resident_memory, signal, start_api_as},
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpSocket,
    time::{sleep, timeout},
};

/// People, each of a dealership of their own, whose answers all are as long as they can be.
const READERS: usize = 16;
const PAGE: &str = "/api/v1/leads?limit=100";
/// In MiB, of the whole process: 150 MB.
const MEMORY: usize = 143;
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything in a lead that may be long, with the longest characters and with those that JSON makes longest.
const LEADS: &str = "
    INSERT INTO leads (dealership_id, source, customer_email, customer_name, initial_message, source_metadata)
    SELECT d.id, 'website', 'kunde@example.no', repeat('😀', 200),
           CASE n % 2 WHEN 0 THEN repeat('😀', 20000) ELSE repeat(E'\\x01', 13333) END,
           jsonb_build_object('text', repeat('å', 9000))
    FROM dealerships d, generate_series(1, 101) n";

#[tokio::test]
async fn what_people_leave_unread_takes_memory_within_bounds() {
    let app = TestApp::start().await;
    let mut tokens = Vec::new();
    for n in 0..READERS {
        tokens.push(app.dealership(&format!("Dealership {n}")).await.admin().token());
    }
    raw_sql(LEADS).execute(&mut app.connect().await).await.expect("valid leads");
    let (mut api, url) = start_api_as(command("api", &app.database_url), &app.clerk).await;
    let address = url.strip_prefix("http://").expect("an address").parse().expect("an address");
    let before = resident_memory(&api);
    let mut most = before;
    let unread = async |token: &String| {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("it is not connected yet");
        let mut stream = socket.connect(address).await.expect("it listens");
        let request = format!("GET {PAGE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        timeout(READ_TIMEOUT, stream.readable()).await.expect("an answer").expect("an answer");
        stream
    };
    // Two of each, as of somebody with two windows.
    let mut unread = pin!(join_all(tokens.iter().chain(&tokens).map(unread)));
    let _streams = loop {
        tokio::select! {
            streams = &mut unread => break streams,
            () = sleep(Duration::from_millis(5)) => most = most.max(resident_memory(&api)),
        }
    };
    most = most.max(resident_memory(&api));
    println!("{before} MiB, with {} of the longest pages unread at most {most} MiB", 2 * READERS);
    signal(&api, Signal::TERM);
    assert_eq!(ended(&mut api).await.code(), Some(0));
    assert!(most <= MEMORY, "{before} MiB, then {most} MiB");
}

//! Clients who are slow, silent or too many.

use std::time::Duration;

use common::config::ClientLimits;
use reqwest::Method;
use tests::app::TestApp;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{interval, timeout},
};

const PATIENCE: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_millis(300);
const NEVER: Duration = Duration::from_mins(10);
const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

async fn app(limit: impl FnOnce(&mut ClientLimits)) -> (TestApp, String) {
    let app = TestApp::start_with(|config| limit(&mut config.clients)).await;
    let address = app.url.strip_prefix("http://").expect("an address").to_owned();
    (app, address)
}

async fn connect(address: &str) -> TcpStream {
    TcpStream::connect(address).await.expect("it listens")
}

/// Asks, and reads the whole answer.
async fn ask(stream: &mut TcpStream) {
    stream.write_all(REQUEST).await.expect("it reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        assert!(stream.read_buf(&mut answer).await.expect("an answer") > 0, "the answer is whole");
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

/// Waits until the other side has closed, and returns what it said before.
async fn last_words(mut stream: impl AsyncRead + Unpin) -> String {
    let mut said = Vec::new();
    // With or without a reset.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("it closes");
    String::from_utf8_lossy(&said).into_owned()
}

/// Sends a head that never ends, a byte at a time.
async fn drip(mut stream: impl AsyncWrite + Unpin) {
    let mut pace = interval(Duration::from_millis(20));
    while stream.write_all(b"x").await.is_ok() {
        pace.tick().await;
    }
}

#[tokio::test]
async fn whoever_does_not_ask_is_hung_up_on() {
    let (_app, address) = app(|limits| (limits.first_head, limits.next_head) = (SOON, NEVER)).await;
    let mut asked = connect(&address).await;
    ask(&mut asked).await;
    last_words(connect(&address).await).await;
    let (read, write) = connect(&address).await.into_split();
    tokio::join!(last_words(read), drip(write));
    // Whoever has asked before may take more time.
    ask(&mut asked).await;
}

#[tokio::test]
async fn whoever_asks_no_more_is_hung_up_on() {
    let (_app, address) = app(|limits| (limits.first_head, limits.next_head) = (NEVER, SOON)).await;
    let mut silent = connect(&address).await;
    ask(&mut silent).await;
    last_words(silent).await;
    let mut slow = connect(&address).await;
    ask(&mut slow).await;
    let (read, write) = slow.into_split();
    tokio::join!(last_words(read), drip(write));
}

#[tokio::test]
async fn a_head_has_bounds() {
    let (app, _) = app(|_| {}).await;
    let with = |name: &str, value: &str| app.request(Method::GET, "/health").header(name, value);
    assert_eq!(with("cookie", &"x".repeat(20_000)).send().await.expect("an answer").status(), 200);
    assert_eq!(with("cookie", &"x".repeat(40_000)).send().await.expect("an answer").status(), 431);
    let many = (0..150).fold(app.request(Method::GET, "/health"), |request, n| request.header(format!("x-{n}"), "1"));
    assert_eq!(many.send().await.expect("an answer").status(), 431);
}

#[tokio::test]
async fn connections_are_bounded_and_places_become_free() {
    // One for the app's own client.
    let (_app, address) = app(|limits| (limits.connections, limits.first_head) = (1 + 4, SOON)).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(connect(&address).await);
    }
    let refused = last_words(connect(&address).await).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("Retry-After: "), "{refused}");
    // Those who hold the places ask nothing, and lose them.
    let until_free = async { while !last_words(knock(&address).await).await.starts_with("HTTP/1.1 200") {} };
    timeout(PATIENCE, until_free).await.expect("places become free");
    drop(held);
}

#[tokio::test]
async fn a_client_who_does_not_read_is_hung_up_on() {
    // One for the app's own client.
    let (app, address) = app(|limits| (limits.connections, limits.stall) = (1 + 1, SOON)).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let lead = oslo.lead("Ola Nordmann").await.id;
    // More than the kernel takes in on anybody's behalf.
    let messages =
        "INSERT INTO conversations (dealership_id, lead_id, channel, direction, sender, sender_type, message_content)
                    SELECT dealership_id, id, 'email', 'inbound', 'Ola', 'customer', repeat('å', 20000)
                    FROM leads, generate_series(1, 500)";
    sqlx::raw_sql(messages).execute(&mut app.connect().await).await.expect("a valid statement");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("it is not connected yet");
    let mut deaf = socket.connect(address.parse().expect("an address")).await.expect("it listens");
    let token = oslo.admin().token();
    let path = format!("/api/v1/leads/{lead}/conversations");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    deaf.write_all(request.as_bytes()).await.expect("it reads");
    // The answer has begun, and with it the handler has ended.
    deaf.readable().await.expect("an answer");
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    assert_eq!(app.count(busy).await, 0);
    let until_free = async { while !last_words(knock(&address).await).await.starts_with("HTTP/1.1 200") {} };
    timeout(PATIENCE, until_free).await.expect("their place becomes free");
}

/// Asks for one answer.
async fn knock(address: &str) -> TcpStream {
    let mut stream = connect(address).await;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("it reads");
    stream
}

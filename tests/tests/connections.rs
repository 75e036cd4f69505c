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

const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
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
    let _ = timeout(CLOSE_TIMEOUT, stream.read_to_end(&mut said)).await.expect("it closes");
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
async fn silent_connections_give_way_to_those_who_ask() {
    // Behind a proxy, so that all of these may be anybody's.
    let app = TestApp::start_with(|config| (config.clients.connections, config.trusted_proxies) = (5, 1)).await;
    let address = app.url.strip_prefix("http://").expect("an address");
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(connect(address).await);
    }
    for _ in 0..20 {
        let answer = last_words(knock(address).await).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(last_words(silent.remove(0)).await, "");
}

#[tokio::test]
async fn one_address_leaves_connections_to_others() {
    let (_app, address) = app(|limits| (limits.connections, limits.first_head) = (40, NEVER)).await;
    let mut hostile = Vec::new();
    for n in 0..300 {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.2:0".parse().expect("an address")).expect("it is this machine");
        let mut stream = socket.connect(address.parse().expect("an address")).await.expect("it listens");
        // Some only connect, and some send half a head.
        if n % 2 == 0 {
            let _ = stream.write_all(b"GET /health HTTP/1.1\r\nHost: ").await;
        }
        hostile.push(stream);
        if n % 10 == 0 {
            let answer = last_words(knock(&address).await).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_client_who_does_not_read_is_hung_up_on() {
    let app = TestApp::start_with(|config| {
        (config.clients.connections, config.clients.stall, config.trusted_proxies) = (2, SOON, 1);
    })
    .await;
    let address = app.url.strip_prefix("http://").expect("an address").to_owned();
    let oslo = app.dealership("Tesla Oslo").await;
    let lead = oslo.lead("Ola Nordmann").await.id;
    // More than the kernel takes in on anybody's behalf.
    let messages =
        "INSERT INTO conversations (dealership_id, lead_id, channel, direction, sender, sender_type, message_content)
                    SELECT dealership_id, id, 'email', 'inbound', 'Ola', 'customer', repeat('å', 20000)
                    FROM leads, generate_series(1, 150)";
    sqlx::raw_sql(messages).execute(&mut app.connect().await).await.expect("a valid statement");
    let token = oslo.admin().token();
    let path = format!("/api/v1/leads/{lead}/conversations");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut deaf = Vec::new();
    for _ in 0..2 {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("it is not connected yet");
        let mut stream = socket.connect(address.parse().expect("an address")).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        // The answer has begun, and with it the handler has ended.
        stream.readable().await.expect("an answer");
        deaf.push(stream);
    }
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    assert_eq!(app.count(busy).await, 0);
    // They have all connections, and lose them.
    let until_free = async { while !last_words(knock(&address).await).await.starts_with("HTTP/1.1 200") {} };
    timeout(CLOSE_TIMEOUT, until_free).await.expect("their place becomes free");
}

/// Asks for one answer.
async fn knock(address: &str) -> TcpStream {
    let mut stream = connect(address).await;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("it reads");
    stream
}

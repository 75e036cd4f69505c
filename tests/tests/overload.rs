//! More than can be done: what is taken is done, the rest is told so at once, and afterwards all is as before.

use std::time::Duration;

use common::clock::Clock;
use dev::clerk::signed_headers;
use futures::{
    StreamExt,
    future::{join_all, try_join_all},
    stream::FuturesUnordered,
};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use reqwest::{Client, Method};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use sqlx::raw_sql;
use tests::{
    answer::Answer,
    app::{TestApp, WEBHOOK_SECRET},
    balancer::connect,
    clerk_events::deleted,
    processes::{command_after, resident_memory, start_api, start_api_as},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, and how long it took.
async fn timed(request: reqwest::RequestBuilder) -> (Answer, Duration) {
    let began = Instant::now();
    (Answer::of(request).await, began.elapsed())
}

#[tokio::test]
async fn what_cannot_be_done_soon_is_refused_at_once() {
    let app = TestApp::start_with(|config| config.database_connections = 2).await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let token = kari.token();
    let list = || timed(app.request(Method::GET, "/api/v1/leads").bearer_auth(&token));
    list().await.0.expect(200);

    let mut lock = app.connect().await;
    raw_sql("BEGIN; LOCK TABLE leads").execute(&mut lock).await.expect("nobody holds it");
    let mut asked: FuturesUnordered<_> = (0..400).map(|_| list()).collect();
    let mut slowest = Duration::ZERO;
    for _ in 0..398 {
        let (answer, took) = timeout(PATIENCE, asked.next()).await.expect("nothing hangs").expect("two remain");
        assert_eq!(answer.headers["retry-after"], "2");
        answer.expect_problem(503, "overloaded");
        slowest = slowest.max(took);
    }
    println!("398 of 400 refused, the last after {slowest:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");

    // By now it is no rush any more, and waiting is of no use.
    let (answer, took) = list().await;
    answer.expect_problem(503, "overloaded");
    assert!(took < Duration::from_millis(900), "{took:?}");
    let event = deleted("user.deleted", "user_1", 1_000);
    assert_eq!(app.deliver("msg_1", &event).await.expect_problem(503, "overloaded")["status"], 503);
    // Balancers and supervisors are told the truth meanwhile: that it lives and works.
    app.get("/health").await.expect(200);
    app.get("/health/ready").await.expect(200);

    raw_sql("ROLLBACK").execute(&mut lock).await.expect("the lock is ours");
    while let Some((answer, _)) = timeout(PATIENCE, asked.next()).await.expect("nothing hangs") {
        answer.expect(200);
    }
    for (answer, _) in join_all((0..50).map(|_| list())).await {
        answer.expect(200);
    }
    app.deliver("msg_1", &event).await.expect(202);
}

#[tokio::test]
async fn bodies_take_bounded_memory() {
    const CLIENTS: usize = 300;
    let app = TestApp::start().await;
    let (process, url) = start_api(&app.database_url, &app.clerk).await;
    let address = url.strip_prefix("http://").expect("an address");
    let before = resident_memory(&process);
    // All of a megabyte but its last byte, so that it is waited for.
    let head = format!("POST /webhooks/clerk HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 1024 * 1024);
    let request = [head.as_bytes(), &vec![b'x'; 1024 * 1024 - 1]].concat();
    let upload = async || {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        // Whoever is refused may find that out while still sending.
        let _ = stream.write_all(&request).await;
        stream
    };
    let mut streams = join_all((0..CLIENTS).map(|_| upload())).await;
    let mut refused = 0;
    let mut answers: FuturesUnordered<_> = streams
        .iter_mut()
        .map(|stream| async move {
            let mut answer = vec![0; 12];
            stream.read_exact(&mut answer).await.map(|_| answer)
        })
        .collect();
    // Bodies that are held are answered 408 after ten seconds; those there is no room for, before.
    while let Ok(Some(answer)) = timeout(Duration::from_secs(2), answers.next()).await {
        refused += usize::from(answer.is_ok_and(|answer| answer == b"HTTP/1.1 503"));
    }
    let full = resident_memory(&process);
    println!("{refused} of {CLIENTS} bodies of 1 MiB refused; {before} MiB before, {full} MiB with them");
    assert!(refused > CLIENTS / 2, "{refused}");
    assert!(full < before + 200, "{before} MiB, then {full} MiB");
    drop(answers);
    drop(streams);
    Answer::of(Client::new().get(format!("{url}/health/ready"))).await.expect(200);
}

#[tokio::test]
async fn a_thousand_connections_at_once_are_served() {
    const CLIENTS: usize = 1024;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("no more than is allowed");
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let expiry = Clock::system().now() + chrono::TimeDelta::minutes(10);
    let bearer = format!("Bearer {}", kari.session().claim("exp", json!(expiry.timestamp())).mint(&app.clerk.key()));
    // As many systems have it: fewer at first than are allowed.
    let mut command = command_after("ulimit -S -n 256", "api", &app.database_url);
    command.env("RUST_LOG", "warn,api::serve=info");
    let (process, url) = start_api_as(command, &app.clerk).await;
    let before = resident_memory(&process);
    let address = url.strip_prefix("http://").expect("an address");
    let connections = try_join_all((0..CLIENTS).map(|_| connect(address))).await.expect("it listens");
    let request = || {
        let request = Request::get("/api/v1/me").header("host", address).header("authorization", &bearer);
        request.body(Full::default()).expect("a valid request")
    };
    let began = Instant::now();
    let asked = connections.into_iter().map(async |mut connection| {
        for attempt in 1.. {
            let answer = timeout(PATIENCE, connection.send_request(request())).await.expect("nothing hangs");
            let (head, body) = answer.expect("nobody is cut off").into_parts();
            body.collect().await.expect("the answer is whole");
            if head.status == 200 {
                return (connection, attempt, began.elapsed());
            }
            assert_eq!((head.status.as_u16(), head.headers["retry-after"].as_bytes()), (503, &b"2"[..]));
            sleep(Duration::from_secs(2)).await;
        }
        unreachable!("somebody tried very often")
    });
    let served = join_all(asked).await;
    let at_first = served.iter().filter(|(_, attempt, _)| *attempt == 1).count();
    let (attempts, last) = served.iter().map(|(_, attempt, took)| (attempt, took)).max().expect("there are some");
    let after = resident_memory(&process);
    println!(
        "{at_first} of {CLIENTS} served at first, all after {attempts} attempts and {last:?}; \
         {before} MiB before, {after} MiB with all connections open"
    );
    assert!(after < before + 100, "{before} MiB, then {after} MiB");
}

#[tokio::test]
async fn whoever_is_not_known_may_not_ask_for_everything_all_the_time() {
    let app = TestApp::start_with(|config| (config.clients.anonymous_burst, config.trusted_proxies) = (10, 1)).await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let from = |address: &str, method: Method, path: &str| {
        app.request(method, path).header("x-forwarded-for", format!("6.6.6.6, {address}"))
    };
    let forged = |n: u8| from(&format!("203.0.113.{n}"), Method::GET, "/api/v1/leads").bearer_auth("x.y.z");
    let unsigned = |n: u8| from(&format!("203.0.113.{n}"), Method::POST, "/webhooks/clerk").body("{}");
    let public = |n: u8, path: &str| from(&format!("203.0.113.{n}"), Method::GET, path);
    let attempts: [(&str, &dyn Fn() -> reqwest::RequestBuilder); 7] = [
        ("a bad token", &|| forged(1)),
        ("no token", &|| public(2, "/api/v1/leads")),
        ("a bad signature", &|| unsigned(3)),
        ("the index", &|| public(4, "/")),
        ("the document", &|| public(5, "/openapi.json")),
        ("the page", &|| public(6, "/docs/")),
        ("nothing", &|| public(7, "/wp-login.php")),
    ];
    for (what, attempt) in attempts {
        assert_ne!(Answer::of(attempt()).await.status, 429, "{what} is not limited at first");
        let mut limited = None;
        for _ in 0..200 {
            let answer = Answer::of(attempt()).await;
            if answer.status == 429 {
                limited = Some(answer);
                break;
            }
        }
        let limited = limited.unwrap_or_else(|| panic!("{what} is never limited"));
        assert_eq!(limited.headers["retry-after"], "1", "{what}");
        limited.expect_problem(429, "too-many-requests");
    }
    // Whoever is authentic is not limited, nor are health checks, nor is anybody else.
    for _ in 0..30 {
        Answer::of(public(1, "/api/v1/leads").bearer_auth(kari.token())).await.expect(200);
        Answer::of(public(3, "/health")).await.expect(200);
        Answer::of(public(3, "/health/ready")).await.expect(200);
    }
    let body = deleted("user.deleted", "user_1", 1_000).to_string();
    for n in 0..30 {
        let now = Clock::system().now();
        let headers = signed_headers(WEBHOOK_SECRET, &format!("msg_{n}"), now, body.as_bytes()).expect("valid");
        let request = headers.into_iter().fold(unsigned(3), |request, (name, value)| request.header(name, value));
        Answer::of(request.body(body.clone())).await.expect(202);
    }
    Answer::of(public(8, "/")).await.expect(200);
}

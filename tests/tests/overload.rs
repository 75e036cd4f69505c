//! More than can be done: what is taken is done, the rest is told so at once, and afterwards all is as before.

use std::time::Duration;

use common::clock::Clock;
use dev::stand_ins::clerk::signed_headers;
use futures::{
    StreamExt,
    future::join_all,
    stream::{self, FuturesUnordered},
};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use reqwest::{Client, Method};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use sqlx::raw_sql;
use tests::{
    answer::Answer,
    app::{MAIL_SECRET, META_SECRET, TestApp, WEBHOOK_SECRET},
    balancer::connect,
    clerk_events::deleted,
    processes::{command, command_after, deliver, resident_memory, start_api_as},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer, and how long it took.
async fn timed(request: reqwest::RequestBuilder) -> (Answer, Duration) {
    let began = Instant::now();
    (Answer::of(request).await, began.elapsed())
}

#[tokio::test]
async fn what_cannot_be_done_soon_is_refused_at_once() {
    let app = TestApp::start_with(|config| config.database_connections = 2).await;
    let mut tokens = Vec::new();
    for n in 0..10 {
        tokens.push(app.dealership(&format!("Dealership {n}")).await.admin().token());
    }
    let list = |n: usize| timed(app.request(Method::GET, "/api/v1/leads").bearer_auth(&tokens[n % tokens.len()]));
    list(0).await.0.expect(200);

    let mut lock = app.connect().await;
    raw_sql("BEGIN; LOCK TABLE leads").execute(&mut lock).await.expect("nobody holds it");
    let mut asked: FuturesUnordered<_> = (0..400).map(list).collect();
    let mut slowest = Duration::ZERO;
    // One connection is kept for webhooks.
    for _ in 0..399 {
        let (answer, took) = timeout(ANSWER_TIMEOUT, asked.next()).await.expect("nothing hangs").expect("one remains");
        assert_eq!(answer.headers["retry-after"], "2");
        answer.expect_problem(503, "overloaded");
        slowest = slowest.max(took);
    }
    println!("399 of 400 refused, the last after {slowest:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");

    // By now it is no rush any more, and waiting is of no use to those who wait already.
    let waiting = join_all((0..10).map(list)).await;
    for (answer, took) in waiting {
        answer.expect_problem(503, "overloaded");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    let event = deleted("user.deleted", "user_1", 1_000);
    app.deliver("msg_1", &event).await.expect(202);
    // Balancers and supervisors are told the truth meanwhile: that it lives and works.
    app.get("/health").await.expect(200);
    app.get("/health/ready").await.expect(200);

    raw_sql("ROLLBACK").execute(&mut lock).await.expect("the lock is ours");
    while let Some((answer, _)) = timeout(ANSWER_TIMEOUT, asked.next()).await.expect("nothing hangs") {
        answer.expect(200);
    }
    for (answer, _) in join_all((0..50).map(list)).await {
        answer.expect(200);
    }
}

#[tokio::test]
async fn one_person_and_one_dealership_have_only_so_much_under_way() {
    let app = TestApp::start().await;
    let hostile = app.dealership("Hostile").await.admin().token();
    let oslo = app.dealership("Tesla Oslo").await.admin();
    let mut lock = app.connect().await;
    // Nobody else's rows are touched by what waits for this.
    raw_sql("BEGIN; SELECT 1 FROM dealerships WHERE name = 'Hostile' FOR UPDATE")
        .execute(&mut lock)
        .await
        .expect("valid");
    let rename = || {
        app.request(Method::PATCH, "/api/v1/dealership").bearer_auth(&hostile).json(&json!({ "phone": "+4791234567" }))
    };
    let mut asked: FuturesUnordered<_> = (0..200).map(|_| Answer::of(rename())).collect();
    for _ in 0..136 {
        let answer = timeout(ANSWER_TIMEOUT, asked.next()).await.expect("nothing hangs").expect("some remain");
        assert_eq!(answer.headers["retry-after"], "2");
        answer.expect_problem(429, "too-many-at-once");
    }
    for n in 0..20 {
        oslo.get("/api/v1/leads").await.expect(200);
        app.deliver(&format!("msg_{n}"), &deleted("user.deleted", "user_1", 1_000)).await.expect(202);
    }
    raw_sql("ROLLBACK").execute(&mut lock).await.expect("the lock is ours");
    while let Some(answer) = timeout(ANSWER_TIMEOUT, asked.next()).await.expect("nothing hangs") {
        assert!([200, 429].contains(&answer.status.as_u16()), "{}", answer.status);
    }
    Answer::of(rename()).await.expect(200);
}

/// All of a request with a body of a megabyte but its last byte, so that it is waited for.
fn unfinished(path: &str, headers: &str) -> Vec<u8> {
    let head = format!("{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{headers}\r\n", 1024 * 1024);
    [head.as_bytes(), &vec![b'x'; 1024 * 1024 - 1]].concat()
}

#[tokio::test]
async fn whoever_sends_slowly_takes_memory_from_nobody() {
    const EACH: usize = 40;
    let app = TestApp::start().await;
    let (hostile, oslo) = (app.dealership("Hostile").await.admin().token(), app.dealership("Tesla Oslo").await.admin());
    let bergen = app.dealership("VW Bergen").await.id;
    let mut command = command("api", &app.database_url);
    command.env("PUBLIC_URL", "https://api.norvalt.example").env("FACEBOOK_APP_SECRETS", META_SECRET);
    command.env("RESEND_WEBHOOK_SECRET", WEBHOOK_SECRET).env("INBOUND_MAIL_SECRETS", MAIL_SECRET);
    let (process, url) = start_api_as(command, &app.clerk).await;
    let address = url.strip_prefix("http://").expect("an address");
    let before = resident_memory(&process);
    let now = Clock::system().now().timestamp();
    let plausible = format!("svix-id: msg_1\r\nsvix-timestamp: {now}\r\nsvix-signature: v1,{}=\r\n", "A".repeat(43));
    let requests = [
        unfinished("GET /health", ""),
        unfinished("POST /health", ""),
        unfinished("POST /api/v1/leads", ""),
        unfinished("POST /api/v1/leads", "Authorization: Bearer x.y.z\r\n"),
        unfinished("POST /webhooks/clerk", ""),
        unfinished("POST /webhooks/clerk", &plausible),
        unfinished("POST /webhooks/form/nobodys", ""),
        unfinished(&format!("POST /webhooks/form/{bergen}"), ""),
        unfinished("POST /webhooks/adf/nobodys", ""),
        unfinished("POST /webhooks/facebook", &format!("X-Hub-Signature-256: sha256={}\r\n", "a".repeat(64))),
        unfinished("POST /webhooks/resend/events", &plausible),
        unfinished("POST /webhooks/twilio/sms", "X-Twilio-Signature: L/OH5YylLD5NRKLltdqwSvS0BnU=\r\n"),
        unfinished("POST /webhooks/email/raw", "X-Norvalt-Signature: sha256=aa\r\n"),
        unfinished(
            "POST /api/v1/leads",
            &format!("Content-Type: application/json\r\nAuthorization: Bearer {hostile}\r\n"),
        ),
    ];
    let upload = async |request: &[u8]| {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        // Whoever is refused may find that out while still sending.
        let _ = timeout(Duration::from_secs(2), stream.write_all(request)).await;
        stream
    };
    let streams = join_all(requests.iter().flat_map(|request| (0..EACH).map(|_| upload(request)))).await;
    let client = Client::new();
    for n in 0..20 {
        let create = client.post(format!("{url}/api/v1/leads")).bearer_auth(oslo.token());
        Answer::of(create.json(&json!({ "customer_email": "kunde@example.no", "source": "website" })))
            .await
            .expect(201);
        let event = deleted("user.deleted", "user_1", 1_000).to_string();
        deliver(&url, &format!("msg_{n}"), &event).await.expect(202);
    }
    let full = resident_memory(&process);
    println!("{} bodies of 1 MiB but the last byte: {before} MiB before, {full} MiB with them", streams.len());
    assert!(full < 150, "{before} MiB, then {full} MiB");
    drop(streams);
    Answer::of(client.get(format!("{url}/health/ready"))).await.expect(200);
}

#[tokio::test]
async fn whoever_is_refused_while_sending_reads_why() {
    let app = TestApp::start().await;
    for _ in 0..10 {
        let large = || vec![b'x'; 900 * 1024];
        let request = app.request(Method::POST, "/api/v1/leads").bearer_auth("x.y.z").body(large());
        Answer::of(request).await.expect_problem(401, "invalid-token");
        Answer::of(app.request(Method::POST, "/webhooks/clerk").body(large()))
            .await
            .expect_problem(400, "invalid-signature");
        Answer::of(app.request(Method::POST, "/health").body(large())).await.expect_problem(405, "method-not-allowed");
        Answer::of(app.request(Method::GET, "/health").body(large())).await.expect(200);
        let kari = app.dealership("Tesla Oslo").await.admin();
        let too_large = kari.request(Method::POST, "/api/v1/leads").header("content-type", "application/json");
        Answer::of(too_large.body(vec![b'x'; 1024 * 1024 + 1])).await.expect_problem(413, "body-too-large");
    }
}

#[tokio::test]
async fn a_thousand_connections_at_once_are_served() {
    const CLIENTS: usize = 1024;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("no more than is allowed");
    let app = TestApp::start().await;
    let expiry = (Clock::system().now() + chrono::TimeDelta::minutes(10)).timestamp();
    let mut bearers = Vec::new();
    for n in 0..32 {
        let person = app.dealership(&format!("Dealership {n}")).await.admin();
        bearers.push(format!("Bearer {}", person.session().claim("exp", json!(expiry)).mint(&app.clerk.key())));
    }
    // As many systems have it: fewer at first than are allowed.
    let mut command = command_after("ulimit -S -n 256", "api", &app.database_url);
    command.env("RUST_LOG", "warn,api::serve=info");
    let (process, url) = start_api_as(command, &app.clerk).await;
    let before = resident_memory(&process);
    let address = url.strip_prefix("http://").expect("an address");
    // Of one address, only so many may not have asked for anything yet.
    let connecting = stream::iter(0..CLIENTS).map(async |_| {
        let mut connection = connect(address).await.expect("it listens");
        let health = Request::get("/health").header("host", address).body(Full::default()).expect("a valid request");
        let answer = connection.send_request(health).await.expect("it answers");
        answer.into_body().collect().await.expect("the answer is whole");
        connection
    });
    let connections: Vec<_> = connecting.buffered(100).collect().await;
    let request = |n: usize| {
        let bearer = &bearers[n % bearers.len()];
        let request = Request::get("/api/v1/me").header("host", address).header("authorization", bearer);
        request.body(Full::default()).expect("a valid request")
    };
    let began = Instant::now();
    let asked = connections.into_iter().enumerate().map(async |(n, mut connection)| {
        for attempt in 1.. {
            let answer = timeout(ANSWER_TIMEOUT, connection.send_request(request(n))).await.expect("nothing hangs");
            let (head, body) = answer.expect("nobody is cut off").into_parts();
            body.collect().await.expect("the answer is whole");
            if head.status == 200 {
                return (connection, attempt, began.elapsed());
            }
            assert!([429, 503].contains(&head.status.as_u16()), "{}", head.status);
            assert_eq!(head.headers["retry-after"].as_bytes(), b"2");
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
async fn the_address_for_operators_takes_nothing_from_the_public_one() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("no more than is allowed");
    let app = TestApp::start().await;
    let operators = TcpListener::bind("127.0.0.1:0").await.and_then(|free| free.local_addr()).expect("a port is free");
    let mut command = command_after("ulimit -n 1024", "api", &app.database_url);
    command.env("API_ADMIN_ADDRESS", operators.to_string());
    let (process, url) = start_api_as(command, &app.clerk).await;
    let mut half_sent = Vec::new();
    let client = Client::new();
    for n in 0..1_100 {
        let mut stream = TcpStream::connect(operators).await.expect("it listens");
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").await;
        half_sent.push(stream);
        if n % 100 == 99 {
            Answer::of(client.get(format!("{url}/health/ready")).header("connection", "close")).await.expect(200);
        }
    }
    let metrics = client.get(format!("http://{operators}/metrics")).send().await.expect("it answers");
    assert_eq!(metrics.status(), 200, "whoever asks at once is served there, too");
    let open = std::fs::read_dir(format!("/proc/{}/fd", process.id().expect("it lives"))).expect("Linux tells").count();
    assert!(open < 200, "{open} descriptors");
}

#[tokio::test]
async fn whoever_is_not_known_may_not_ask_for_everything_all_the_time() {
    let app = TestApp::start_with(|config| (config.clients.anonymous_burst, config.trusted_proxies) = (10, 1)).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let from = |address: &str, method: Method, path: &str| {
        app.request(method, path).header("x-forwarded-for", format!("6.6.6.6, {address}"))
    };
    let forged = |n: u8| from(&format!("203.0.113.{n}"), Method::GET, "/api/v1/leads").bearer_auth("x.y.z");
    let unsigned = |n: u8| from(&format!("203.0.113.{n}"), Method::POST, "/webhooks/clerk").body("{}");
    let public = |n: u8, path: &str| from(&format!("203.0.113.{n}"), Method::GET, path);
    let posted = |n: u8, path: &str| from(&format!("203.0.113.{n}"), Method::POST, path).body("{}");
    let signed = |n: u8, path: &str, name: &str, value: &str| posted(n, path).header(name, value);
    let meta = format!("sha256={}", "a".repeat(64));
    let attempts: [(&str, &dyn Fn() -> reqwest::RequestBuilder); 17] = [
        ("a bad token", &|| forged(1)),
        ("no token", &|| public(2, "/api/v1/leads")),
        ("a bad signature", &|| unsigned(3)),
        ("the index", &|| public(4, "/")),
        ("the document", &|| public(5, "/openapi.json")),
        ("the page", &|| public(6, "/docs/")),
        ("nothing", &|| public(7, "/wp-login.php")),
        ("a form of nobody's", &|| posted(9, "/webhooks/form/nobodys")),
        ("what is no form", &|| posted(10, &format!("/webhooks/form/{}", oslo.id)).body("[]")),
        ("ADF for nobody", &|| posted(11, "/webhooks/adf/nobodys")),
        ("an unsigned lead ad", &|| posted(12, "/webhooks/facebook")),
        ("a wrongly signed lead ad", &|| signed(13, "/webhooks/facebook", "x-hub-signature-256", &meta)),
        ("reports of nobody", &|| posted(14, "/webhooks/nobody/events")),
        ("reports of who is not configured", &|| posted(15, "/webhooks/sendgrid/events")),
        ("an unsigned text message", &|| posted(16, "/webhooks/twilio/sms")),
        ("a wrongly signed text message", &|| {
            signed(17, "/webhooks/twilio/sms", "x-twilio-signature", "L/OH5YylLD5NRKLltdqwSvS0BnU=")
        }),
        ("mail of nobody", &|| posted(18, "/webhooks/email/nobody")),
    ];
    for (what, attempt) in attempts {
        assert_ne!(Answer::of(attempt()).await.status, 429, "{what} is not limited at first");
        // All at once: one after the other could take a slow machine as long as is allowed.
        let answers = join_all((0..130).map(|_| Answer::of(attempt()))).await;
        let limited = answers.into_iter().find(|answer| answer.status == 429);
        let limited = limited.unwrap_or_else(|| panic!("{what} is never limited"));
        assert_eq!(limited.headers["retry-after"], "1", "{what}");
        limited.expect_problem(429, "too-many-requests");
    }
    // A provider of mail tries again after any 503.
    assert_eq!(Answer::of(posted(19, "/webhooks/email/raw")).await.status, 401);
    let mails = join_all((0..100).map(|_| Answer::of(posted(19, "/webhooks/email/raw")))).await;
    assert!(mails.iter().any(|answer| answer.status == 503), "mail that is not signed is never limited");
    // Authenticated requests are not limited, nor are health checks, nor other clients.
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

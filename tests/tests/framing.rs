//! Requests whose end or whose addressee two servers could understand differently, written byte by byte.

use std::time::Duration;

use tests::app::TestApp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything that is answered until the server closes the connection.
async fn exchange(app: &TestApp, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(app.url.trim_start_matches("http://")).await.expect("it listens");
    let request = format!("{head}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    timeout(ANSWER_TIMEOUT, stream.read_to_end(&mut answer)).await.expect("it answers").expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_request_names_one_host() {
    let app = TestApp::start().await;
    let get = |headers: &str| format!("GET /health HTTP/1.1{headers}");
    let closing = |headers: &str| get(&format!("{headers}\r\nConnection: close"));
    for headers in ["\r\nHost: api.norvalt.no", "\r\nHost: [::1]:8000"] {
        let answer = exchange(&app, &closing(headers), "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{headers:?}: {answer}");
    }
    for headers in
        ["", "\r\nHost:", "\r\nHost: a\r\nHost: a", "\r\nHost: a\r\nHost: b", "\r\nHost: a, b", "\r\nHost: a@b"]
    {
        let answer = exchange(&app, &get(headers), "").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers:?}: {answer}");
        assert!(answer.contains("Host"), "the answer says what is wrong with {headers:?}: {answer}");
    }
    // <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>
    let answer = exchange(&app, "GET /health HTTP/1.0", "").await;
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
}

#[tokio::test]
async fn a_request_has_one_length() {
    let app = TestApp::start().await;
    let post = |headers: &str| format!("POST /webhooks/clerk HTTP/1.1\r\nHost: a{headers}");
    // Whatever a server takes for the end of the first request, there is no second one.
    let smuggled = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    let chunked = format!("0\r\n\r\n{smuggled}");
    for (headers, body) in [
        ("\r\nTransfer-Encoding: gzip, chunked", &*chunked),
        ("\r\nTransfer-Encoding: gzip", &*chunked),
        ("\r\nTransfer-Encoding: chunked, gzip", &*chunked),
        ("\r\nTransfer-Encoding: chunked, chunked", &*chunked),
        ("\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", &*chunked),
        ("\r\nTransfer-Encoding: xchunked", &*chunked),
        ("\r\nContent-Length: 0\r\nContent-Length: 5", smuggled),
        ("\r\nContent-Length: 0, 5", smuggled),
        ("\r\nContent-Length: +0", smuggled),
        ("\r\nContent-Length: -1", smuggled),
        ("\r\nContent-Length: 0x0", smuggled),
        ("\r\nContent-Length : 0", smuggled),
        ("\r\nTransfer-Encoding : chunked", &*chunked),
    ] {
        let answer = exchange(&app, &post(headers), body).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{headers:?}: {answer}");
        assert!(!answer.contains("invalid-signature"), "{headers:?} is let through: {answer}");
    }
    // What is chunked ends as its chunks do, whatever else is said, and nothing follows it.
    let chunks = format!("2\r\n{{}}\r\n0\r\n\r\n{smuggled}");
    for (headers, body) in [
        ("\r\nTransfer-Encoding: chunked", &*chunks),
        ("\r\nContent-Length: 4\r\nTransfer-Encoding: chunked", &*chunks),
        ("\r\nTransfer-Encoding: chunked\r\nContent-Length: 4", &*chunks),
        ("\r\nContent-Length: 2\r\nConnection: close", "{}"),
    ] {
        let answer = exchange(&app, &post(headers), body).await;
        assert!(answer.contains("invalid-signature"), "{headers:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{headers:?}: {answer}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_as_a_request_is_a_problem_too() {
    let app = TestApp::start().await;
    let many = "\r\nX-Many: 1".repeat(150);
    let long = "x".repeat(40_000);
    for (head, status, kind) in [
        ("GET / HTTP/1.1\r\nHost : a", 400, "unreadable-request"),
        ("G@T{ / HTTP/1.1\r\nHost: a", 400, "unreadable-request"),
        ("GET / HTTP/9\r\nHost: a", 400, "unreadable-request"),
        (&format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {long}"), 431, "head-too-large"),
        (&format!("GET / HTTP/1.1\r\nHost: a{many}"), 431, "head-too-large"),
        (&format!("GET /{} HTTP/1.1\r\nHost: a", "x".repeat(70_000)), 431, "head-too-large"),
    ] {
        for before in ["", "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let mut stream = TcpStream::connect(app.url.trim_start_matches("http://")).await.expect("it listens");
            if !before.is_empty() {
                stream.write_all(before.as_bytes()).await.expect("it reads");
                let mut answer = Vec::new();
                while !answer.ends_with(b"}") {
                    assert!(stream.read_buf(&mut answer).await.expect("an answer") > 0, "the answer is whole");
                }
            }
            let _ = stream.write_all(format!("{head}\r\n\r\n").as_bytes()).await;
            let mut answer = Vec::new();
            let _ = timeout(ANSWER_TIMEOUT, stream.read_to_end(&mut answer)).await.expect("it closes");
            let answer = String::from_utf8(answer).expect("UTF-8");
            let (headers, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{head:.40}: {answer}"));
            let headers = headers.to_lowercase();
            assert!(headers.starts_with(&format!("http/1.1 {status} ")), "{head:.40}: {headers}");
            assert!(headers.contains("content-type: application/problem+json"), "{headers}");
            assert!(headers.contains("connection: close") && headers.contains("date: "), "{headers}");
            assert!(headers.contains(&format!("content-length: {}", body.len())), "{headers}");
            let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
            assert_eq!(problem["type"], format!("urn:norvalt:problem:{kind}"));
            assert_eq!(problem["status"], status);
            let id = problem["request_id"].as_str().expect("an id");
            assert!(headers.contains(&format!("x-request-id: {id}")), "{headers}");
        }
    }
}

//! Providers that say what a test tells them to.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Response, Uri},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::send::{Accepted, SendError};

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Such as `POST /email`.
    pub line: String,
    headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// Answers everything alike.
#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    tell: mpsc::UnboundedSender<Seen>,
}

pub(crate) struct Stub {
    pub url: String,
    told: mpsc::UnboundedReceiver<Seen>,
}

impl Stub {
    pub(crate) async fn answering(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let answer = Answer { status, headers, body: body.to_owned(), tell };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = url(&listener);
        let router = Router::new().fallback(reply).with_state(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, told }
    }

    pub(crate) async fn seen(&mut self) -> Seen {
        self.told.recv().await.expect("a request came")
    }
}

async fn reply(
    State(answer): State<Answer>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    // The test may have seen enough.
    let _ = answer.tell.send(Seen { line: format!("{method} {uri}"), headers, body });
    response.body(Body::from(answer.body)).expect("an answer")
}

fn url(listener: &TcpListener) -> String {
    format!("http://{}", listener.local_addr().expect("it is bound"))
}

/// Where nobody listens.
pub(crate) async fn nobody() -> String {
    url(&TcpListener::bind("127.0.0.1:0").await.expect("a free port"))
}

/// Reads a whole request, says `answer` and closes the connection.
pub(crate) async fn cut_off_after(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = url(&listener);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            read_request(&mut client).await;
            let _ = client.write_all(answer.as_bytes()).await;
        }
    });
    url
}

/// Takes connections and says nothing.
pub(crate) async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = url(&listener);
    tokio::spawn(async move {
        let mut clients = vec![];
        while let Ok((client, _)) = listener.accept().await {
            clients.push(client);
        }
    });
    url
}

async fn read_request(client: &mut TcpStream) {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next());
            if length.is_some_and(|length| body.len() >= length.parse().expect("a number")) {
                return;
            }
        }
        let mut chunk = [0; 4096];
        match client.read(&mut chunk).await {
            Ok(read @ 1..) => request.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
}

/// What is the same at every provider of messages: `send` hands one over to the provider at that address.
pub(crate) async fn ordinary_failures(send: impl AsyncFn(String) -> Result<Accepted, SendError>) {
    let told = async |url: String| format!("{:?}", send(url).await.expect_err("it is not taken"));
    let after_request = cut_off_after("").await;
    for (url, expected) in [
        (nobody().await, "Unreachable("),
        // Never answers to our hello.
        (silent().await.replace("http:", "https:"), "Unreachable("),
        (after_request.clone(), "InDoubt("),
        (cut_off_after("HTTP/1.1 20").await, "InDoubt("),
        (silent().await, "InDoubt("),
    ] {
        let found = told(url).await;
        assert!(found.starts_with(expected), "{expected} {found}");
        assert!(!found.contains(&after_request), "{found}");
    }
    let later = [("Retry-After", "7")];
    for (status, headers, expected) in [
        (429, &later[..], "Busy { after: 7s"),
        (429, &[], "Busy { after: 60s"),
        (503, &later, "Busy { after: 7s"),
        (503, &[], "InDoubt("),
        (500, &later, "InDoubt("),
        (502, &[], "InDoubt("),
        (401, &[], "Misconfigured(\"401"),
        (403, &[], "Misconfigured(\"403"),
        (404, &[], "Misconfigured(\"404"),
        (302, &[("Location", "https://elsewhere.example/")], "Misconfigured(\"302"),
        (413, &[], "Refused(\"413"),
        (422, &[], "Refused(\"422"),
    ] {
        let found = told(Stub::answering(status, headers, "").await.url).await;
        assert!(found.starts_with(expected), "{status}: {found}");
    }
}

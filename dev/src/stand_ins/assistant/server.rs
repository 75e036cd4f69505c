use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::net::TcpListener;

use super::{
    ActiveFault, Fault, anthropic,
    faults::Faults,
    openai,
    writer::{self, Written},
};
use crate::serving::Serving;

/// What a stand-in starts with.
#[derive(Debug, Clone)]
pub struct Options {
    pub key: String,
    /// How long each answer takes.
    pub latency: Duration,
}

/// A running stand-in. It ends when it is dropped.
pub struct StandIn {
    assistant: Assistant,
    serving: Serving,
}

/// What the request handlers share.
#[derive(Clone)]
pub(super) struct Assistant(Arc<Shared>);

struct Shared {
    options: Options,
    faults: Faults,
    asked: AtomicUsize,
    waiting: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl StandIn {
    /// Serves on `listener` until [`StandIn::stop`].
    pub async fn start(listener: TcpListener, options: Options) -> Self {
        let assistant = Assistant(Arc::new(Shared {
            options,
            faults: Faults::default(),
            asked: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        }));
        let router = Router::new()
            .route("/", get(index))
            .route("/v1/messages", post(anthropic::messages))
            .route("/v1/chat/completions", post(openai::completions))
            .route("/faults", post(set_fault))
            .with_state(assistant.clone());
        Self { assistant, serving: Serving::start(listener, router).await }
    }

    pub fn url(&self) -> String {
        self.serving.url()
    }

    pub fn set_fault(&self, trouble: ActiveFault) {
        self.assistant.0.faults.set(trouble);
    }

    /// All is well again.
    pub fn end_faults(&self) {
        self.assistant.0.faults.end_all();
    }

    /// How often something was asked.
    pub fn asked(&self) -> usize {
        self.assistant.0.asked.load(Ordering::SeqCst)
    }

    /// How many waited for an answer at the same time, at most.
    pub fn most_at_once(&self) -> usize {
        self.assistant.0.most_at_once.load(Ordering::SeqCst)
    }

    /// Finishes the requests under way and ends.
    pub async fn stop(self) {
        self.serving.stop().await;
    }
}

/// Somebody who waits for an answer.
struct Waiting(Assistant);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Why there is no answer.
pub(super) enum Failure {
    Down,
    Busy { seconds: u64 },
    Capped,
}

impl Assistant {
    pub(super) fn key(&self) -> &str {
        &self.0.options.key
    }

    /// Takes its time, and writes from the facts in this text.
    pub(super) async fn write(&self, user: &str) -> Result<Written, Failure> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let waiting = self.0.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        let _waiting = Waiting(self.clone());
        self.0.most_at_once.fetch_max(waiting, Ordering::SeqCst);
        let trouble = self.0.faults.next();
        let late = match trouble {
            Some(ActiveFault { fault: Fault::Slow, seconds, .. }) => Duration::from_secs(seconds),
            _ => self.0.options.latency,
        };
        tokio::time::sleep(late).await;
        match trouble.map(|trouble| (trouble.fault, trouble.seconds)) {
            Some((Fault::Down, _)) => Err(Failure::Down),
            Some((Fault::Busy, seconds)) => Err(Failure::Busy { seconds }),
            Some((Fault::Capped, _)) => Err(Failure::Capped),
            fault => Ok(writer::write(user, fault.map(|(fault, _)| fault))),
        }
    }
}

/// JSON, whatever the content type says.
async fn set_fault(State(assistant): State<Assistant>, body: String) -> Response {
    if body.trim().is_empty() {
        assistant.0.faults.end_all();
        return "all is well again\n".into_response();
    }
    match serde_json::from_str(&body) {
        Ok(trouble) => {
            assistant.0.faults.set(trouble);
            "so be it\n".into_response()
        }
        Err(error) => {
            (StatusCode::UNPROCESSABLE_ENTITY, format!("the body is not as expected: {error}\n")).into_response()
        }
    }
}

async fn index() -> &'static str {
    "A stand-in for an assistant, for development.\n\n\
     POST /faults    {\"fault\": \"slow\", \"count\": 1, \"seconds\": 5}: or down, busy, capped, nonsense, refusal, cut,\n\
     \x20               injection; until told otherwise without count; all is well again with an empty body\n\n\
     As with Anthropic, and as with OpenAI\n\
     POST /v1/messages\n\
     POST /v1/chat/completions\n"
}

//! An assistant that writes answers, and a worker that asks it.

use std::time::Duration;

use dev::stand_ins::assistant::{Options, StandIn};
use tokio::net::TcpListener;

const KEY: &str = "a-key-of-tests";

/// Starts an assistant that takes so long for each answer.
pub async fn assistant(latency: Duration) -> StandIn {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    StandIn::start(listener, Options { key: KEY.to_owned(), latency }).await
}

/// What a worker is told that asks it.
pub fn answering_through(assistant: &StandIn) -> Vec<(&'static str, String)> {
    vec![
        ("ASSISTANT", "anthropic".to_owned()),
        ("ASSISTANT_URL", assistant.url()),
        ("ASSISTANT_API_KEY", KEY.to_owned()),
    ]
}

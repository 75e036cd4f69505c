use std::time::Duration;

use reqwest::{RequestBuilder, Response};

use super::AssistantError;
use common::own_words;

use crate::http;

/// How long to leave an assistant alone that does not say until when.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);
/// More than an assistant may write, with its thoughts.
const MAX_ANSWER: usize = 4 << 20;

/// What an assistant answered.
pub(super) struct Answer {
    status: u16,
    wait: Option<Duration>,
    pub(super) body: Vec<u8>,
}

/// Asks, and tells a refusal from an answer: `kind` reads the provider's own name of a failure and its words.
pub(super) async fn ask(request: RequestBuilder) -> Result<Answer, AssistantError> {
    let unreachable = |error: reqwest::Error| AssistantError::Unreachable(error.without_url().into());
    let answer = request.send().await.map_err(unreachable)?;
    let (status, wait) = (answer.status().as_u16(), wait(&answer));
    let body = http::body(answer, MAX_ANSWER).await.map_err(|error| AssistantError::Unreachable(error.into()))?;
    Ok(Answer { status, wait, body })
}

/// In milliseconds where the provider is so exact.
fn wait(answer: &Response) -> Option<Duration> {
    let exact = answer.headers().get("retry-after-ms").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    exact.map(Duration::from_millis).or_else(|| http::retry_after(answer))
}

/// What an assistant wrote is kept as it came, but for the one character that PostgreSQL cannot store: customers may well ask for it.
pub(super) fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text }
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What the status means where the provider says nothing more exact. Asking again is safe: a question has no effect.
    pub(super) fn failure(&self, words: &str) -> AssistantError {
        let words = own_words(&format!("{} {words}", self.status));
        match self.status {
            429 | 529 => AssistantError::Busy { after: self.wait.unwrap_or(DEFAULT_WAIT) },
            503 if self.wait.is_some() => AssistantError::Busy { after: self.wait.unwrap_or(DEFAULT_WAIT) },
            408 | 409 | 500.. => AssistantError::Unreachable(words.into()),
            // Not let in, nothing paid, no such model, or not where the provider is.
            300..=399 | 401..=405 => AssistantError::Misconfigured(words),
            _ => AssistantError::Refused(words),
        }
    }

    pub(super) fn unreadable() -> AssistantError {
        AssistantError::Unreachable("the assistant's answer cannot be read".into())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{AssistantError, Written};
    use crate::test_server::{Stub, cut_off_after, nobody, silent};

    /// What is the same at every assistant: `ask` asks the one at that address.
    pub(crate) async fn ordinary_failures(ask: impl AsyncFn(String) -> Result<Written, AssistantError>) {
        for url in [
            nobody().await,
            silent().await,
            cut_off_after("").await,
            cut_off_after("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{").await,
        ] {
            let found = ask(url).await.expect_err("nothing is written");
            assert!(matches!(found, AssistantError::Unreachable(_)), "{found:?}");
        }
        for (status, headers, expected) in [
            (429, &[("Retry-After", "7")][..], "Busy { after: 7s }"),
            (429, &[("Retry-After", "7"), ("Retry-After-Ms", "6500")], "Busy { after: 6.5s }"),
            (429, &[], "Busy { after: 10s }"),
            (529, &[], "Busy { after: 10s }"),
            (503, &[("Retry-After", "7")], "Busy { after: 7s }"),
            (500, &[], "Unreachable("),
            (504, &[], "Unreachable("),
            (401, &[], "Misconfigured(\"401"),
            (402, &[], "Misconfigured(\"402"),
            (403, &[], "Misconfigured(\"403"),
            (404, &[], "Misconfigured(\"404"),
            (302, &[("Location", "https://elsewhere.example")], "Misconfigured(\"302"),
            (400, &[], "Refused(\"400"),
            (413, &[], "Refused(\"413"),
            (200, &[], "Unreachable("),
        ] {
            let stub = Stub::answering(status, headers, "").await;
            let found = format!("{:?}", ask(stub.url).await.expect_err("nothing is written"));
            assert!(found.starts_with(expected), "{status}: {found}");
        }
    }
}

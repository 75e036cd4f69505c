//! What every client has in common: a time limit, answers of bounded size, and no redirects, since the address of a service
//! is a setting and nothing else leads there.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode, header::RETRY_AFTER, redirect};
use serde::de::DeserializeOwned;

use crate::send::{NoProvider, SendError};
use common::own_words;

/// The longest that one request may take, with its answer.
pub const TIME_LIMIT: Duration = Duration::from_secs(20);
/// The longest that a service may make us wait by its own word.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// What a provider says of one message is short.
const MAX_WORDS: usize = 64 << 10;

/// Why there is no answer. Its text holds no address, since those hold keys.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("the service cannot be reached, or does not answer in time")]
    Unreachable(#[source] reqwest::Error),
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(error.without_url())
    }
}

impl From<NoAnswer> for NoProvider {
    fn from(error: NoAnswer) -> Self {
        Self::NoClient(error.into())
    }
}

pub(crate) fn client(time_limit: Duration) -> Result<Client, NoAnswer> {
    // Half of it for connecting, so that what ends in time while connecting is known to have told nothing.
    let client = Client::builder().timeout(time_limit).connect_timeout(time_limit / 2);
    Ok(client.redirect(redirect::Policy::none()).build()?)
}

/// The whole answer, if it is not too large.
pub(crate) async fn body(mut answer: Response, limit: usize) -> Result<Vec<u8>, NoAnswer> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Err(NoAnswer::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// How long to wait, in seconds, as far as the service says. Those that we ask never name a date.
pub(crate) fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// What a provider answered to a message that was handed over.
#[derive(Debug)]
pub(crate) struct Said {
    pub status: StatusCode,
    pub retry_after: Option<Duration>,
    /// The value of the header that was asked for.
    pub header: Option<String>,
    /// As much as came.
    pub body: Vec<u8>,
}

/// Hands a message over. `header` is one of the answer's that is of interest.
pub(crate) async fn hand_over(request: RequestBuilder, header: &str) -> Result<Said, SendError> {
    let answer = request.send().await.map_err(no_answer)?;
    let (status, retry_after) = (answer.status(), retry_after(&answer));
    let header = answer.headers().get(header).and_then(|value| value.to_str().ok()).map(str::to_owned);
    // The status alone says whether it was taken.
    let body = body(answer, MAX_WORDS).await.unwrap_or_default();
    Ok(Said { status, retry_after, header, body })
}

/// Without a connection nothing was told. After that it may have been, whatever went wrong.
fn no_answer(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    if error.is_builder() {
        SendError::misconfigured("the request cannot be written")
    } else if error.is_connect() {
        SendError::Unreachable(error.into())
    } else {
        SendError::InDoubt(error.into())
    }
}

impl Said {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// What the status means where the provider says nothing more exact. A server's own failure leaves in doubt whether the
    /// message was taken, and even 503 does: proxies say so when they lose the connection behind them.
    pub(crate) fn failure(&self, words: &str) -> SendError {
        let words = format!("{} {words}", self.status.as_u16());
        match self.status.as_u16() {
            408 | 429 => SendError::busy(self.retry_after, &words),
            503 if self.retry_after.is_some() => SendError::busy(self.retry_after, &words),
            // Not let in, or not where the provider is.
            300..=399 | 401..=405 => SendError::misconfigured(&words),
            400..=499 => SendError::refused(&words),
            _ => SendError::InDoubt(own_words(&words).into()),
        }
    }
}

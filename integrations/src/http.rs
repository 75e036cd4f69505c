//! What every client has in common: a time limit, answers of bounded size, and no redirects, since the address of a service
//! is a setting and nothing else leads there.

use std::time::Duration;

use reqwest::{Client, Response, header::RETRY_AFTER, redirect};

/// The longest that one request may take, with its answer.
pub const TIME_LIMIT: Duration = Duration::from_secs(20);
/// The longest that a service may make us wait by its own word.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

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

pub(crate) fn client(time_limit: Duration) -> Result<Client, NoAnswer> {
    Ok(Client::builder().timeout(time_limit).redirect(redirect::Policy::none()).build()?)
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

//! Cloudflare's Turnstile: whether a form was filled in by a person.
//! <https://developers.cloudflare.com/turnstile/get-started/server-side-validation/>

use std::{net::IpAddr, time::Duration};

use common::secrets::Secret;
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};

use crate::http::{self, NoAnswer};

pub const DEFAULT_URL: &str = "https://challenges.cloudflare.com";
/// Characters that a token may have.
const MAX_TOKEN: usize = 2048;
const MAX_ANSWER: usize = 16 << 10;

/// A client of Turnstile, for any site.
#[derive(Debug, Clone)]
pub struct Turnstile {
    http: Client,
    url: Url,
}

/// What Turnstile says of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the token was given to somebody who passed, and was used for the first time. A token of another page of the
    /// same site's key passes as well: that is for who asks to tell by the next two.
    pub passed: bool,
    /// Of the page on which it was given.
    pub hostname: Option<String>,
    /// What the page says that it is for.
    pub action: Option<String>,
    /// Why it did not pass, such as `timeout-or-duplicate`.
    pub error_codes: Vec<String>,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    #[error("Turnstile cannot be reached")]
    Unreachable(#[from] NoAnswer),
    #[error("Turnstile has a problem of its own")]
    Failed,
    /// Until somebody corrects it, nothing is verified.
    #[error("Turnstile does not know the secret key")]
    WrongSecret,
    #[error("Turnstile's answer cannot be read")]
    Unreadable,
    #[error("the address of Turnstile is not a URL")]
    InvalidUrl,
}

#[derive(Serialize)]
struct Question<'a> {
    secret: &'a str,
    response: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    remoteip: Option<IpAddr>,
    idempotency_key: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    success: bool,
    hostname: Option<String>,
    action: Option<String>,
    #[serde(default, rename = "error-codes")]
    error_codes: Vec<String>,
}

impl Turnstile {
    /// Prepares for asking; nothing is sent yet.
    pub fn new(url: &str) -> Result<Self, Unavailable> {
        Self::within(url, http::TIME_LIMIT)
    }

    pub fn within(url: &str, time_limit: Duration) -> Result<Self, Unavailable> {
        let url = Url::parse(url).ok().and_then(|url| url.join("/turnstile/v0/siteverify").ok());
        Ok(Self { http: http::client(time_limit)?, url: url.ok_or(Unavailable::InvalidUrl)? })
    }

    /// Asks about a token, which can be done once; again only with the same idempotency key, a UUID.
    pub async fn verify(
        &self,
        secret: &Secret,
        token: &str,
        remote_ip: Option<IpAddr>,
        idempotency_key: &str,
    ) -> Result<Verdict, Unavailable> {
        if token.is_empty() || token.chars().count() > MAX_TOKEN {
            return Ok(Verdict::refused("invalid-input-response"));
        }
        let question = Question { secret: secret.expose(), response: token, remoteip: remote_ip, idempotency_key };
        let answer = self.http.post(self.url.clone()).json(&question).send().await.map_err(NoAnswer::from)?;
        let status = answer.status();
        if status.is_server_error() {
            return Err(Unavailable::Failed);
        }
        let body = http::body(answer, MAX_ANSWER).await?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| Unavailable::Unreadable)?;
        answer.verdict()
    }
}

impl Verdict {
    fn refused(code: &str) -> Self {
        Self { passed: false, hostname: None, action: None, error_codes: vec![code.to_owned()] }
    }
}

impl Answer {
    /// Some of its errors say nothing of the token.
    fn verdict(self) -> Result<Verdict, Unavailable> {
        let says = |code: &str| !self.success && self.error_codes.iter().any(|said| said == code);
        if says("missing-input-secret") || says("invalid-input-secret") {
            return Err(Unavailable::WrongSecret);
        }
        if says("internal-error") {
            return Err(Unavailable::Failed);
        }
        if says("bad-request") {
            return Err(Unavailable::Unreadable);
        }
        let Self { success, hostname, action, error_codes } = self;
        let named = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Verdict { passed: success, hostname: named(hostname), action: named(action), error_codes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_of_the_token_is_no_verdict() {
        let verdict = |json: &str| serde_json::from_str::<Answer>(json).expect(json).verdict();
        for (json, expected) in [
            (
                r#"{"success":true,"error-codes":[],"hostname":"bil.example","action":"","cdata":""}"#,
                "passed: true, hostname: Some(\"bil.example\"), action: None",
            ),
            (r#"{"success":false,"error-codes":["timeout-or-duplicate"]}"#, "passed: false"),
            (r#"{"success":false,"error-codes":["invalid-input-secret"]}"#, "WrongSecret"),
            (r#"{"success":false,"error-codes":["internal-error"]}"#, "Failed"),
            (r#"{"success":false,"error-codes":["bad-request"]}"#, "Unreadable"),
            (r#"{"success":true,"error-codes":["internal-error"]}"#, "passed: true"),
        ] {
            let found = format!("{:?}", verdict(json));
            assert!(found.contains(expected), "{json}: {found}");
        }
    }
}

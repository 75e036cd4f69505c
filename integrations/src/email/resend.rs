//! Resend. <https://resend.com/docs/api-reference/emails/send-email>

use std::{collections::BTreeMap, time::Duration};

use common::secrets::Secret;
use futures::future::BoxFuture;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Accepted, EmailSender, NoProvider, OutgoingEmail, SendError};
use crate::{
    http::{self, Said},
    send,
};

pub const DEFAULT_URL: &str = "https://api.resend.com";
/// How long a request with the same key may still be running.
const CONCURRENT: Duration = Duration::from_secs(5);
/// The daily quota counts a moving day.
const DAILY: Duration = Duration::from_hours(1);

/// Takes a mail with the same id once in 24 hours.
#[derive(Debug)]
pub struct Resend {
    http: Client,
    url: Url,
    key: Secret,
}

#[derive(Deserialize)]
struct Taken {
    id: String,
}

/// <https://resend.com/docs/api-reference/errors>
#[derive(Deserialize, Default)]
#[serde(default)]
struct Failure {
    name: String,
    message: String,
}

impl Resend {
    /// Prepares for sending; nothing is sent yet.
    pub fn new(url: &str, key: Secret) -> Result<Self, NoProvider> {
        Self::within(url, key, http::TIME_LIMIT)
    }

    pub fn within(url: &str, key: Secret, time_limit: Duration) -> Result<Self, NoProvider> {
        Ok(Self { http: crate::http::client(time_limit)?, url: send::endpoint(url, "/emails")?, key })
    }

    async fn deliver(&self, mail: &OutgoingEmail) -> Result<Accepted, SendError> {
        let request = self.http.post(self.url.clone()).bearer_auth(self.key.expose());
        let request = request.header("idempotency-key", mail.id.to_string()).json(&body(mail));
        let said = http::hand_over(request, "").await?;
        if said.status.is_success() || was_taken_before(&said) {
            return Ok(Accepted { provider_id: said.json::<Taken>().map(|taken| taken.id) });
        }
        Err(failure(&said))
    }
}

fn body(mail: &OutgoingEmail) -> Value {
    let headers: BTreeMap<_, _> = mail.headers().into_iter().collect();
    let mut body = json!({
        "from": mail.from.written(),
        "to": [mail.to.written()],
        "subject": mail.subject_line(),
        "text": mail.text,
        "html": mail.html,
        "headers": headers,
        // Tags take no dots.
        "tags": [{ "name": "norvalt", "value": mail.tag.replace('.', "_") }],
    });
    if let Some(reply_to) = &mail.reply_to {
        body["reply_to"] = json!(reply_to.written());
    }
    body
}

/// A mail with this id was taken that was not the same to the byte: what is quoted and what it answers may have changed
/// since.
fn was_taken_before(said: &Said) -> bool {
    said.json().is_some_and(|Failure { name, .. }| name == "invalid_idempotent_request")
}

fn failure(said: &Said) -> SendError {
    let Failure { name, message } = said.json().unwrap_or_default();
    let words = format!("{name}: {message}");
    match name.as_str() {
        "concurrent_idempotent_requests" => SendError::busy(Some(CONCURRENT), &words),
        "daily_quota_exceeded" => SendError::busy(Some(said.retry_after.unwrap_or(DAILY)), &words),
        "monthly_quota_exceeded" | "invalid_from_address" => SendError::misconfigured(&words),
        // Also said with 400.
        "validation_error" if message.starts_with("API key is invalid") => SendError::misconfigured(&words),
        _ => said.failure(&words),
    }
}

impl EmailSender for Resend {
    fn send<'a>(&'a self, mail: &'a OutgoingEmail) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(self.deliver(mail))
    }

    fn provider(&self) -> &'static str {
        "resend"
    }

    fn is_idempotent(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        email::tests::mail,
        test_server::{Stub, ordinary_failures},
    };

    fn client(url: &str) -> Resend {
        Resend::within(url, Secret::new("re_key"), Duration::from_secs(2)).expect("a client")
    }

    #[tokio::test]
    async fn a_mail_is_posted_as_resend_reads_it() {
        let mut stub = Stub::answering(200, &[], r#"{"id":"49a3999c"}"#).await;
        let accepted = client(&stub.url).send(&mail()).await.expect("it is taken");
        assert_eq!(accepted.provider_id.as_deref(), Some("49a3999c"));
        let seen = stub.seen().await;
        assert_eq!((seen.line.as_str(), seen.header("authorization")), ("POST /emails", "Bearer re_key"));
        assert_eq!(seen.header("idempotency-key"), "00000000-0000-0000-0000-000000000007");
        let expected = json!({
            "from": "\"Bil \\\"Bø\\\", AS\" <svar@norvalt.no>",
            "to": ["\"Kåre Ødegård\" <kari@example.no>"],
            "reply_to": "lead+abc@inbound.norvalt.no",
            "subject": "Prøvekjøring",
            "text": "Hei!\n",
            "html": "<p>Hei!</p>",
            "headers": {
                "Message-ID": "<7@svar.norvalt.no>",
                "In-Reply-To": "<2@example.no>",
                "References": "<1@example.no> <2@example.no>",
                "Auto-Submitted": "auto-replied",
                "X-Auto-Response-Suppress": "All",
                "List-Unsubscribe": "<https://api.norvalt.no/u/7>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            },
            "tags": [{ "name": "norvalt", "value": "m_7" }],
        });
        assert_eq!(seen.json(), expected);
    }

    #[tokio::test]
    async fn a_mail_that_is_there_in_other_words_was_taken() {
        let body = r#"{"statusCode":409,"name":"invalid_idempotent_request","message":"Same key, other payload."}"#;
        let stub = Stub::answering(409, &[], body).await;
        let accepted = client(&stub.url).send(&mail()).await.expect("it was taken before");
        assert_eq!(accepted.provider_id, None);
    }

    #[tokio::test]
    async fn each_failure_says_what_to_do() {
        ordinary_failures(async |url| client(&url).send(&mail()).await).await;
        for (status, name, message, expected) in [
            (409, "concurrent_idempotent_requests", "", "Busy { after: 5s"),
            (429, "rate_limit_exceeded", "", "Busy { after: 60s"),
            (429, "daily_quota_exceeded", "", "Busy { after: 3600s"),
            (429, "monthly_quota_exceeded", "", "Misconfigured("),
            (
                422,
                "validation_error",
                "Invalid `to`: kari@example.no",
                "Refused(\"422 validation_error: Invalid `to`: …\")",
            ),
            (422, "invalid_from_address", "", "Misconfigured("),
            (400, "validation_error", "API key is invalid", "Misconfigured("),
            (403, "validation_error", "The norvalt.no domain is not verified", "Misconfigured("),
            (500, "application_error", "", "InDoubt("),
        ] {
            let body = json!({ "statusCode": status, "name": name, "message": message }).to_string();
            let stub = Stub::answering(status, &[], &body).await;
            let found = format!("{:?}", client(&stub.url).send(&mail()).await.expect_err(name));
            assert!(found.starts_with(expected), "{name}: {found}");
        }
    }
}

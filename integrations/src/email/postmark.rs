//! Postmark. <https://postmarkapp.com/developer/api/email-api>

use std::time::Duration;

use common::secrets::Secret;
use futures::future::BoxFuture;
use reqwest::{Client, Url, header::ACCEPT};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Accepted, EmailSender, NoProvider, OutgoingEmail, SendError};
use crate::{
    http::{self, Said},
    send,
};

pub const DEFAULT_URL: &str = "https://api.postmarkapp.com";

/// Has no idempotency: a mail that is handed over twice goes out twice.
#[derive(Debug)]
pub struct Postmark {
    http: Client,
    url: Url,
    token: Secret,
}

/// <https://postmarkapp.com/developer/api/overview#error-codes>
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    error_code: u32,
    #[serde(default)]
    message: String,
    #[serde(rename = "MessageID")]
    message_id: Option<String>,
}

impl Postmark {
    /// Prepares for sending; nothing is sent yet.
    pub fn new(url: &str, token: Secret) -> Result<Self, NoProvider> {
        Self::within(url, token, http::TIME_LIMIT)
    }

    pub fn within(url: &str, token: Secret, time_limit: Duration) -> Result<Self, NoProvider> {
        Ok(Self { http: crate::http::client(time_limit)?, url: send::endpoint(url, "/email")?, token })
    }

    async fn deliver(&self, mail: &OutgoingEmail) -> Result<Accepted, SendError> {
        let request = self.http.post(self.url.clone()).header(ACCEPT, "application/json");
        let request = request.header("x-postmark-server-token", self.token.expose()).json(&body(mail));
        taken(&http::hand_over(request, "").await?)
    }
}

/// Nothing is tracked and no link rewritten, whatever the server's settings say.
fn body(mail: &OutgoingEmail) -> Value {
    let headers = mail.headers().into_iter().map(|(name, value)| json!({ "Name": name, "Value": value }));
    // Otherwise Postmark puts an id of its own in place of ours.
    let headers: Vec<_> = headers.chain([json!({ "Name": "X-PM-KeepID", "Value": "true" })]).collect();
    let mut body = json!({
        "From": mail.from.written(),
        "To": mail.to.written(),
        "Subject": mail.subject_line(),
        "TextBody": mail.text,
        "HtmlBody": mail.html,
        "Headers": headers,
        "Metadata": { "norvalt": mail.tag },
        "MessageStream": "outbound",
        "TrackOpens": false,
        "TrackLinks": "None",
    });
    if let Some(reply_to) = &mail.reply_to {
        body["ReplyTo"] = json!(reply_to.written());
    }
    body
}

fn taken(said: &Said) -> Result<Accepted, SendError> {
    let Some(Answer { error_code, message, message_id }) = said.json() else {
        return if said.status.is_success() { Ok(Accepted { provider_id: None }) } else { Err(said.failure("")) };
    };
    let words = format!("error {error_code}: {message}");
    match error_code {
        0 if said.status.is_success() => Ok(Accepted { provider_id: message_id }),
        // Down for maintenance.
        100 => Err(SendError::busy(said.retry_after, &words)),
        // The token, the sender, the account or the stream: not this mail.
        10 | 400..=403 | 405 | 412 | 413 | 1235 => Err(SendError::misconfigured(&words)),
        0 => Err(said.failure(&message)),
        _ if said.status.is_server_error() || said.status.as_u16() == 429 => Err(said.failure(&words)),
        _ => Err(SendError::refused(&words)),
    }
}

impl EmailSender for Postmark {
    fn send<'a>(&'a self, mail: &'a OutgoingEmail) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(self.deliver(mail))
    }

    fn provider(&self) -> &'static str {
        "postmark"
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

    fn client(url: &str) -> Postmark {
        Postmark::within(url, Secret::new("token"), Duration::from_secs(2)).expect("a client")
    }

    #[tokio::test]
    async fn a_mail_is_posted_as_postmark_reads_it() {
        let answer = r#"{"To":"kari@example.no","SubmittedAt":"2026-11-30T12:00:00Z","MessageID":"b7bc2f4a","ErrorCode":0,"Message":"OK"}"#;
        let mut stub = Stub::answering(200, &[], answer).await;
        let accepted = client(&stub.url).send(&mail()).await.expect("it is taken");
        assert_eq!(accepted.provider_id.as_deref(), Some("b7bc2f4a"));
        let seen = stub.seen().await;
        assert_eq!((seen.line.as_str(), seen.header("x-postmark-server-token")), ("POST /email", "token"));
        assert_eq!(seen.header("accept"), "application/json");
        let expected = json!({
            "From": "\"Bil \\\"Bø\\\", AS\" <svar@norvalt.no>",
            "To": "\"Kåre Ødegård\" <kari@example.no>",
            "ReplyTo": "lead+abc@inbound.norvalt.no",
            "Subject": "Prøvekjøring",
            "TextBody": "Hei!\n",
            "HtmlBody": "<p>Hei!</p>",
            "Headers": [
                { "Name": "Message-ID", "Value": "<7@svar.norvalt.no>" },
                { "Name": "In-Reply-To", "Value": "<2@example.no>" },
                { "Name": "References", "Value": "<1@example.no> <2@example.no>" },
                { "Name": "Auto-Submitted", "Value": "auto-replied" },
                { "Name": "X-Auto-Response-Suppress", "Value": "All" },
                { "Name": "List-Unsubscribe", "Value": "<https://api.norvalt.no/u/7>" },
                { "Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click" },
                { "Name": "X-PM-KeepID", "Value": "true" },
            ],
            "Metadata": { "norvalt": "m.7" },
            "MessageStream": "outbound",
            "TrackOpens": false,
            "TrackLinks": "None",
        });
        assert_eq!(seen.json(), expected);
    }

    #[tokio::test]
    async fn each_failure_says_what_to_do() {
        ordinary_failures(async |url| client(&url).send(&mail()).await).await;
        for (status, code, message, expected) in [
            (401, 10, "Bad or missing server token", "Misconfigured("),
            (422, 300, "Invalid 'To' address: 'kari@example.no'.", "Refused(\"error 300: Invalid 'To' address: '…'"),
            (422, 406, "You tried to send to inactive recipients: kari@example.no", "Refused("),
            (422, 400, "The 'From' address is no Sender Signature", "Misconfigured("),
            (422, 405, "Not allowed to send: out of credits", "Misconfigured("),
            (422, 412, "Your account is pending approval", "Misconfigured("),
            (503, 100, "Offline for maintenance", "Busy { after: 60s"),
            (200, 300, "Not so", "Refused("),
        ] {
            let stub =
                Stub::answering(status, &[], &json!({ "ErrorCode": code, "Message": message }).to_string()).await;
            let found = format!("{:?}", client(&stub.url).send(&mail()).await.expect_err(message));
            assert!(found.starts_with(expected), "{message}: {found}");
        }
    }
}

//! `SendGrid`. <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send>

use std::{collections::BTreeMap, time::Duration};

use common::secrets::Secret;
use futures::future::BoxFuture;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Accepted, EmailSender, Mailbox, NoProvider, OutgoingEmail, SendError};
use crate::{
    http::{self, Said},
    send,
};

/// `https://api.eu.sendgrid.com` for subusers in the EU.
pub const DEFAULT_URL: &str = "https://api.sendgrid.com";

/// Has no idempotency: a mail that is handed over twice goes out twice.
#[derive(Debug)]
pub struct SendGrid {
    http: Client,
    url: Url,
    key: Secret,
}

#[derive(Deserialize)]
struct Failed {
    errors: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    message: String,
}

impl SendGrid {
    /// Prepares for sending; nothing is sent yet.
    pub fn new(url: &str, key: Secret) -> Result<Self, NoProvider> {
        Self::within(url, key, http::TIME_LIMIT)
    }

    pub fn within(url: &str, key: Secret, time_limit: Duration) -> Result<Self, NoProvider> {
        Ok(Self { http: crate::http::client(time_limit)?, url: send::endpoint(url, "/v3/mail/send")?, key })
    }

    async fn deliver(&self, mail: &OutgoingEmail) -> Result<Accepted, SendError> {
        let request = self.http.post(self.url.clone()).bearer_auth(self.key.expose()).json(&body(mail));
        let said = http::hand_over(request, "x-message-id").await?;
        if said.status.is_success() {
            return Ok(Accepted { provider_id: said.header });
        }
        Err(said.failure(&reasons(&said)))
    }
}

/// Nothing is tracked and no link rewritten, whatever the account's settings say.
fn body(mail: &OutgoingEmail) -> Value {
    let off = json!({ "enable": false });
    let headers: BTreeMap<_, _> = mail.headers().into_iter().collect();
    let mut body = json!({
        "personalizations": [{ "to": [mailbox(&mail.to)] }],
        "from": mailbox(&mail.from),
        "subject": mail.subject_line(),
        "content": [
            { "type": "text/plain", "value": mail.text },
            { "type": "text/html", "value": mail.html },
        ],
        "headers": headers,
        "custom_args": { "norvalt": mail.tag },
        "tracking_settings": {
            "click_tracking": { "enable": false, "enable_text": false },
            "open_tracking": off,
            "subscription_tracking": off,
        },
    });
    if let Some(reply_to) = &mail.reply_to {
        body["reply_to"] = mailbox(reply_to);
    }
    body
}

fn mailbox(mailbox: &Mailbox) -> Value {
    match mailbox.shown_name() {
        Some(name) => json!({ "email": mailbox.address, "name": name }),
        None => json!({ "email": mailbox.address }),
    }
}

fn reasons(said: &Said) -> String {
    let failed: Option<Failed> = said.json();
    let messages = failed.into_iter().flat_map(|failed| failed.errors).map(|failure| failure.message);
    messages.collect::<Vec<_>>().join("; ")
}

impl EmailSender for SendGrid {
    fn send<'a>(&'a self, mail: &'a OutgoingEmail) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(self.deliver(mail))
    }

    fn provider(&self) -> &'static str {
        "sendgrid"
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

    fn client(url: &str) -> SendGrid {
        SendGrid::within(url, Secret::new("SG.key"), Duration::from_secs(2)).expect("a client")
    }

    #[tokio::test]
    async fn a_mail_is_posted_as_sendgrid_reads_it() {
        let mut stub = Stub::answering(202, &[("X-Message-Id", "14c5d75ce93")], "").await;
        let accepted = client(&stub.url).send(&mail()).await.expect("it is taken");
        assert_eq!(accepted.provider_id.as_deref(), Some("14c5d75ce93"));
        let seen = stub.seen().await;
        assert_eq!((seen.line.as_str(), seen.header("authorization")), ("POST /v3/mail/send", "Bearer SG.key"));
        let expected = json!({
            "personalizations": [{ "to": [{ "email": "kari@example.no", "name": "Kåre Ødegård" }] }],
            "from": { "email": "svar@norvalt.no", "name": "Bil \"Bø\", AS" },
            "reply_to": { "email": "lead+abc@inbound.norvalt.no" },
            "subject": "Prøvekjøring",
            "content": [
                { "type": "text/plain", "value": "Hei!\n" },
                { "type": "text/html", "value": "<p>Hei!</p>" },
            ],
            "headers": {
                "Message-ID": "<7@svar.norvalt.no>",
                "In-Reply-To": "<2@example.no>",
                "References": "<1@example.no> <2@example.no>",
                "Auto-Submitted": "auto-replied",
                "X-Auto-Response-Suppress": "All",
                "List-Unsubscribe": "<https://api.norvalt.no/u/7>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            },
            "custom_args": { "norvalt": "m.7" },
            "tracking_settings": {
                "click_tracking": { "enable": false, "enable_text": false },
                "open_tracking": { "enable": false },
                "subscription_tracking": { "enable": false },
            },
        });
        assert_eq!(seen.json(), expected);
    }

    #[tokio::test]
    async fn each_failure_says_what_to_do() {
        ordinary_failures(async |url| client(&url).send(&mail()).await).await;
        let body = r#"{"errors":[{"message":"The to address kari@example.no is bad","field":"personalizations"}]}"#;
        let stub = Stub::answering(400, &[], body).await;
        let refused = client(&stub.url).send(&mail()).await.expect_err("it is refused");
        assert!(matches!(&refused, SendError::Refused(words) if words == "400 The to address … is bad"), "{refused:?}");
    }
}

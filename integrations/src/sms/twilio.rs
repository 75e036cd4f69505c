//! Twilio. <https://www.twilio.com/docs/messaging/api/message-resource>

use std::time::Duration;

use common::secrets::Secret;
use futures::future::BoxFuture;
use reqwest::{Client, Url, header::CONTENT_TYPE};
use serde::Deserialize;

use super::{Accepted, NoProvider, OutgoingSms, SendError, SmsSender};
use crate::{
    http::{self, Said},
    send,
};

pub const DEFAULT_URL: &str = "https://api.twilio.com";
/// An answer that comes later than this, in seconds, is better not delivered.
const VALIDITY: &str = "14400";
/// Until a daily limit may have room again.
const DAILY: Duration = Duration::from_hours(1);

/// How to reach Twilio, and as whom.
#[derive(Debug, Clone)]
pub struct Settings {
    pub url: String,
    pub account: String,
    pub token: Secret,
    /// Where it reports to, with `?tag=` after it; without it, nothing is reported.
    pub status_callback: Option<String>,
    /// For one request, with its answer.
    pub time_limit: Duration,
}

impl Settings {
    pub fn new(account: impl Into<String>, token: Secret) -> Self {
        let url = DEFAULT_URL.to_owned();
        Self { url, account: account.into(), token, status_callback: None, time_limit: http::TIME_LIMIT }
    }
}

/// Has no idempotency: a message that is handed over twice goes out twice.
#[derive(Debug)]
pub struct Twilio {
    http: Client,
    url: Url,
    account: String,
    token: Secret,
    status_callback: Option<Url>,
}

#[derive(Deserialize)]
struct Taken {
    sid: String,
    status: Option<String>,
    error_code: Option<u32>,
}

/// <https://www.twilio.com/docs/api/errors>
#[derive(Deserialize, Default)]
#[serde(default)]
struct Failure {
    code: u32,
    message: String,
}

impl Twilio {
    /// Prepares for sending; nothing is sent yet.
    pub fn new(settings: Settings) -> Result<Self, NoProvider> {
        let Settings { url, account, token, status_callback, time_limit } = settings;
        let status_callback = status_callback.map(|url| send::endpoint(&url, "")).transpose()?;
        let url = send::endpoint(&url, &format!("/2010-04-01/Accounts/{account}/Messages.json"))?;
        Ok(Self { http: crate::http::client(time_limit)?, url, account, token, status_callback })
    }

    async fn deliver(&self, sms: &OutgoingSms) -> Result<Accepted, SendError> {
        let request = self.http.post(self.url.clone()).basic_auth(&self.account, Some(self.token.expose()));
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(self.body(sms));
        let said = http::hand_over(request, "").await?;
        if said.status.is_success() { taken(&said) } else { Err(failure(&said)) }
    }

    fn body(&self, sms: &OutgoingSms) -> String {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs([("To", &sms.to), ("From", &sms.from), ("Body", &sms.text)]);
        body.append_pair("ValidityPeriod", VALIDITY);
        if let Some(mut url) = self.status_callback.clone() {
            url.query_pairs_mut().append_pair("tag", &sms.tag);
            body.append_pair("StatusCallback", url.as_str());
        }
        body.finish()
    }
}

fn taken(said: &Said) -> Result<Accepted, SendError> {
    let Some(Taken { sid, status, error_code }) = said.json() else { return Ok(Accepted { provider_id: None }) };
    match status.as_deref() {
        Some("failed" | "undelivered") => {
            Err(SendError::refused(&format!("failed at once ({})", error_code.unwrap_or_default())))
        }
        _ => Ok(Accepted { provider_id: Some(sid) }),
    }
}

fn failure(said: &Said) -> SendError {
    let Failure { code, message } = said.json().unwrap_or_default();
    let words = format!("error {code}: {message}");
    match code {
        // Too many at once, or the sender's queue is full.
        14107 | 20429 | 21611 | 30001 => SendError::busy(said.retry_after, &words),
        // The day's messages are used up.
        63038 => SendError::busy(Some(said.retry_after.unwrap_or(DAILY)), &words),
        // The login, the account, or the number or name that we send from.
        20003 | 20005 | 20404 | 21212 | 21606 | 21659 | 21660 => SendError::misconfigured(&words),
        _ => said.failure(&words),
    }
}

impl SmsSender for Twilio {
    fn send<'a>(&'a self, sms: &'a OutgoingSms) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(self.deliver(sms))
    }

    fn provider(&self) -> &'static str {
        "twilio"
    }

    fn reports_delivery(&self) -> bool {
        self.status_callback.is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        sms::sms,
        test_server::{Stub, ordinary_failures},
    };

    fn client(url: &str) -> Twilio {
        let settings = Settings::new("AC7", Secret::new("token"));
        let status_callback = Some("https://api.norvalt.no/webhooks/twilio/events".to_owned());
        let time_limit = Duration::from_secs(2);
        Twilio::new(Settings { url: url.to_owned(), status_callback, time_limit, ..settings }).expect("a client")
    }

    #[tokio::test]
    async fn a_message_is_posted_as_twilio_reads_it() {
        let mut stub = Stub::answering(201, &[], r#"{"sid":"SM7","status":"queued","error_code":null}"#).await;
        let twilio = client(&stub.url);
        assert!(twilio.reports_delivery());
        assert_eq!(twilio.send(&sms()).await.expect("it is taken").provider_id.as_deref(), Some("SM7"));
        let seen = stub.seen().await;
        assert_eq!(seen.line, "POST /2010-04-01/Accounts/AC7/Messages.json");
        assert_eq!(seen.header("authorization"), "Basic QUM3OnRva2Vu");
        assert_eq!(seen.header("content-type"), "application/x-www-form-urlencoded");
        let fields: Vec<(String, String)> = form_urlencoded::parse(&seen.body).into_owned().collect();
        let expected = [
            ("To", "+4791234567"),
            ("From", "+4759440000"),
            ("Body", "Hei \"Kåre\" & {id}!"),
            ("ValidityPeriod", "14400"),
            ("StatusCallback", "https://api.norvalt.no/webhooks/twilio/events?tag=m.7"),
        ];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[tokio::test]
    async fn each_failure_says_what_to_do() {
        ordinary_failures(async |url| client(&url).send(&sms()).await).await;
        for (status, code, message, expected) in [
            (
                400,
                21211,
                "The 'To' number +4791234567 is not valid.",
                "Refused(\"400 error 21211: The 'To' number … is not",
            ),
            (400, 21614, "'To' number is not a mobile number", "Refused("),
            (400, 21610, "Attempt to send to unsubscribed recipient", "Refused("),
            (400, 21606, "The 'From' number is not yours", "Misconfigured("),
            (400, 21611, "'From' number has exceeded its queue", "Busy { after: 60s"),
            (429, 63038, "Account exceeded the daily messages limit", "Busy { after: 3600s"),
            (401, 20003, "Authenticate", "Misconfigured("),
        ] {
            let body = json!({ "code": code, "message": message, "status": status }).to_string();
            let stub = Stub::answering(status, &[], &body).await;
            let found = format!("{:?}", client(&stub.url).send(&sms()).await.expect_err(message));
            assert!(found.starts_with(expected), "{message}: {found}");
        }
        let stub = Stub::answering(201, &[], r#"{"sid":"SM7","status":"failed","error_code":30003}"#).await;
        assert!(matches!(client(&stub.url).send(&sms()).await, Err(SendError::Refused(_))));
    }
}

//! Any gateway that takes a text message as JSON, described by settings.

use std::time::Duration;

use common::config::HttpGateway;
use futures::future::BoxFuture;
use reqwest::{
    Client, Url,
    header::{AUTHORIZATION, HeaderValue},
};
use serde_json::Value;

use super::{Accepted, NoProvider, OutgoingSms, SendError, SmsSender};
use crate::{
    http::{self, Said},
    send,
};

/// Nothing is known of its idempotency or its reports: it counts as having neither.
#[derive(Debug)]
pub struct Gateway {
    http: Client,
    url: Url,
    /// Marked sensitive: not shown.
    authorization: Option<HeaderValue>,
    body: Value,
    id: Option<String>,
}

impl Gateway {
    /// Prepares for sending; nothing is sent yet.
    pub fn new(settings: HttpGateway) -> Result<Self, NoProvider> {
        Self::within(settings, http::TIME_LIMIT)
    }

    pub fn within(settings: HttpGateway, time_limit: Duration) -> Result<Self, NoProvider> {
        let HttpGateway { url, authorization, body, id } = settings;
        let authorization = authorization.map(|value| HeaderValue::from_str(value.expose()));
        let mut authorization = authorization.transpose().map_err(|error| NoProvider::InvalidSetting(error.into()))?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        Ok(Self { http: crate::http::client(time_limit)?, url: send::endpoint(&url, "")?, authorization, body, id })
    }

    async fn deliver(&self, sms: &OutgoingSms) -> Result<Accepted, SendError> {
        let mut request = self.http.post(self.url.clone()).json(&filled(&self.body, sms));
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let said = http::hand_over(request, "").await?;
        if said.status.is_success() {
            return Ok(Accepted { provider_id: self.provider_id(&said) });
        }
        Err(said.failure(&String::from_utf8_lossy(&said.body)))
    }

    fn provider_id(&self, said: &Said) -> Option<String> {
        let answer: Value = said.json()?;
        match answer.pointer(self.id.as_deref()?)? {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        }
    }
}

/// The template with the message's own in its strings: what a customer wrote cannot become JSON, nor another placeholder.
fn filled(template: &Value, sms: &OutgoingSms) -> Value {
    match template {
        Value::String(text) => Value::String(filled_text(text, sms)),
        Value::Array(items) => items.iter().map(|item| filled(item, sms)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), filled(value, sms))).collect(),
        other => other.clone(),
    }
}

fn filled_text(template: &str, sms: &OutgoingSms) -> String {
    let id = sms.id.to_string();
    let values = [("{from}", &sms.from), ("{to}", &sms.to), ("{text}", &sms.text), ("{id}", &id)];
    let mut filled = String::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let (before, from) = rest.split_at(start);
        let named = values.iter().find(|(name, _)| from.starts_with(name));
        let (put, length) = named.map_or(("{", 1), |(name, value)| (value.as_str(), name.len()));
        filled.push_str(before);
        filled.push_str(put);
        rest = &from[length..];
    }
    filled + rest
}

impl SmsSender for Gateway {
    fn send<'a>(&'a self, sms: &'a OutgoingSms) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(self.deliver(sms))
    }

    fn provider(&self) -> &'static str {
        "http"
    }

    fn reports_delivery(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use common::secrets::Secret;
    use serde_json::json;

    use super::*;
    use crate::{
        sms::sms,
        test_server::{Stub, ordinary_failures},
    };

    fn client(url: &str) -> Gateway {
        let settings = HttpGateway {
            url: format!("{url}/v2/send?route=1"),
            authorization: Some(Secret::new("Key hunter2")),
            body: json!({
                "messages": [{ "to": "{to}", "from": "{from}", "content": { "text": "[{text}] {x} {" }, "ttl": 240 }],
                "reference": "norvalt-{id}",
            }),
            id: Some("/messages/0/id".into()),
        };
        Gateway::within(settings, Duration::from_secs(2)).expect("a client")
    }

    #[tokio::test]
    async fn a_message_is_posted_as_the_settings_say() {
        for (id, expected) in [(json!("a7"), "a7"), (json!(700), "700")] {
            let answer = json!({ "messages": [{ "id": id }] }).to_string();
            let mut stub = Stub::answering(202, &[], &answer).await;
            let accepted = client(&stub.url).send(&sms()).await.expect("it is taken");
            assert_eq!(accepted.provider_id.as_deref(), Some(expected));
            let seen = stub.seen().await;
            assert_eq!((seen.line.as_str(), seen.header("authorization")), ("POST /v2/send?route=1", "Key hunter2"));
            let text = "[Hei \"Kåre\" & {id}!] {x} {";
            let expected = json!({
                "messages": [{ "to": "+4791234567", "from": "+4759440000", "content": { "text": text }, "ttl": 240 }],
                "reference": "norvalt-00000000-0000-0000-0000-000000000007",
            });
            assert_eq!(seen.json(), expected);
        }
    }

    #[tokio::test]
    async fn each_failure_says_what_to_do() {
        ordinary_failures(async |url| client(&url).send(&sms()).await).await;
        let stub = Stub::answering(400, &[], r#"{"error":"+47 912 34 567 is no number"}"#).await;
        let refused = format!("{:?}", client(&stub.url).send(&sms()).await.expect_err("it is refused"));
        assert_eq!(refused, r#"Refused("400 {\"error\":\"… is no number\"}")"#);
        assert!(!format!("{:?}", client(&stub.url)).contains("hunter2"));
    }
}

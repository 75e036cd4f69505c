use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use svix::webhooks::{Webhook, WebhookError};

/// The stand-in's name for itself, as `CLERK_INSTANCE_ID`.
pub const INSTANCE_ID: &str = "ins_development";

/// Something that Clerk tells about.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    kind: &'static str,
    data: Value,
    at: DateTime<Utc>,
    instance: String,
}

impl Event {
    /// An event, such as `user.created`, with its object.
    pub fn new(kind: &'static str, data: Value, at: DateTime<Utc>) -> Self {
        Self { kind, data, at, instance: INSTANCE_ID.to_owned() }
    }

    /// The same event of another instance, `ins_…`.
    #[must_use]
    pub fn of_instance(self, instance: &str) -> Self {
        Self { instance: instance.to_owned(), ..self }
    }

    /// The event's type, such as `user.created`.
    pub fn kind(&self) -> &str {
        self.kind
    }

    /// The body of the webhook.
    pub fn body(&self) -> Value {
        json!({
            "object": "event",
            "type": self.kind,
            "instance_id": self.instance,
            "timestamp": self.at.timestamp_millis(),
            "event_attributes": { "http_request": { "client_ip": "127.0.0.1", "user_agent": "norvalt-dev" } },
            "data": self.data,
        })
    }
}

/// Where webhooks go, and the secret that they are signed with.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The whole URL.
    pub url: String,
    /// `whsec_…`
    pub secret: String,
}

/// The three headers that prove where a message comes from: name and value.
pub fn signed_headers(
    secret: &str,
    svix_id: &str,
    now: DateTime<Utc>,
    body: &[u8],
) -> Result<[(&'static str, String); 3], WebhookError> {
    let timestamp = now.timestamp();
    let signature = Webhook::new(secret)?.sign(svix_id, timestamp, body)?;
    Ok([("svix-id", svix_id.to_owned()), ("svix-timestamp", timestamp.to_string()), ("svix-signature", signature)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_svix_own() {
        let at = DateTime::from_timestamp(1_614_265_330, 0).expect("in range");
        let body = br#"{"test": 2432232314}"#;
        let headers =
            signed_headers("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body);
        // The worked example of https://docs.svix.com/receiving/verifying-payloads/how-manual
        let [.., (_, signature)] = headers.expect("the secret is valid");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(signed_headers("whsec_", "msg_1", at, body).is_err());
    }
}

//! What `SendGrid`, Resend and Postmark report of mails that they took, signed as each does it.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{Message, Provider};
use crate::{random, stand_ins::clerk::signed_headers};

/// What shows the API that a report is from a provider.
pub struct Reporters {
    sendgrid: EcdsaKeyPair,
    resend: String,
    postmark: String,
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Delivered,
    Bounced,
    Complained,
}

/// A request to the API.
pub(super) struct Report {
    pub(super) path: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Reporters {
    pub fn generate() -> Self {
        let sendgrid = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING);
        Self {
            sendgrid: sendgrid.expect("AWS-LC makes keys of this kind"),
            resend: format!("whsec_{}", STANDARD.encode(random::bytes::<24>())),
            postmark: format!("norvalt:{}", random::password()),
        }
    }

    /// As the API is told.
    pub fn settings(&self) -> [(&'static str, String); 3] {
        let key: PublicKeyX509Der<'_> = self.sendgrid.public_key().as_der().expect("a public key can be written");
        [
            ("SENDGRID_EVENT_KEY", STANDARD.encode(key.as_ref())),
            ("RESEND_WEBHOOK_SECRET", self.resend.clone()),
            ("POSTMARK_EVENT_LOGIN", self.postmark.clone()),
        ]
    }

    /// `None` for those who do not report so.
    pub(super) fn report(&self, message: &Message, event: Event, now: DateTime<Utc>) -> Option<Report> {
        let sent: Value = serde_json::from_str(&message.raw).unwrap_or_default();
        match message.provider {
            Provider::SendGrid => Some(self.sendgrids(message, event, now, &sent)),
            Provider::Resend => Some(self.resends(message, event, now, &sent)),
            Provider::Postmark => Some(self.postmarks(message, event, now, &sent)),
            Provider::Smtp | Provider::Twilio => None,
        }
    }

    /// <https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event>
    fn sendgrids(&self, message: &Message, event: Event, now: DateTime<Utc>, sent: &Value) -> Report {
        let mut told = json!({
            "email": message.to.first(), "timestamp": now.timestamp(), "smtp-id": message.message_id.as_ref().map(|id| format!("<{id}>")),
            "sg_event_id": random::password(), "sg_message_id": format!("{}.filterdrecv-stand-in", message.provider_id),
        });
        match event {
            Event::Delivered => {
                told["event"] = "delivered".into();
                told["response"] = "250 OK".into();
            }
            Event::Bounced => {
                let more = [("event", "bounce"), ("type", "bounce"), ("status", "5.1.1"), ("reason", NO_SUCH_PERSON)];
                for (name, value) in more {
                    told[name] = value.into();
                }
            }
            Event::Complained => told["event"] = "spamreport".into(),
        }
        for (name, value) in sent["custom_args"].as_object().into_iter().flatten() {
            told[name] = value.clone();
        }
        // As it ends there, which is signed too.
        let body = format!("{}\r\n", json!([told]));
        let timestamp = now.timestamp().to_string();
        let signature = self.sendgrid.sign(&SystemRandom::new(), format!("{timestamp}{body}").as_bytes());
        let signature = STANDARD.encode(signature.expect("AWS-LC signs with a key of its own"));
        let headers = vec![
            ("x-twilio-email-event-webhook-signature", signature),
            ("x-twilio-email-event-webhook-timestamp", timestamp),
        ];
        Report { path: "/webhooks/sendgrid/events", headers, body }
    }

    /// <https://resend.com/docs/dashboard/webhooks/event-types>
    fn resends(&self, message: &Message, event: Event, now: DateTime<Utc>, sent: &Value) -> Report {
        let at = now.to_rfc3339_opts(SecondsFormat::Millis, true);
        let tags = sent["tags"].as_array().into_iter().flatten();
        let tags: serde_json::Map<_, _> =
            tags.filter_map(|tag| Some((tag["name"].as_str()?.to_owned(), tag["value"].clone()))).collect();
        let mut data = json!({
            "created_at": at, "email_id": message.provider_id, "from": message.from, "to": message.to,
            "subject": message.subject, "tags": tags,
        });
        let kind = match event {
            Event::Delivered => "email.delivered",
            Event::Bounced => {
                data["bounce"] = json!({ "message": NO_SUCH_PERSON, "type": "Permanent", "subType": "General" });
                "email.bounced"
            }
            Event::Complained => "email.complained",
        };
        let body = json!({ "type": kind, "created_at": at, "data": data }).to_string();
        let id = format!("msg_{}", random::clerk_id("resend"));
        let headers = signed_headers(&self.resend, &id, now, body.as_bytes()).expect("the secret is one of Svix's");
        Report { path: "/webhooks/resend/events", headers: headers.into(), body }
    }

    /// <https://postmarkapp.com/developer/webhooks/webhooks-overview>
    fn postmarks(&self, message: &Message, event: Event, now: DateTime<Utc>, sent: &Value) -> Report {
        let at = now.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut told = json!({
            "MessageID": message.provider_id, "ServerID": 23, "MessageStream": "outbound", "Tag": "", "Metadata": sent["Metadata"],
        });
        let more = match event {
            Event::Delivered => {
                json!({ "RecordType": "Delivery", "Recipient": message.to.first(), "DeliveredAt": at, "Details": "smtp;250 OK" })
            }
            Event::Bounced => json!({
                "RecordType": "Bounce", "ID": 42, "Type": "HardBounce", "TypeCode": 1, "Name": "Hard bounce",
                "Description": "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
                "Details": format!("smtp;{NO_SUCH_PERSON}"), "Email": message.to.first(), "From": message.from, "BouncedAt": at,
                "DumpAvailable": true, "Inactive": true, "CanActivate": true, "Subject": message.subject, "Content": "",
            }),
            Event::Complained => json!({
                "RecordType": "SpamComplaint", "ID": 42, "Type": "SpamComplaint", "TypeCode": 512, "Name": "Spam complaint",
                "Description": "The subscriber explicitly marked this message as spam.", "Details": "Test spam complaint details",
                "Email": message.to.first(), "From": message.from, "BouncedAt": at, "DumpAvailable": true, "Inactive": true,
                "CanActivate": false, "Subject": message.subject, "Content": "",
            }),
        };
        for (name, value) in more.as_object().into_iter().flatten() {
            told[name] = value.clone();
        }
        let login = format!("Basic {}", STANDARD.encode(&self.postmark));
        Report { path: "/webhooks/postmark/events", headers: vec![("authorization", login)], body: told.to_string() }
    }
}

/// In the words of a mail server.
const NO_SUCH_PERSON: &str = "550 5.1.1 No such person here";

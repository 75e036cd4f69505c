use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

/// By what a message reaches a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Email,
    Sms,
}

/// As whom the stand-in took a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    Smtp,
    SendGrid,
    Resend,
    Postmark,
    Twilio,
}

/// Something that came, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// Counted from 1.
    pub id: u64,
    pub at: DateTime<Utc>,
    pub provider: Provider,
    /// What the provider calls it.
    pub provider_id: String,
    /// Which one of those that are the same to the customer: 1 for the first.
    pub copy: usize,
    /// Where reports go that it did not arrive: the sender of the envelope.
    pub return_path: Option<String>,
    pub from: String,
    pub from_name: Option<String>,
    /// Whom the envelope names.
    pub to: Vec<String>,
    pub reply_to: Option<String>,
    pub subject: Option<String>,
    pub text: String,
    pub html: Option<String>,
    pub headers: Vec<(String, String)>,
    /// Of the mail, without brackets.
    pub message_id: Option<String>,
    pub references: Vec<String>,
    /// Where the provider shall tell how it goes on.
    pub status_callback: Option<String>,
    /// By which the provider knows that it has it already.
    pub idempotency_key: Option<String>,
    /// As it came.
    pub raw: String,
    pub replies: Vec<Reply>,
    /// What was told of it, and to what effect.
    pub history: Vec<(DateTime<Utc>, String)>,
}

/// What a customer answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reply {
    pub at: DateTime<Utc>,
    pub text: String,
}

impl Message {
    pub fn channel(&self) -> Channel {
        match self.provider {
            Provider::Smtp | Provider::SendGrid | Provider::Resend | Provider::Postmark => Channel::Email,
            Provider::Twilio => Channel::Sms,
        }
    }

    /// A header by its name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Where an answer goes.
    pub fn answer_to(&self) -> &str {
        self.reply_to.as_deref().unwrap_or(&self.from)
    }

    /// Where a report goes: to the envelope's sender, or where answers go if nobody receives mails for that one here.
    pub fn report_to(&self) -> &str {
        let domain = |address: &str| address.rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
        match self.return_path.as_deref() {
            Some(path) if domain(path) == domain(self.answer_to()) => path,
            _ => self.answer_to(),
        }
    }

    /// Whether a customer who has the other gets the same once more.
    pub(super) fn is_same_to_the_customer(&self, other: &Self) -> bool {
        let is_same_mail = self.message_id == other.message_id;
        let is_same_text = self.message_id.is_some() || (self.subject == other.subject && self.text == other.text);
        self.channel() == other.channel() && self.to == other.to && is_same_mail && is_same_text
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Smtp => "SMTP",
            Self::SendGrid => "SendGrid",
            Self::Resend => "Resend",
            Self::Postmark => "Postmark",
            Self::Twilio => "Twilio",
        })
    }
}

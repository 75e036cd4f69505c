//! Mail that goes out.

pub mod own_host;
pub mod postmark;
pub mod resend;
pub mod sendgrid;
pub mod smtp;

use std::fmt::Debug;

use futures::future::BoxFuture;
use uuid::Uuid;

use crate::send::one_line;
pub use crate::send::{Accepted, Cause, NoProvider, SendError};

/// Who a mail is from or for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    pub name: Option<String>,
    pub address: String,
}

/// A mail as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingEmail {
    /// The same for every attempt: a provider that is idempotent takes it once.
    pub id: Uuid,
    /// What the provider's reports name it by: `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`, at most 80, nothing personal, since
    /// providers keep it for long. Resend takes no dots and has `_` in their place.
    pub tag: String,
    /// Ours, without angle brackets.
    pub message_id: String,
    pub from: Mailbox,
    pub to: Mailbox,
    pub reply_to: Option<Mailbox>,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Without angle brackets, as all of `references`.
    pub in_reply_to: Option<String>,
    pub references: Vec<String>,
    /// Nobody wrote it: it says so, and asks for no automatic answer. <https://www.rfc-editor.org/rfc/rfc3834>
    pub automatic: bool,
    /// A URL that takes a POST of somebody who wants no more of these. <https://www.rfc-editor.org/rfc/rfc8058>
    pub unsubscribe: Option<String>,
}

impl Mailbox {
    pub(crate) fn shown_name(&self) -> Option<String> {
        self.name.as_deref().map(one_line).filter(|name| !name.is_empty())
    }

    /// As in a header, the name quoted. <https://www.rfc-editor.org/rfc/rfc5322#section-3.4>
    pub(crate) fn written(&self) -> String {
        match self.shown_name() {
            Some(name) => format!("\"{}\" <{}>", name.replace('\\', r"\\").replace('"', r#"\""#), self.address),
            None => self.address.clone(),
        }
    }
}

impl OutgoingEmail {
    pub(crate) fn subject_line(&self) -> String {
        one_line(&self.subject)
    }

    /// Headers for which providers have no field of their own.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("Message-ID", bracketed(&self.message_id))];
        headers.extend(self.in_reply_to.as_deref().map(|id| ("In-Reply-To", bracketed(id))));
        if !self.references.is_empty() {
            let ids: Vec<_> = self.references.iter().map(|id| bracketed(id)).collect();
            headers.push(("References", ids.join(" ")));
        }
        if self.automatic {
            headers.push(("Auto-Submitted", "auto-replied".to_owned()));
            headers.push(("X-Auto-Response-Suppress", "All".to_owned()));
        }
        if let Some(url) = &self.unsubscribe {
            headers.push(("List-Unsubscribe", format!("<{url}>")));
            headers.push(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
        headers.into_iter().map(|(name, value)| (name, one_line(&value))).collect()
    }
}

fn bracketed(id: &str) -> String {
    format!("<{id}>")
}

/// Hands mail to a provider. What it says of a failure says whether it may be handed over again.
pub trait EmailSender: Send + Sync + Debug {
    /// Ends within [`smtp::TIME_LIMIT`], or sooner.
    fn send<'a>(&'a self, mail: &'a OutgoingEmail) -> BoxFuture<'a, Result<Accepted, SendError>>;

    /// Such as `smtp`.
    fn provider(&self) -> &'static str;

    /// Whether a mail with the same id is taken once, however often it is handed over.
    fn is_idempotent(&self) -> bool {
        false
    }

    /// Whether it will tell what became of a mail.
    fn reports_delivery(&self) -> bool {
        true
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One that has everything.
    pub(crate) fn mail() -> OutgoingEmail {
        let mailbox = |name: &str, address: &str| Mailbox { name: Some(name.into()), address: address.into() };
        OutgoingEmail {
            id: Uuid::from_u128(7),
            tag: "m.7".into(),
            message_id: "7@svar.norvalt.no".into(),
            from: mailbox("Bil \"Bø\", AS", "svar@norvalt.no"),
            to: mailbox("Kåre Ødegård", "kari@example.no"),
            reply_to: Some(Mailbox { name: None, address: "lead+abc@inbound.norvalt.no".into() }),
            subject: "Prøvekjøring".into(),
            text: "Hei!\n".into(),
            html: "<p>Hei!</p>".into(),
            in_reply_to: Some("2@example.no".into()),
            references: vec!["1@example.no".into(), "2@example.no".into()],
            automatic: true,
            unsubscribe: Some("https://api.norvalt.no/u/7".into()),
        }
    }

    #[test]
    fn nothing_in_a_mail_makes_a_second_line() {
        let evil = "x\r\nBcc: all@example.no";
        let mailbox = Mailbox { name: Some(evil.into()), address: "kari@example.no".into() };
        assert_eq!(mailbox.written(), "\"x  Bcc: all@example.no\" <kari@example.no>");
        let mail = OutgoingEmail {
            message_id: evil.into(),
            subject: evil.into(),
            references: vec![evil.into()],
            unsubscribe: Some(evil.into()),
            ..mail()
        };
        assert!(!mail.subject_line().contains(['\r', '\n']));
        assert!(mail.headers().iter().all(|(_, value)| !value.contains(['\r', '\n'])));
    }
}

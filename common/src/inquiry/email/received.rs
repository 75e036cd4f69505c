//! A mail and the envelope that it came in.

use std::collections::BTreeSet;

use super::{
    mail::{Mail, identity},
    marks::Mark,
};
use crate::inquiry::clean;

/// Recipients of one mail that are kept.
const RECIPIENT_LIMIT: usize = 100;

/// A mail that a provider posted.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Whom the envelope names, which is not what the headers say; at least one, and each once.
    pub recipients: Vec<String>,
    /// Who gets it back according to the envelope: empty if nobody must, nothing if the provider does not tell.
    pub sender: Option<String>,
    pub mail: Mail,
}

/// Why something that was posted is no mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoMail {
    #[error("the body is neither a multipart nor a URL-encoded form")]
    NoForm,
    #[error("the form is damaged or cut off")]
    DamagedForm,
    #[error("the body is not the JSON that the provider posts")]
    NoJson,
    #[error("the envelope names no recipient")]
    NoRecipient,
    #[error("it has none of the headers that a mail has")]
    NoHeaders,
}

/// Reads a message as it went over the wire, with the recipients of its envelope.
pub fn read_raw(message: &[u8], recipients: &[String]) -> Result<Received, NoMail> {
    let mail = Mail::read(message).ok_or(NoMail::NoHeaders)?;
    Received::new(recipients.iter().map(String::as_str), None, mail)
}

impl Received {
    pub(super) fn new<'t>(
        recipients: impl IntoIterator<Item = &'t str>,
        sender: Option<&str>,
        mut mail: Mail,
    ) -> Result<Self, NoMail> {
        let bare = |address: &'t str| address.trim().trim_start_matches('<').trim_end_matches('>').trim();
        let mut seen = BTreeSet::new();
        let recipients = recipients.into_iter().map(|address| clean(bare(address)));
        let recipients = recipients.filter(|address| address.contains('@') && seen.insert(address.to_lowercase()));
        let recipients: Vec<String> = recipients.take(RECIPIENT_LIMIT).collect();
        if recipients.is_empty() {
            return Err(NoMail::NoRecipient);
        }
        let sender = sender.map(|sender| sender.trim().trim_matches(['<', '>']).to_owned());
        if sender.as_deref() == Some("") {
            mail.marks.insert(Mark::NullSender);
        }
        Ok(Self { recipients, sender, mail })
    }

    /// Each recipient with the [`identity`] of the mail there.
    pub fn identities(&self) -> impl Iterator<Item = (&str, String)> {
        self.recipients.iter().map(|recipient| (recipient.as_str(), identity(recipient, &self.mail)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_can_be_stored_whatever_their_envelope_holds() {
        let recipients = ["<salg\0@bil.no>".to_owned(), "salg@bil.no".to_owned(), "\0".to_owned()];
        let received = read_raw(b"From: a@b.no\r\nSubject: x\r\n\r\nHei", &recipients).expect("a mail");
        assert_eq!(received.recipients, ["salg@bil.no"]);
    }
}

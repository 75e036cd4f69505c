//! Who hands mails over, and how to read what each posts.

use aws_lc_rs::digest::{SHA256, digest};

use super::{
    post::Form,
    read_mailgun, read_postmark, read_sendgrid,
    received::{NoMail, Received, read_raw},
};
use crate::{hex, text_enum::text_enum};

text_enum!(
    /// Who hands mails over.
    Provider {
        /// `SendGrid`'s Inbound Parse.
        Sendgrid = "sendgrid",
        /// A route of Mailgun's.
        Mailgun = "mailgun",
        /// Postmark.
        Postmark = "postmark",
        /// A mail server, as the mail is.
        Raw = "raw",
    }
);

impl Provider {
    /// Reads what it posts; `envelope_to` are the recipients, separated by commas, where the body does not say them.
    pub fn read(self, content_type: &str, envelope_to: &str, body: &[u8]) -> Result<Received, NoMail> {
        match self {
            Self::Sendgrid => read_sendgrid(content_type, body),
            Self::Mailgun => read_mailgun(content_type, body),
            Self::Postmark => read_postmark(body),
            Self::Raw => {
                let recipients: Vec<String> = envelope_to.split(',').map(|to| to.trim().to_owned()).collect();
                read_raw(body, &recipients)
            }
        }
    }

    /// What something is known by that cannot be read.
    pub fn identity_of_bytes(body: &[u8]) -> String {
        hex(digest(&SHA256, body).as_ref())
    }
}

/// What Mailgun signs: the first two, not the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailgunSignature {
    pub timestamp: String,
    pub token: String,
    pub signature: String,
}

impl MailgunSignature {
    /// Finds it in what was posted.
    pub fn read(content_type: &str, body: &[u8]) -> Option<Self> {
        let form = Form::read(content_type, body).ok()?;
        let text = |name| form.text(name);
        Some(Self { timestamp: text("timestamp")?, token: text("token")?, signature: text("signature")? })
    }
}

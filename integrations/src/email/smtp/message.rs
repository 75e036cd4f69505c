use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};

use super::super::{self as email, OutgoingEmail, SendError};

/// The mail as it goes over the wire. Whatever stands in a header is encoded: none can add another.
pub(super) fn compose(mail: &OutgoingEmail) -> Result<Message, SendError> {
    let from = mailbox(&mail.from).ok_or_else(|| unusable("From"))?;
    let to = mailbox(&mail.to).ok_or_else(|| SendError::refused("the recipient's address is none"))?;
    let mut message = Message::builder().from(from).to(to).subject(mail.subject_line());
    if let Some(reply_to) = &mail.reply_to {
        message = message.reply_to(mailbox(reply_to).ok_or_else(|| unusable("Reply-To"))?);
    }
    for (name, value) in mail.headers() {
        message = message.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
    }
    let body = MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone());
    message.multipart(body).map_err(|_| SendError::refused("the mail cannot be written"))
}

fn unusable(header: &str) -> SendError {
    SendError::misconfigured(&format!("the address in {header} is none"))
}

/// With its domain in ASCII, which every server takes.
fn mailbox(mailbox: &email::Mailbox) -> Option<Mailbox> {
    let (local, domain) = mailbox.address.rsplit_once('@')?;
    let domain = idna::domain_to_ascii_strict(domain).ok()?;
    // lettre panics at a name with control characters.
    Some(Mailbox::new(mailbox.shown_name(), Address::new(local, domain).ok()?))
}

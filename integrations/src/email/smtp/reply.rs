use lettre::transport::smtp::{Error, response::Severity};

use super::super::SendError;

/// How far a mail came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Greeting, encryption, login.
    Connect,
    /// MAIL: says nothing of the recipient.
    Sender,
    /// RCPT and DATA.
    Recipient,
    Content,
}

/// Codes that mean a wrong login, or none where one is asked for. <https://www.rfc-editor.org/rfc/rfc4954#section-6>
const LOGIN: [u16; 4] = [530, 534, 535, 538];
/// The mail is too large, or the mailbox full.
const TOO_MUCH: u16 = 552;

/// What a failure means: a server that answers has not taken the mail; one that falls silent may have it once the mail
/// itself was on its way. <https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1>
pub(super) fn failure(error: Error, step: Step) -> SendError {
    let words = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    match error.status() {
        Some(code) if code.severity == Severity::TransientNegativeCompletion => SendError::busy(None, &words),
        Some(code) => refusal(code.into(), &words, step),
        None if step == Step::Content => SendError::InDoubt(Box::new(error)),
        // Neither encryption nor a way to log in that we know.
        None if error.is_client() => SendError::misconfigured(&words),
        None => SendError::Unreachable(Box::new(error)),
    }
}

fn refusal(code: u16, words: &str, step: Step) -> SendError {
    let words = format!("{code} {words}");
    let is_ours = LOGIN.contains(&code) || step == Step::Connect || (step == Step::Sender && code != TOO_MUCH);
    if is_ours { SendError::misconfigured(&words) } else { SendError::refused(&words) }
}

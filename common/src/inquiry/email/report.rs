//! Reports that a mail of ours was not delivered (<https://www.rfc-editor.org/rfc/rfc3464>), or not wanted
//! (<https://www.rfc-editor.org/rfc/rfc5965>).

use super::{headers::Headers, mime::split_head};
use crate::inquiry::{charset, clean};

/// Bytes of a report that are read, and characters of each value.
const LIMIT: usize = 64 * 1024;
const VALUE_LIMIT: usize = 500;

/// What a report tells of the mail that it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Whom it did not reach.
    pub recipient: Option<String>,
    /// Such as `failed` or `delayed`.
    pub action: Option<String>,
    /// Such as `5.1.1`. <https://www.rfc-editor.org/rfc/rfc3463>
    pub status: Option<String>,
    /// What the recipient thinks of it, such as `abuse` or `not-spam`.
    pub feedback: Option<String>,
    /// Message-ID of the mail itself.
    pub original_message_id: Option<String>,
}

/// Reads the fields of the first recipient.
pub(super) fn read_status(report: &mut Report, bytes: &[u8]) {
    let text = charset::decode(&bytes[..bytes.len().min(LIMIT)], None);
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        // The value of an address follows its type: `rfc822; kari@example.no`.
        let value = || clean(value).rsplit(';').next().map(|value| value.trim().chars().take(VALUE_LIMIT).collect());
        match name.trim().to_ascii_lowercase().as_str() {
            "final-recipient" | "original-rcpt-to" => report.recipient = report.recipient.take().or_else(value),
            "action" => report.action = report.action.take().or_else(value),
            "feedback-type" => report.feedback = report.feedback.take().or_else(value),
            "status" => report.status = report.status.take().or_else(value),
            _ => {}
        }
    }
}

/// Reads which mail came back.
pub(super) fn read_original(report: &mut Report, bytes: &[u8]) {
    let (head, _) = split_head(bytes);
    let id = Headers::read(head).ids("Message-ID").into_iter().next();
    report.original_message_id = report.original_message_id.take().or(id);
}

//! <https://www.twilio.com/docs/messaging/guides/track-outbound-message-status>

use super::{Report, ReportKind, of};
use crate::ids::DealershipId;

/// The number's owner has answered STOP. <https://www.twilio.com/docs/api/errors/21610>
const STOPPED: &str = "21610";

pub(super) fn read(body: &[u8], tag: &str) -> Vec<(DealershipId, Report)> {
    let fields: Vec<_> = form_urlencoded::parse(body).collect();
    let field = |name: &str| fields.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_ref());
    let kind = match field("MessageStatus") {
        Some("sent") => ReportKind::Sent,
        Some("delivered" | "read") => ReportKind::Delivered,
        Some("undelivered") => ReportKind::SoftBounce,
        Some("failed" | "canceled") => ReportKind::Failed,
        _ => return Vec::new(),
    };
    let code = field("ErrorCode").filter(|code| !code.is_empty());
    let reason = code.map(|code| format!("Twilio's error {code}"));
    let stopped = (code == Some(STOPPED)).then(|| of(tag, ReportKind::OptOut, None)).flatten();
    stopped.into_iter().chain(of(tag, kind, reason)).collect()
}

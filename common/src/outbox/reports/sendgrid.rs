//! <https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event>

use serde::Deserialize;

use super::{NoReport, Report, ReportKind, of};
use crate::ids::DealershipId;

#[derive(Deserialize)]
struct Event {
    #[serde(default, rename = "event")]
    name: String,
    /// Our own argument.
    norvalt: Option<String>,
    /// Of a bounce: `bounce`, or `blocked` for this time only.
    r#type: Option<String>,
    reason: Option<String>,
}

pub(super) fn read(body: &[u8]) -> Result<Vec<(DealershipId, Report)>, NoReport> {
    let events: Vec<Event> = serde_json::from_slice(body).map_err(|_| NoReport)?;
    Ok(events.into_iter().filter_map(Event::report).collect())
}

impl Event {
    fn report(self) -> Option<(DealershipId, Report)> {
        let kind = match self.name.as_str() {
            "processed" => ReportKind::Sent,
            "delivered" => ReportKind::Delivered,
            "bounce" if self.r#type.as_deref() == Some("blocked") => ReportKind::SoftBounce,
            "bounce" => ReportKind::HardBounce,
            "dropped" => ReportKind::Failed,
            "spamreport" => ReportKind::Complaint,
            "unsubscribe" | "group_unsubscribe" => ReportKind::OptOut,
            _ => return None,
        };
        of(&self.norvalt?, kind, self.reason)
    }
}

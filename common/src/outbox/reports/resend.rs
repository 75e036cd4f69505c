//! <https://resend.com/docs/dashboard/webhooks/event-types>

use serde::Deserialize;
use serde_json::Value;

use super::{NoReport, Report, ReportKind, of};
use crate::ids::DealershipId;

#[derive(Deserialize)]
struct Event {
    r#type: String,
    #[serde(default)]
    data: Value,
}

pub(super) fn read(body: &[u8]) -> Result<Vec<(DealershipId, Report)>, NoReport> {
    let event: Event = serde_json::from_slice(body).map_err(|_| NoReport)?;
    Ok(event.report().into_iter().collect())
}

impl Event {
    fn report(&self) -> Option<(DealershipId, Report)> {
        let bounce = &self.data["bounce"];
        let kind = match self.r#type.as_str() {
            "email.sent" => ReportKind::Sent,
            "email.delivered" => ReportKind::Delivered,
            "email.bounced" if bounce["type"] == "Permanent" => ReportKind::HardBounce,
            "email.bounced" => ReportKind::SoftBounce,
            "email.failed" | "email.suppressed" => ReportKind::Failed,
            "email.complained" => ReportKind::Complaint,
            _ => return None,
        };
        let reason = bounce["message"].as_str().or_else(|| self.data["failed"]["reason"].as_str());
        of(self.tag()?, kind, reason.map(str::to_owned))
    }

    /// Tags come as an object, and as a list of names and values.
    fn tag(&self) -> Option<&str> {
        let tags = &self.data["tags"];
        let listed = || tags.as_array()?.iter().find(|tag| tag["name"] == "norvalt")?["value"].as_str();
        tags["norvalt"].as_str().or_else(listed)
    }
}

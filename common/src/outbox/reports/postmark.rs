//! <https://postmarkapp.com/developer/webhooks/webhooks-overview>

use serde::Deserialize;

use super::{NoReport, Report, ReportKind, of};
use crate::ids::DealershipId;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    record_type: String,
    #[serde(default)]
    metadata: Metadata,
    /// Of a bounce.
    r#type: Option<String>,
    description: Option<String>,
    details: Option<String>,
    /// Of a changed subscription.
    suppress_sending: Option<bool>,
    suppression_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    norvalt: Option<String>,
}

pub(super) fn read(body: &[u8]) -> Result<Vec<(DealershipId, Report)>, NoReport> {
    let event: Event = serde_json::from_slice(body).map_err(|_| NoReport)?;
    Ok(event.report().into_iter().collect())
}

impl Event {
    fn report(self) -> Option<(DealershipId, Report)> {
        let kind = match self.record_type.as_str() {
            "Delivery" => ReportKind::Delivered,
            "Bounce" => bounce(self.r#type.as_deref().unwrap_or_default())?,
            "SpamComplaint" => ReportKind::Complaint,
            "SubscriptionChange" if self.suppress_sending == Some(true) => match self.suppression_reason.as_deref() {
                Some("HardBounce") => ReportKind::HardBounce,
                Some("SpamComplaint") => ReportKind::Complaint,
                _ => ReportKind::OptOut,
            },
            _ => return None,
        };
        of(&self.metadata.norvalt?, kind, self.description.or(self.details))
    }
}

/// <https://postmarkapp.com/developer/api/bounce-api#bounce-types>
fn bounce(kind: &str) -> Option<ReportKind> {
    Some(match kind {
        "HardBounce" | "BadEmailAddress" | "ManuallyDeactivated" => ReportKind::HardBounce,
        "SpamComplaint" | "SpamNotification" => ReportKind::Complaint,
        "Unsubscribe" => ReportKind::OptOut,
        // It goes on trying, or the recipient's program has answered.
        "Transient" | "AutoResponder" | "AddressChange" | "ChallengeVerification" | "Subscribe" | "OpenRelayTest" => {
            return None;
        }
        _ => ReportKind::SoftBounce,
    })
}

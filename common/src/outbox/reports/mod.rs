//! What providers report of messages, in whatever order and however often.

mod postmark;
mod resend;
mod sendgrid;
mod store;
mod twilio;

use serde::{Deserialize, Serialize};

pub use store::{process_reports, receive_reports};

use super::{
    SuppressionReason,
    settle::{advance, lock},
    suppression::suppress,
};
use crate::{
    conversations::DeliveryStatus,
    db::{Result, TenantTx},
    ids::{DealershipId, OutboxId},
    own_words,
    text_enum::text_enum,
};

/// What a provider reports of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub outbox: OutboxId,
    pub kind: ReportKind,
    /// In the provider's words.
    pub reason: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// The provider has it.
    Sent,
    Delivered,
    /// The address takes nothing, for good.
    HardBounce,
    /// It came back, this time.
    SoftBounce,
    /// The provider did not send it.
    Failed,
    /// The recipient called it unwanted.
    Complaint,
    /// The recipient wants no more.
    OptOut,
}

text_enum!(
    /// Who reports.
    Reporter {
        Sendgrid = "sendgrid",
        Resend = "resend",
        Postmark = "postmark",
        Twilio = "twilio",
    }
);

/// What came is not in the shape that its sender uses.
#[derive(Debug, thiserror::Error)]
#[error("the body is not a report of this provider's")]
pub struct NoReport;

impl Reporter {
    /// What a body reports of messages of ours. `tag` is that of the address, where the provider does not repeat it in the body.
    pub fn read(self, body: &[u8], tag: Option<&str>) -> std::result::Result<Vec<(DealershipId, Report)>, NoReport> {
        match self {
            Self::Sendgrid => sendgrid::read(body),
            Self::Resend => resend::read(body),
            Self::Postmark => postmark::read(body),
            Self::Twilio => Ok(twilio::read(body, tag.unwrap_or_default())),
        }
    }
}

/// A report of the message with this tag, if the tag is one of ours.
fn of(tag: &str, kind: ReportKind, reason: Option<String>) -> Option<(DealershipId, Report)> {
    let (dealership, outbox) = super::read_tag(tag)?;
    Some((dealership, Report { outbox, kind, reason: reason.map(|reason| own_words(&reason)) }))
}

/// Writes a report down. One that came before, or late, changes nothing.
pub async fn report(tx: &mut TenantTx, report: &Report) -> Result<bool> {
    let Some(locked) = lock(tx, report.outbox).await? else { return Ok(false) };
    let (status, suppressed) = match report.kind {
        ReportKind::Sent => (Some(DeliveryStatus::Sent), None),
        ReportKind::Delivered => (Some(DeliveryStatus::Delivered), None),
        ReportKind::HardBounce => (Some(DeliveryStatus::Bounced), Some(SuppressionReason::Bounce)),
        ReportKind::SoftBounce => (Some(DeliveryStatus::Bounced), None),
        ReportKind::Failed => (Some(DeliveryStatus::Failed), None),
        // It has arrived, or nobody could say that.
        ReportKind::Complaint => (Some(DeliveryStatus::Delivered), Some(SuppressionReason::Complaint)),
        ReportKind::OptOut => (None, Some(SuppressionReason::OptOut)),
    };
    if let Some(reason) = suppressed {
        suppress(tx, locked.channel, &locked.recipient, reason).await?;
    }
    if let Some(status) = status {
        let reason = report.reason.as_deref().filter(|_| status != DeliveryStatus::Delivered);
        advance(tx, &locked, status, reason).await?;
    }
    Ok(true)
}

use serde_json::json;
use uuid::Uuid;

use super::{IntakeError, Origin, take_in};
use crate::{
    db::TenantTx,
    deliveries::{NewDelivery, Source, Status, Stored, settle_own, store},
    ids::ReceiptId,
    inquiry::form::Submission,
    jobs::CheckForm,
    lead_sources::Settings,
    queue::{NewJob, enqueue},
};

/// A form that arrived, and how.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedForm<'a> {
    pub content_type: &'a str,
    /// The web site whose page it was sent from, if the browser says.
    pub origin: Option<&'a str>,
    pub body: &'a [u8],
}

/// What became of a form, whether the customer was known or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormAnswer {
    /// It is a lead, or a message of one.
    TakenIn(ReceiptId),
    /// A worker or a person decides.
    Waiting(ReceiptId),
    /// It came before.
    Repeated(ReceiptId),
}

impl FormAnswer {
    /// What whoever sent it is told, always the same for the same filled-in form.
    pub fn receipt(self) -> ReceiptId {
        match self {
            Self::TakenIn(receipt) | Self::Waiting(receipt) | Self::Repeated(receipt) => receipt,
        }
    }
}

/// Stores a form whose sender can be reached, and makes a lead of it in the same transaction, unless somebody has to decide
/// whether it is one.
pub async fn receive_form(
    tx: &mut TenantTx,
    settings: &Settings,
    form: &Submission,
    received: &ReceivedForm<'_>,
) -> Result<FormAnswer, IntakeError> {
    let external_id = match &form.nonce {
        Some(nonce) => format!("{} {nonce}", settings.id),
        None => format!("{} {}", settings.id, Uuid::new_v4()),
    };
    let receipt = ReceiptId::of(settings.id, &external_id, 0);
    let doubt = doubt(settings, form, received);
    let new = NewDelivery {
        source: Source::Form,
        external_id: &external_id,
        event_type: "form",
        dealership: Some(tx.dealership()),
        source_id: Some(settings.id),
        subject: None,
        headers: json!({ "content-type": received.content_type }),
        body: received.body,
        status: if doubt.is_some() { Status::Parked } else { Status::Pending },
        outcome: doubt.as_deref(),
    };
    let Stored::New(id) = store(tx, &new).await? else { return Ok(FormAnswer::Repeated(receipt)) };
    if doubt.is_some() {
        return Ok(FormAnswer::Waiting(receipt));
    }
    if settings.checks_for_bots() {
        let job = CheckForm { delivery_id: id };
        enqueue(tx, &NewJob::now(&job)).await?;
        return Ok(FormAnswer::Waiting(receipt));
    }
    let origin = Origin {
        kind: settings.kind,
        source_id: settings.id,
        delivery_id: id,
        receipt,
        key: None,
        mail_id: None,
        answers: &[],
        replies_to: None,
        assigned_to: settings.assigned_to,
        came_in: None,
        is_answered: settings.automatic_answer,
    };
    let became = take_in(tx, &form.inquiry, &origin).await?;
    settle_own(tx, id, Status::Processed, &became.outcome(), &[]).await?;
    Ok(FormAnswer::TakenIn(receipt))
}

/// Why a person has to decide, if one has to. Nothing is refused: it may be a customer's all the same.
fn doubt(settings: &Settings, form: &Submission, received: &ReceivedForm<'_>) -> Option<String> {
    if !settings.enabled {
        return Some("the form is switched off".to_owned());
    }
    if let Some(origin) = received.origin.filter(|origin| !settings.allows(origin)) {
        let origin: String = origin.chars().take(100).collect();
        return Some(format!("sent from a page of {origin}, which is not among the form's web sites"));
    }
    form.suspicion.map(|suspicion| format!("may be a program's: {suspicion}"))
}

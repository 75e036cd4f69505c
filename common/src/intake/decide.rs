//! What people decide of what is parked.

use super::{
    IntakeError,
    read::{ReadError, outcome, read, take_in_all},
};
use crate::{
    db::TenantTx,
    deliveries::{Status, erase_own, settle_own, take_own},
    ids::LeadId,
    inquiry::Reading,
    lead_sources,
};

/// Why something that is parked did not become a lead, or was not rejected.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// It is not parked: somebody has decided, or nobody has to.
    #[error("it does not wait for a decision")]
    NotParked,
    /// There is nothing in it that could become one.
    #[error("there is no inquiry in it")]
    NothingInIt,
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<IntakeError> for DecideError {
    fn from(error: IntakeError) -> Self {
        Self::Read(error.into())
    }
}

impl From<crate::db::Error> for DecideError {
    fn from(error: crate::db::Error) -> Self {
        Self::Read(error.into())
    }
}

impl From<crate::deliveries::ProcessError> for DecideError {
    fn from(error: crate::deliveries::ProcessError) -> Self {
        Self::Read(error.into())
    }
}

/// Makes leads of something that is parked, or messages of leads, and returns which leads those are.
pub async fn accept(tx: &mut TenantTx, id: i64) -> Result<Vec<LeadId>, DecideError> {
    let delivery = take_own(tx, id).await?;
    if delivery.status != Status::Parked {
        return Err(DecideError::NotParked);
    }
    let Some(source) = delivery.source_id else { return Err(DecideError::NothingInIt) };
    let settings = lead_sources::settings(tx, source).await?.ok_or(DecideError::NothingInIt)?;
    let inquiries = match read(&delivery, &settings)? {
        Reading::Inquiries(inquiries) | Reading::Doubtful(_, inquiries) => inquiries,
        Reading::Unsure(unsure) => unsure.inquiries,
        Reading::Report(_) | Reading::Ignored(_) | Reading::Dead(_) => Vec::new(),
    };
    if inquiries.is_empty() {
        return Err(DecideError::NothingInIt);
    }
    let became = take_in_all(tx, &delivery, &settings, &inquiries, None).await?;
    settle_own(tx, id, Status::Processed, &format!("accepted: {}", outcome(&became)), &[]).await?;
    Ok(became.iter().map(|became| became.lead()).collect())
}

/// Puts something that is parked away, and erases its content.
pub async fn reject(tx: &mut TenantTx, id: i64) -> Result<(), DecideError> {
    let delivery = take_own(tx, id).await?;
    if delivery.status != Status::Parked {
        return Err(DecideError::NotParked);
    }
    settle_own(tx, id, Status::Ignored, "rejected by a person", &[]).await?;
    erase_own(tx, &[id]).await?;
    Ok(())
}

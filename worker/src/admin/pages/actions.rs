//! What operators do to jobs and deliveries. Each action says on the next page what it did, and is recorded with their name.

use axum::{
    Form,
    extract::{Path, State},
    response::Redirect,
};
use common::{
    audit::{Subject, Verb, record},
    db::Db,
    deliveries::{self, DeliveryFilter},
    queue::{self, Cancel, JobFilter},
};

use super::{PageError, jobs::Params, layout::Viewer, notice::Notice};

pub(super) fn only(id: i64) -> JobFilter {
    JobFilter { id: Some(id), ..JobFilter::default() }
}

/// Runs a dead job again. What is not dead is left alone.
pub(in crate::admin) async fn retry(
    State(db): State<Db>,
    Path(id): Path<i64>,
    viewer: Viewer,
) -> Result<Redirect, PageError> {
    let mut tx = db.system_for_request().await?;
    let retried = queue::retry(&mut tx, &only(id), &viewer.operator).await?;
    tx.commit().await?;
    Ok(Redirect::to(&format!("/jobs/{id}?{}", Notice::query("retry", retried.len()))))
}

/// Runs all dead jobs again, or those that the list was filtered to.
pub(in crate::admin) async fn retry_all(
    State(db): State<Db>,
    viewer: Viewer,
    Form(params): Form<Params>,
) -> Result<Redirect, PageError> {
    let filter = params.filter().map_err(|_| PageError::NotFound)?;
    let mut tx = db.system().await?;
    let retried = queue::retry(&mut tx, &filter, &viewer.operator).await?;
    tx.commit().await?;
    let list = params.link("");
    let separator = if list.contains('?') { '&' } else { '?' };
    Ok(Redirect::to(&format!("{list}{separator}{}", Notice::query("retry", retried.len()))))
}

/// Cancels a job, also one that runs. What is over is left alone.
pub(in crate::admin) async fn cancel(
    State(db): State<Db>,
    Path(id): Path<i64>,
    viewer: Viewer,
) -> Result<Redirect, PageError> {
    let cancelled = queue::cancel(&db, &only(id), Cancel::Running, &viewer.operator).await?;
    Ok(Redirect::to(&format!("/jobs/{id}?{}", Notice::query("cancel", cancelled.len()))))
}

/// Has a delivery processed again. What is known already does not change.
pub(in crate::admin) async fn replay(
    State(db): State<Db>,
    Path(id): Path<i64>,
    viewer: Viewer,
) -> Result<Redirect, PageError> {
    let mut tx = db.system_for_request().await?;
    let replayed = deliveries::replay(&mut tx, &DeliveryFilter { id: Some(id), ..DeliveryFilter::default() }).await?;
    record(&mut tx, &viewer.operator, Verb::Replay, Subject::Deliveries(&replayed)).await?;
    tx.commit().await?;
    Ok(Redirect::to(&format!("/deliveries/{id}?{}", Notice::query("replay", replayed.len()))))
}

use axum::{
    Form,
    extract::{Path, State},
    response::Redirect,
};
use common::{db::Db, jobs::KINDS, queue};
use serde::Deserialize;

use super::{PageError, layout::Viewer, notice::Notice};

/// Why a queue is paused, at most so many characters.
const MAX_REASON: usize = 200;

#[derive(Deserialize)]
pub(in crate::admin) struct Reason {
    #[serde(default)]
    reason: String,
}

/// Lets no more jobs of a queue begin.
pub(in crate::admin) async fn pause(
    State(db): State<Db>,
    Path(name): Path<String>,
    viewer: Viewer,
    Form(Reason { reason }): Form<Reason>,
) -> Result<Redirect, PageError> {
    let mut tx = db.system_for_request().await?;
    let known = KINDS.iter().any(|(_, queue)| *queue == name) || queue::queues(&mut tx).await?.contains(&name);
    if !known {
        return Err(PageError::NotFound);
    }
    let reason: String = reason.trim().chars().filter(|c| !c.is_control()).take(MAX_REASON).collect();
    let reason = Some(reason.as_str()).filter(|reason| !reason.is_empty());
    let paused = queue::pause(&mut tx, &name, reason, &viewer.operator).await?;
    tx.commit().await?;
    Ok(Redirect::to(&format!("/?{}", Notice::query("pause", paused.into()))))
}

/// Lets its jobs begin again.
pub(in crate::admin) async fn resume(
    State(db): State<Db>,
    Path(name): Path<String>,
    viewer: Viewer,
) -> Result<Redirect, PageError> {
    let mut tx = db.system_for_request().await?;
    let resumed = queue::resume(&mut tx, &name, &viewer.operator).await?;
    tx.commit().await?;
    Ok(Redirect::to(&format!("/?{}", Notice::query("resume", resumed.into()))))
}

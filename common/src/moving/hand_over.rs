use aws_lc_rs::digest::{SHA256, digest};

use super::{
    HELD,
    known::{State, current, end, set},
};
use crate::{
    audit::{Operator, Subject, Verb, record},
    clerk::{destroy, lock_organization, settle},
    db::{Db, Error, JobTx, Result, SystemTx},
    hex,
    ids::{ClerkOrgId, DealershipId},
};

/// Why a dealership was not handed over, opened or discarded.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    #[error("the dealership is not on its way")]
    NotMoving,
    #[error("the dealership is frozen, and not exported yet: norvalt dealership export")]
    NotExported,
    #[error("the dealership is arriving here; what hands it over is run on the server that it came from")]
    Arriving,
    #[error("open it with the code that `norvalt dealership release` says on the server that it came from: --code")]
    NoCode,
    #[error("that is not the code of this archive; the server that it came from says it: norvalt dealership release")]
    WrongCode,
    #[error(
        "the dealership was handed over to another server; if that has never opened it, and discards it, take it back: --take-back"
    )]
    HandedOver,
    #[error("the dealership was handed over and destroyed here; import an archive of it")]
    Destroyed,
    #[error("the dealership is live here, or not handed over yet; nothing was destroyed")]
    Live,
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] Error),
}

impl From<sqlx::Error> for HandOverError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// What the server that gives a dealership away says to the one that takes it. Whoever knows it has handed it over.
pub fn release_code(archive: &str) -> String {
    let hash = hex(digest(&SHA256, format!("norvalt hands over {archive}").as_bytes()).as_ref());
    hash[..12].to_owned()
}

/// Hands a dealership over, and returns the code that opens it where it went. From now on it is never opened here again. May be
/// repeated.
pub async fn release(db: &Db, org: &ClerkOrgId, by: &Operator) -> Result<String, HandOverError> {
    let id = DealershipId::of(org);
    let mut tx = db.system().await?;
    lock_organization(&mut tx, org).await?;
    let found = current(&mut tx, id).await?.ok_or(HandOverError::NotMoving)?;
    if found.state == State::Arriving {
        return Err(HandOverError::Arriving);
    }
    let archive = found.archive.ok_or(HandOverError::NotExported)?;
    if found.state == State::Leaving {
        set(&mut tx, org, State::Gone, Some(&archive)).await?;
        record(&mut tx, by, Verb::Release, Subject::Other(&id.to_string())).await?;
    }
    tx.commit().await?;
    Ok(release_code(&archive))
}

/// On whose word a dealership is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// It has not been handed over: the move is given up.
    Plain,
    /// Of the server that it came from.
    Code(String),
    /// The operator's, since that server is lost.
    WithoutCode,
    /// The operator's, since the other server never opened it.
    TakeBack,
}

/// Opens a dealership that is on its way: its people have access, and its jobs run. What Clerk has said of its people meanwhile is
/// applied first.
pub async fn open(db: &Db, org: &ClerkOrgId, how: &Opening, by: &Operator) -> Result<(), HandOverError> {
    let id = DealershipId::of(org);
    let mut tx = db.system().await?;
    let organization = lock_organization(&mut tx, org).await?;
    let found = current(&mut tx, id).await?.ok_or(HandOverError::NotMoving)?;
    match (found.state, how) {
        (State::Leaving, _) | (State::Arriving, Opening::WithoutCode) | (State::Gone, Opening::TakeBack) => {}
        (State::Arriving, Opening::Code(code)) if *code == release_code(&found.archive.unwrap_or_default()) => {}
        (State::Arriving, Opening::Code(_)) => return Err(HandOverError::WrongCode),
        (State::Arriving, _) => return Err(HandOverError::NoCode),
        (State::Gone, _) => return Err(HandOverError::HandedOver),
    }
    end(&mut tx, id).await?;
    let is_closed = organization.is_closed;
    let opened = sqlx::query(
        "-- moving::open\nUPDATE dealerships SET closed_at = CASE WHEN $2 THEN closed_at END WHERE id = $1",
    );
    if opened.bind(id).bind(is_closed).execute(tx.conn()).await?.rows_affected() == 0 {
        return Err(HandOverError::Destroyed);
    }
    settle(&mut tx, org).await?;
    release_jobs(&mut tx, id).await?;
    record(&mut tx, by, Verb::Open, Subject::Other(&id.to_string())).await?;
    Ok(tx.commit().await?)
}

/// Gives the jobs back to the workers. One that another one has taken the place of meanwhile has nothing left to do.
async fn release_jobs(tx: &mut SystemTx, id: DealershipId) -> Result<()> {
    sqlx::query(
        "-- moving::release_jobs
         UPDATE jobs j SET state = 'cancelled', finished_at = now()
         WHERE j.for_dealership = $1 AND starts_with(j.queue, $2) AND j.state IN ('available', 'scheduled', 'retryable')
           AND EXISTS (SELECT FROM jobs o WHERE o.queue = substr(j.queue, length($2) + 1) AND o.unique_key = j.unique_key
                       AND o.state IN ('available', 'scheduled', 'retryable', 'running'))",
    )
    .bind(id)
    .bind(HELD)
    .execute(tx.conn())
    .await?;
    let queues: Vec<String> = sqlx::query_scalar(
        "-- moving::release_jobs
         WITH freed AS (
           UPDATE jobs j SET queue = substr(j.queue, length($2) + 1)
           WHERE j.for_dealership = $1 AND starts_with(j.queue, $2) RETURNING j.queue, j.state)
         SELECT DISTINCT queue FROM freed WHERE state = 'available'",
    )
    .bind(id)
    .bind(HELD)
    .fetch_all(tx.conn())
    .await?;
    for queue in &queues {
        tx.note_enqueued(queue);
    }
    Ok(())
}

/// Destroys what is here of a dealership that another server has: one that was handed over, or one that was imported and never
/// opened. Returns whether there was anything. What is known from Clerk stays, and of one that was handed over, that it was.
pub async fn discard(db: &Db, org: &ClerkOrgId, by: &Operator) -> Result<bool, HandOverError> {
    let id = DealershipId::of(org);
    let mut tx = db.system().await?;
    lock_organization(&mut tx, org).await?;
    let state = match current(&mut tx, id).await? {
        Some(found) if found.state != State::Leaving => found.state,
        _ => return Err(HandOverError::Live),
    };
    let was_there = destroy(&mut tx, id).await?;
    for statement in [
        "-- moving::discard\nDELETE FROM jobs WHERE for_dealership = $1",
        "-- moving::discard\nDELETE FROM deliveries WHERE dealership_id = $1",
    ] {
        sqlx::query(statement).bind(id).execute(tx.conn()).await?;
    }
    if state == State::Arriving {
        end(&mut tx, id).await?;
    }
    if was_there {
        record(&mut tx, by, Verb::Purge, Subject::Other(&id.to_string())).await?;
    }
    tx.commit().await?;
    Ok(was_there)
}

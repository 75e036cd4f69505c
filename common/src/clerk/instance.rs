//! The Clerk instance that the database belongs to. Ids of Clerk are unique, so another instance's organizations and
//! people can never be ours: an event or a key of another instance is a mistake, and nothing of it is written.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::{
    db::{Db, Result, SystemTx},
    ids::ClerkInstanceId,
};

/// The instance that the database belongs to, and how that became known.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OwnInstance {
    /// `ins_…`
    pub id: ClerkInstanceId,
    /// `operator` or `webhook`.
    pub learnt_from: String,
    /// When it became known.
    pub learnt_at: DateTime<Utc>,
}

/// Who says which instance the database belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LearntFrom {
    /// `CLERK_INSTANCE_ID`, or `norvalt instance --set`.
    Operator,
    /// The first webhook that was signed with our secret.
    Webhook,
}

impl LearntFrom {
    fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Webhook => "webhook",
        }
    }
}

/// The instance that the database belongs to, if that is known yet.
pub async fn own_instance(tx: &mut SystemTx) -> Result<Option<OwnInstance>> {
    Ok(sqlx::query_as(
        "-- clerk::instance::own_instance
         SELECT id, learnt_from, learnt_at FROM clerk_instance",
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// Has the database belong to this instance, whatever it belonged to before: an operator's decision.
pub async fn set_instance(tx: &mut SystemTx, id: &ClerkInstanceId) -> Result<()> {
    sqlx::query(
        "-- clerk::instance::set_instance
         INSERT INTO clerk_instance (id, learnt_from) VALUES ($1, $2)
         ON CONFLICT (singleton) DO UPDATE SET id = excluded.id, learnt_from = excluded.learnt_from, learnt_at = now()",
    )
    .bind(id)
    .bind(LearntFrom::Operator.as_str())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Has the database belong to this instance unless it belongs to one already, and returns which one that is. Of two who
/// say so at the same moment, the second waits for the first.
pub(super) async fn learn(tx: &mut SystemTx, id: &ClerkInstanceId, from: LearntFrom) -> Result<ClerkInstanceId> {
    Ok(sqlx::query_scalar(
        "-- clerk::instance::learn
         INSERT INTO clerk_instance AS known (id, learnt_from) VALUES ($1, $2)
         ON CONFLICT (singleton) DO UPDATE SET singleton = known.singleton RETURNING id",
    )
    .bind(id)
    .bind(from.as_str())
    .fetch_one(tx.conn())
    .await?)
}

/// Whether an authentic event that names this instance is for us. The first one that does says whose database it is,
/// unless an operator did: `configured`.
pub(super) async fn is_ours(
    tx: &mut SystemTx,
    configured: Option<&ClerkInstanceId>,
    named: Option<&str>,
) -> Result<bool> {
    let Some(named) = named else { return Ok(true) };
    if configured.is_some_and(|configured| configured.as_str() != named) {
        return Ok(false);
    }
    if let Some(own) = own_instance(tx).await? {
        return Ok(own.id.as_str() == named);
    }
    let Some(id) = named.parse::<ClerkInstanceId>().ok().filter(|_| named.starts_with("ins_")) else {
        return Ok(true);
    };
    let from = if configured.is_some() { LearntFrom::Operator } else { LearntFrom::Webhook };
    Ok(learn(tx, &id, from).await? == id)
}

/// How the last reconciliation ended that could have written.
#[derive(Debug, Clone, FromRow)]
pub struct LastReconciliation {
    pub ended_at: DateTime<Utc>,
    /// Why nothing was written, if it was refused.
    pub refusal: Option<String>,
}

/// How the last reconciliation ended, if there was one.
pub async fn last_reconciliation(tx: &mut SystemTx) -> Result<Option<LastReconciliation>> {
    Ok(sqlx::query_as(
        "-- clerk::instance::last_reconciliation
         SELECT ended_at, refusal FROM clerk_reconciliation",
    )
    .fetch_optional(tx.conn())
    .await?)
}

pub(super) async fn record_reconciliation(db: &Db, refusal: Option<&str>) -> Result<()> {
    let mut tx = db.system().await?;
    sqlx::query(
        "-- clerk::instance::record_reconciliation
         INSERT INTO clerk_reconciliation (refusal) VALUES ($1)
         ON CONFLICT (singleton) DO UPDATE SET ended_at = now(), refusal = excluded.refusal",
    )
    .bind(refusal)
    .execute(tx.conn())
    .await?;
    tx.commit().await
}

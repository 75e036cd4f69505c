use utoipa::ToSchema;
use uuid::Uuid;

use super::{Source, SourceKind, find};
use crate::{
    db::{Error, Result, TenantTx},
    ids::SourceId,
    input::{Fields, FromFields, integer},
};

/// A key that nobody can guess: 122 random bits.
pub(super) fn new_key() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Lets senders name a source by another key as well, such as one that a person can remember. Twice is harmless.
pub async fn know_as(tx: &mut TenantTx, kind: SourceKind, key: &str, source: SourceId) -> Result<(), KeyTaken> {
    sqlx::query(
        "-- lead_sources::know_as
         INSERT INTO source_keys (kind, key, dealership_id, source_id) VALUES ($1, $2, $3, $4)
         ON CONFLICT (kind, key) DO NOTHING",
    )
    .bind(kind)
    .bind(key)
    .bind(tx.dealership())
    .bind(source)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What a request says of a key that is to be replaced.
#[derive(Debug, Clone, Copy, ToSchema)]
pub struct Rotation {
    /// Days for which the old key is still taken; 0 for not at all.
    #[schema(minimum = 0, maximum = 90)]
    pub keep_days: i64,
}

impl FromFields for Rotation {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { keep_days: fields.required("keep_days", integer(0..=90))? })
    }
}

/// Another source has the key, maybe one of another dealership.
#[derive(Debug, thiserror::Error)]
pub enum KeyTaken {
    #[error("another source has this key")]
    Taken,
    /// The database did not do it.
    #[error(transparent)]
    Db(Error),
}

impl From<sqlx::Error> for KeyTaken {
    fn from(error: sqlx::Error) -> Self {
        let error = Error::from(error);
        match error.constraint() {
            Some("source_keys_pkey") => Self::Taken,
            _ => Self::Db(error),
        }
    }
}

/// Lets senders name a source by a key.
pub(super) async fn insert(tx: &mut TenantTx, kind: SourceKind, key: &str, source: SourceId) -> Result<(), KeyTaken> {
    sqlx::query(
        "-- lead_sources::insert_key
         INSERT INTO source_keys (kind, key, dealership_id, source_id) VALUES ($1, $2, $3, $4)",
    )
    .bind(kind)
    .bind(key)
    .bind(tx.dealership())
    .bind(source)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Gives a source a new key. The old one is taken for as long as the request says, so that forms and forwarding rules can
/// follow. `None` if there is no such source, or its key is not ours to choose.
pub async fn rotate(tx: &mut TenantTx, id: SourceId, rotation: Rotation) -> Result<Option<Source>, KeyTaken> {
    let key = new_key();
    let kind: Option<SourceKind> = sqlx::query_scalar(
        "-- lead_sources::rotate
         UPDATE lead_sources SET key = $3, updated_at = greatest(now(), updated_at + interval '1 microsecond')
         WHERE id = $1 AND dealership_id = $2 AND kind <> 'facebook' RETURNING kind",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(&key)
    .fetch_optional(tx.conn())
    .await?;
    let Some(kind) = kind else { return Ok(None) };
    sqlx::query(
        "-- lead_sources::rotate
         UPDATE source_keys SET expires_at = least(expires_at, now() + make_interval(days => $3))
         WHERE source_id = $1 AND dealership_id = $2",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(i32::try_from(rotation.keep_days).expect("within its bounds"))
    .execute(tx.conn())
    .await?;
    insert(tx, kind, &key, id).await?;
    find(tx, id).await.map_err(KeyTaken::Db)
}

//! Requests that may be sent again: what the first was answered is stored with its effect, and is the answer to all.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

use crate::{
    db::{Caller, Db, Result, TenantTx},
    ids::UserId,
};

/// A request under a key that its client chose.
#[derive(Debug, Clone)]
pub struct Keyed {
    key_hash: Vec<u8>,
    request_hash: Vec<u8>,
}

/// What a request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Where what it created is.
    pub location: Option<String>,
    /// The body, as JSON.
    pub body: Option<String>,
}

/// What is known of a request under its key.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is the first, and nobody else's before this transaction ends.
    Nothing,
    /// Another one with this key is under way.
    UnderWay,
    Answered(Answer),
    /// It was done, and its answer was erased with the data of a customer.
    Erased,
    /// The key was used for another request.
    OfAnother,
}

impl Keyed {
    /// `request` is all that makes it the same one: two with the same key have to agree in each part.
    pub fn new(key: &str, request: &[&[u8]]) -> Self {
        Self { key_hash: hash(&[key.as_bytes()]), request_hash: hash(request) }
    }

    /// Of the lock that one request under this key holds.
    fn lock(&self, tx: &TenantTx, user: UserId) -> i64 {
        let owner = format!("{} {user}", tx.dealership());
        let hash = hash(&[owner.as_bytes(), &self.key_hash]);
        i64::from_be_bytes(hash[..8].try_into().expect("a hash is longer"))
    }
}

/// Of the parts with their lengths, so that none can pass for the beginning of the next.
fn hash(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// What a key was used for.
#[derive(sqlx::FromRow)]
struct Used {
    same: bool,
    status: i16,
    location: Option<String>,
    answer: Option<String>,
    erased: bool,
}

/// Looks for the answer, and takes the key for this transaction if there is none.
pub async fn recall(tx: &mut TenantTx, caller: &Caller, keyed: &Keyed) -> Result<Known> {
    let is_free: bool = sqlx::query_scalar("-- idempotency::take\nSELECT pg_try_advisory_xact_lock($1)")
        .bind(keyed.lock(tx, caller.id))
        .fetch_one(tx.conn())
        .await?;
    // Not in the same statement: whoever had the key may have ended after that began, and before the key was free.
    let used: Option<Used> = sqlx::query_as(
        "-- idempotency::recall
         SELECT request_hash = $4 AS same, status, location, answer, erased FROM idempotency_keys
         WHERE dealership_id = $1 AND user_id = $2 AND key_hash = $3",
    )
    .bind(tx.dealership())
    .bind(caller.id)
    .bind(&keyed.key_hash)
    .bind(&keyed.request_hash)
    .fetch_optional(tx.conn())
    .await?;
    Ok(match used {
        None if is_free => Known::Nothing,
        None => Known::UnderWay,
        Some(Used { same: false, .. }) => Known::OfAnother,
        Some(Used { erased: true, .. }) => Known::Erased,
        Some(Used { status, location, answer: body, .. }) => {
            Known::Answered(Answer { status: u16::try_from(status).unwrap_or_default(), location, body })
        }
    })
}

/// Stores the answer, to be committed with its effect, and says whether it could be. If another request with the key was quicker,
/// or the caller is gone by now, this one's effect must not be committed.
pub async fn keep(tx: &mut TenantTx, caller: &Caller, keyed: &Keyed, answer: &Answer) -> Result<bool> {
    let kept = sqlx::query(
        "-- idempotency::keep
         INSERT INTO idempotency_keys (dealership_id, user_id, key_hash, request_hash, status, location, answer)
         SELECT u.dealership_id, u.id, $3, $4, $5, $6, $7 FROM users u WHERE u.dealership_id = $1 AND u.id = $2
         ON CONFLICT (dealership_id, user_id, key_hash) DO NOTHING",
    )
    .bind(tx.dealership())
    .bind(caller.id)
    .bind(&keyed.key_hash)
    .bind(&keyed.request_hash)
    .bind(i16::try_from(answer.status).unwrap_or(i16::MAX))
    .bind(&answer.location)
    .bind(&answer.body)
    .execute(tx.conn())
    .await?;
    Ok(kept.rows_affected() > 0)
}

/// Erases what the dealership's requests were answered, to be called after the personal data of a customer was erased: which
/// of the answers tell of them is not asked, since none is needed for longer than a client tries again.
pub async fn forget_answers(tx: &mut TenantTx) -> Result<()> {
    sqlx::query(
        "-- idempotency::forget_answers
         UPDATE idempotency_keys SET answer = NULL, erased = true WHERE dealership_id = $1 AND answer IS NOT NULL",
    )
    .bind(tx.dealership())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Deletes keys that were used longer ago than `age`, in short transactions of its own, and returns how many.
pub async fn prune(db: &Db, age: Duration) -> Result<u64> {
    db.delete_older(
        "-- idempotency::prune
         DELETE FROM idempotency_keys WHERE (dealership_id, user_id, key_hash) IN (
           SELECT dealership_id, user_id, key_hash FROM idempotency_keys WHERE created_at < now() - $1
           ORDER BY created_at LIMIT $2)",
        age,
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::Keyed;

    #[test]
    fn requests_are_the_same_only_in_each_part() {
        let keyed = |parts: &[&[u8]]| Keyed::new("key", parts).request_hash;
        assert_eq!(keyed(&[b"POST", b"/leads", b"{}"]), keyed(&[b"POST", b"/leads", b"{}"]));
        assert_ne!(keyed(&[b"POST", b"/leads", b"{}"]), keyed(&[b"POST", b"/lead", b"s{}"]));
        assert_ne!(keyed(&[b"POST", b""]), keyed(&[b"POST"]));
    }
}

use chrono::{DateTime, Utc};
use sqlx::{Encode, Postgres, QueryBuilder, Type};
use uuid::Uuid;

use crate::{db::TenantTx, input::Patch};

/// The statement with which [`lock`] locks a row of this table that has the id `$1` and the dealership `$2`.
macro_rules! lock_statement {
    ($table:literal) => {
        concat!(
            // The clock is read outside the subquery, which means: after the lock was granted.
            "-- ",
            $table,
            "::lock
             WITH locked AS MATERIALIZED (
               SELECT updated_at FROM ",
            $table,
            " WHERE id = $1 AND dealership_id = $2 FOR NO KEY UPDATE)
             SELECT greatest(clock_timestamp(), updated_at + interval '1 microsecond') FROM locked"
        )
    };
}
pub(crate) use lock_statement;

/// Locks the row that is to be updated, unless there is none, and says when it is: later than what whoever held the lock
/// before has left in `updated_at`, even if the clock was put back.
pub(crate) async fn lock(
    tx: &mut TenantTx,
    statement: &'static str,
    id: impl Into<Uuid>,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    let dealership = tx.dealership();
    sqlx::query_scalar(statement).bind(id.into()).bind(dealership).fetch_optional(tx.conn()).await
}

/// An UPDATE of just the columns that a request gives.
pub(crate) struct Update(QueryBuilder<Postgres>);

impl Update {
    /// `statement` ends with the table. Sets its `updated_at` to this time, which [`lock`] gives.
    pub(crate) fn at(statement: &'static str, now: DateTime<Utc>) -> Self {
        let mut query = QueryBuilder::new(statement);
        query.push(" SET updated_at = ").push_bind(now);
        Self(query)
    }

    /// Sets a column, if there is something to set it to.
    pub(crate) fn change<'q, T: Encode<'q, Postgres> + Type<Postgres> + 'q>(
        &mut self,
        column: &'static str,
        value: Option<T>,
    ) {
        if let Some(value) = value {
            self.0.push(", ").push(column).push(" = ").push_bind(value);
        }
    }

    /// Keeps, clears or sets a column.
    pub(crate) fn patch<'q, T: Encode<'q, Postgres> + Type<Postgres> + 'q>(
        &mut self,
        column: &'static str,
        patch: Patch<T>,
    ) {
        match patch {
            Patch::Keep => {}
            Patch::Clear => _ = self.0.push(", ").push(column).push(" = NULL"),
            Patch::Set(value) => self.change(column, Some(value)),
        }
    }

    /// The statement so far, to which the caller adds which row is meant.
    pub(crate) fn finish(self) -> QueryBuilder<Postgres> {
        self.0
    }
}

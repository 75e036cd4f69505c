use chrono::{DateTime, Utc};
use sqlx::{Encode, Postgres, QueryBuilder, Type};

use crate::input::Patch;

/// An UPDATE of just the columns that a request gives.
pub(crate) struct Update(QueryBuilder<Postgres>);

impl Update {
    /// `statement` ends with the table. Sets its `updated_at` to now, and to later than what whoever held the row's lock
    /// before has left there, even if the clock was put back.
    pub(crate) fn of(statement: &'static str) -> Self {
        let mut query = QueryBuilder::new(statement);
        query.push(" SET updated_at = greatest(clock_timestamp(), updated_at + interval '1 microsecond')");
        Self(query)
    }

    /// `statement` ends with the table. Sets its `updated_at` to this time.
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

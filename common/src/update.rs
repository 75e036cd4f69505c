use sqlx::{Encode, Postgres, QueryBuilder, Type};

use crate::input::Patch;

/// An UPDATE of just the columns that a request gives.
pub(crate) struct Update(QueryBuilder<Postgres>);

impl Update {
    /// `statement` sets at least one column already.
    pub(crate) fn of(statement: &'static str) -> Self {
        Self(QueryBuilder::new(statement))
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

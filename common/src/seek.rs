//! Long lists of operators, a part at a time.

use sqlx::{Postgres, QueryBuilder};

/// Which part of a long list is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Seek {
    #[default]
    Newest,
    /// Those older than this one.
    OlderThan(i64),
    /// Those next to this one that are newer.
    NewerThan(i64),
}

impl Seek {
    /// Ends a query whose rows have ids and whose conditions are begun.
    pub(crate) fn push_to(self, query: &mut QueryBuilder<Postgres>, limit: i64) {
        match self {
            Self::Newest => query.push(" ORDER BY id DESC LIMIT "),
            Self::OlderThan(id) => query.push(" AND id < ").push_bind(id).push(" ORDER BY id DESC LIMIT "),
            Self::NewerThan(id) => query.push(" AND id > ").push_bind(id).push(" ORDER BY id LIMIT "),
        };
        query.push_bind(limit);
    }

    /// Brings what that found into order.
    pub(crate) fn newest_first<T>(self, rows: &mut [T]) {
        if matches!(self, Self::NewerThan(_)) {
            rows.reverse();
        }
    }
}

//! What a connection keeps from one transaction to the next. It is decided when the connection is opened, and decides what
//! each of its transactions must say.

use sqlx::{AssertSqlSafe, PgConnection};

use super::{
    begin::{Knows, settle},
    cancel::Backend,
    lookup::PreparedLookup,
    pooler::Pooling,
};

/// Of one connection.
#[derive(Debug)]
pub(super) struct Session {
    keeps: Keeps,
    access: Access,
    knows: Knows,
}

/// What the server that connections lead to is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// All of it.
    ReadWrite,
    /// It only repeats what another one writes.
    ReadOnly,
}

#[derive(Debug)]
enum Keeps {
    /// Everything: it is our own. What is the same for all transactions has been said.
    Everything { backend: Backend, lookup: PreparedLookup },
    /// Nothing: behind a transaction-mode pooler, each transaction may have another server process.
    Nothing,
    /// Nobody has looked yet.
    Unknown,
}

impl Session {
    /// Settles on a new connection what can be settled there. Through a pooler, it would be said to a connection that others
    /// use next.
    pub(super) async fn of(conn: &mut PgConnection, pooling: Option<Pooling>, access: Access) -> sqlx::Result<Self> {
        let knows = Knows::of(conn.server_version_num());
        let keeps = match pooling {
            Some(Pooling::Session) => {
                let settle = format!("{}; {}", settle(knows), Backend::OWN);
                let backend = Backend::of(&sqlx::raw_sql(AssertSqlSafe(settle)).fetch_one(conn).await?)?;
                Keeps::Everything { backend, lookup: PreparedLookup::default() }
            }
            Some(Pooling::Transaction) => Keeps::Nothing,
            None => Keeps::Unknown,
        };
        Ok(Self { keeps, access, knows })
    }

    /// How each of its transactions begins.
    pub(super) fn access(&self) -> Access {
        self.access
    }

    /// What can be said to the server.
    pub(super) fn knows(&self) -> Knows {
        self.knows
    }

    /// Whether what is the same for all transactions need not be said in each.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.keeps, Keeps::Everything { .. })
    }

    /// The server process that runs all of its transactions, where that is always the same one.
    pub(super) fn backend(&self) -> Option<Backend> {
        match self.keeps {
            Keeps::Everything { backend, .. } => Some(backend),
            Keeps::Nothing | Keeps::Unknown => None,
        }
    }

    /// What asks for the server process of one transaction, where each may have another.
    pub(super) fn asks_backend(&self) -> Option<&'static str> {
        matches!(self.keeps, Keeps::Nothing).then_some(Backend::OF_TRANSACTION)
    }

    /// The caller's look-up, where a statement that was prepared by name is still there in the next transaction.
    pub(super) fn lookup(&mut self) -> Option<&mut PreparedLookup> {
        match &mut self.keeps {
            Keeps::Everything { lookup, .. } => Some(lookup),
            Keeps::Nothing | Keeps::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::{Access, Backend, Keeps, PreparedLookup, Session};
    use crate::db::begin::{Begin, Knows, dedicated_session, settle};

    #[test]
    fn only_what_the_server_knows_is_said() {
        for (version, is_said) in [(Some(170_002), true), (Some(180_000), true), (Some(160_011), false), (None, false)]
        {
            let knows = Knows::of(version);
            let session = Session { keeps: Keeps::Nothing, access: Access::ReadWrite, knows };
            let begin = Begin::system(Duration::ZERO).over(&session, None);
            assert_eq!(begin.contains("SET LOCAL transaction_timeout = 0"), is_said, "{version:?}: {begin}");
            for once in [settle(knows), dedicated_session(Duration::from_secs(1), knows)] {
                assert_eq!(once.contains("SET transaction_timeout = 0"), is_said, "{version:?}: {once}");
            }
        }
    }

    #[test]
    fn what_a_connection_does_not_keep_is_said_in_each_transaction() {
        let backend = Backend { pid: 1, since: None };
        let knows = Knows::of(Some(170_000));
        let session = |keeps| Session { keeps, access: Access::ReadWrite, knows };
        let own = session(Keeps::Everything { backend, lookup: PreparedLookup::default() });
        let begin = Begin::tenant(Uuid::nil().into(), Duration::from_secs(1));
        let once = settle(knows);
        let mut said: Vec<_> = once.split("; ").map(|set| set.strip_prefix("SET ").expect("a setting")).collect();
        // Holds until a transaction says its own.
        assert!(said.pop().is_some_and(|last| last.starts_with("statement_timeout")));
        assert_eq!(said.len(), 9);
        for session in [session(Keeps::Nothing), session(Keeps::Unknown), own] {
            let text = begin.over(&session, None);
            for setting in &said {
                let local = text.contains(&format!("SET LOCAL {setting}"));
                assert_eq!(local, !session.is_settled(), "{setting}: {text}");
            }
            // Whatever is kept, these are never relied on.
            for always in [
                "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; ",
                "SET LOCAL ROLE norvalt_tenant; ",
                "SET LOCAL app.current_dealership_id = '00000000-0000-0000-0000-000000000000'; ",
                "SET LOCAL statement_timeout = 1000; ",
                "SET LOCAL idle_in_transaction_session_timeout = ",
            ] {
                assert!(text.contains(always), "{text}");
            }
        }
    }
}

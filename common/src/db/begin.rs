//! What is said before any statement runs, so that it does not matter what the database, the role, an earlier user of the
//! connection or a pooler has set.

use std::{fmt::Write, time::Duration};

use super::{
    IDLE_LIMIT, LOOKUP_LIMIT, REQUEST_LIMIT,
    session::{Access, Session},
};
use crate::ids::DealershipId;

/// How a transaction begins: one message, so one round trip. How much of it must be said depends on the connection.
#[derive(Debug, Clone)]
pub(crate) struct Begin {
    transaction: &'static str,
    door: String,
    limit: Duration,
    then: String,
}

/// Under stricter isolation than this, concurrent writers fail that would only wait here. READ WRITE is refused by a standby,
/// at once and not at the first statement that writes.
const TRANSACTION: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE";
/// The same where nothing can be written.
const OF_STANDBY: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY";
/// All statements see the same, and none writes: a standby does as well.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// What statements see and mean, and how values are written as text: the same for all transactions.
const SETTINGS: [(&str, &str); 8] = [
    ("search_path", "public, pg_temp"),
    ("row_security", "on"),
    ("lock_timeout", "0"),
    ("TimeZone", "'UTC'"),
    ("DateStyle", "'ISO, MDY'"),
    ("IntervalStyle", "'postgres'"),
    ("standard_conforming_strings", "on"),
    // Policies are compared with what they must be, as text.
    ("quote_all_identifiers", "off"),
];

/// What only some servers know. Older ones refuse it.
/// <https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-TRANSACTION-TIMEOUT>
const SINCE_17: (&str, &str) = ("transaction_timeout", "0");

/// Which settings a server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Knows {
    transaction_timeout: bool,
}

impl Knows {
    /// What a server of this version knows, as libpq writes versions: `170002`.
    pub(super) fn of(version: Option<u32>) -> Self {
        Self { transaction_timeout: version.is_some_and(|version| version >= 170_000) }
    }
}

impl Begin {
    /// As one dealership, with so much time for each statement.
    pub(super) fn tenant(dealership: DealershipId, limit: Duration) -> Self {
        Self::with(become_tenant(dealership), limit)
    }

    /// As the system, with so much time for each statement; zero means as much as it takes.
    pub(super) fn system(limit: Duration) -> Self {
        Self::with("SET LOCAL ROLE norvalt_system; ".to_owned(), limit)
    }

    /// As the system, which sees the database as it is at one moment, for as long as it takes.
    pub(super) fn snapshot() -> Self {
        Self { transaction: SNAPSHOT, ..Self::system(Duration::ZERO) }
    }

    /// As whoever logs in, for what touches no table.
    pub(super) fn anybody() -> Self {
        Self::with(String::new(), REQUEST_LIMIT)
    }

    /// As whoever logs in, and announces something.
    pub(super) fn announcement(notify: String) -> Self {
        Self { then: notify, ..Self::anybody() }
    }

    fn with(door: String, limit: Duration) -> Self {
        Self { transaction: TRANSACTION, door, limit, then: String::new() }
    }

    /// Its text. Safe: the only variable parts are numbers, the canonical form of a UUID and plain names of queues. `LOCAL`
    /// ends with the transaction, also behind a pooler that gives the connection to somebody else then. The `lookup` of a caller
    /// comes before its statements get their time, so that it has that of the connection.
    pub(super) fn over(&self, session: &Session, lookup: Option<&str>) -> String {
        let Self { transaction, door, limit, then } = self;
        let transaction = match (session.access(), *transaction) {
            (Access::ReadOnly, TRANSACTION) => OF_STANDBY,
            (_, transaction) => transaction,
        };
        let mut text = format!(
            "{transaction}; {door}{}SET LOCAL statement_timeout = {}; SET LOCAL idle_in_transaction_session_timeout = {}",
            lookup.unwrap_or_default(),
            limit.as_millis(),
            IDLE_LIMIT.as_millis()
        );
        if !session.is_settled() {
            let _ = write!(text, "; {}", settings("SET LOCAL", session.knows()));
        }
        if !then.is_empty() {
            let _ = write!(text, "; {then}");
        }
        text
    }
}

/// Makes a transaction the dealership's. Ends with a semicolon.
pub(super) fn become_tenant(dealership: DealershipId) -> String {
    format!("SET LOCAL ROLE norvalt_tenant; SET LOCAL app.current_dealership_id = '{dealership}'; ")
}

/// Says to a connection of our own, once, what is the same for all of its transactions. Whatever the database or the role
/// carries, now or later, gives way to it.
pub(super) fn settle(knows: Knows) -> String {
    format!("{}; SET statement_timeout = {}", settings("SET", knows), LOOKUP_LIMIT.as_millis())
}

/// What a connection of the queue says once, since it is nobody else's, for statements that are transactions by themselves.
/// Plans are remembered from when the table was small, and there is an index for each statement: reading all of the table
/// would be slow from the next burst until it is analyzed, and compiling a plan takes longer than using it.
pub(super) fn dedicated_session(limit: Duration, knows: Knows) -> String {
    format!(
        "SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off; \
         SET ROLE norvalt_system; SET statement_timeout = {}; SET idle_session_timeout = 0; \
         SET enable_seqscan = off; SET jit = off; {}",
        limit.as_millis().max(1),
        settings("SET", knows)
    )
}

fn settings(set: &str, knows: Knows) -> String {
    let later = Some(SINCE_17).filter(|_| knows.transaction_timeout);
    let all = SETTINGS.into_iter().chain(later).map(|(name, value)| format!("{set} {name} = {value}"));
    all.collect::<Vec<_>>().join("; ")
}

use std::borrow::Cow;

/// Why a statement or a transaction did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached or is not serving now. Trying again later is right.
    #[error("{}", unavailable(.0))]
    Unavailable(#[source] sqlx::Error),
    /// The database refused the statement. Trying again is pointless until the cause is fixed.
    #[error("the database refused a statement")]
    Refused(#[source] sqlx::Error),
}

/// Result of everything that talks to the database.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One dealership's data may be open to another's people, so none is served.
#[derive(Debug, thiserror::Error)]
#[error("dealerships are not isolated from each other; find out why with: norvalt doctor")]
struct NotIsolated;

/// A dealership is on its way to another server: whoever asks again later finds it there, or here again.
#[derive(Debug, thiserror::Error)]
#[error("the dealership is on its way to another server: norvalt dealership list")]
struct Moving;

/// What is said of a dealership that is on its way to another server.
pub(crate) fn moving() -> sqlx::Error {
    sqlx::Error::AnyDriverError(Moving.into())
}

impl Error {
    /// No dealership is served until they are isolated from each other again.
    pub(super) fn not_isolated() -> Self {
        Self::Unavailable(sqlx::Error::AnyDriverError(NotIsolated.into()))
    }

    /// Whether the server only repeats what another one writes, or was told to write nothing. Of a refused BEGIN: what does
    /// not exist has the same code.
    pub(super) fn means_standby(&self) -> bool {
        // feature_not_supported is what BEGIN READ WRITE is answered with in recovery; read_only_sql_transaction.
        matches!(self.code().as_deref(), Some("0A000" | "25006"))
    }

    /// Whether the server took longer than it may.
    pub(super) fn means_too_slow(&self) -> bool {
        // query_canceled
        self.code().as_deref() == Some("57014")
    }

    /// Why a transaction could not begin: another server may be the one that takes it, or this one later.
    pub(super) fn of_begin(error: sqlx::Error) -> Self {
        let error = Self::from(error);
        let passes = error.means_standby() || error.means_too_slow();
        match error {
            Self::Refused(error) if passes => Self::Unavailable(error),
            error => error,
        }
    }

    /// What PostgreSQL says it is. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    pub(super) fn code(&self) -> Option<Cow<'_, str>> {
        let (Self::Refused(error) | Self::Unavailable(error)) = self;
        error.as_database_error().and_then(sqlx::error::DatabaseError::code)
    }

    /// Whether a role or a table is missing that migrations make.
    pub fn means_not_migrated(&self) -> bool {
        // invalid_parameter_value is what SET ROLE says of a role that does not exist; undefined_table.
        matches!(self.code().as_deref(), Some("22023" | "42P01"))
    }

    /// The constraint that the statement violates, if any.
    pub(crate) fn constraint(&self) -> Option<&str> {
        let (Self::Refused(error) | Self::Unavailable(error)) = self;
        let error = error.as_database_error()?;
        error.constraint().or_else(|| constraint_of_shard(error.message()))
    }

    /// Whether the transaction was given up in favour of another one, in a deadlock or for serializability: it had no
    /// effect, and to run it again at once is right.
    pub fn is_conflict(&self) -> bool {
        let (Self::Refused(error) | Self::Unavailable(error)) = self;
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        code.is_some_and(|code| means_conflict(&code))
    }
}

/// Where tables are spread over machines by Citus, a shard names its own constraint, in the message only: with the shard's number.
fn constraint_of_shard(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("constraint \"")?;
    let (name, shard) = rest.split_once('"')?.0.rsplit_once('_')?;
    (!shard.is_empty() && shard.bytes().all(|b| b.is_ascii_digit())).then_some(name)
}

fn unavailable(cause: &sqlx::Error) -> &'static str {
    match cause {
        sqlx::Error::AnyDriverError(cause) if cause.is::<Moving>() => "this dealership is not served",
        sqlx::Error::AnyDriverError(_) => "no dealership is served",
        _ => "the database is unavailable; is PostgreSQL running, and DATABASE_URL right?",
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let unavailable = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            // What speaks no PostgreSQL is not the server: a connection that was closed at once looks like that, too.
            | sqlx::Error::Protocol(_) => true,
            sqlx::Error::AnyDriverError(cause) => cause.is::<Moving>(),
            sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| means_unavailable(&code)),
            _ => false,
        };
        if unavailable { Self::Unavailable(error) } else { Self::Refused(error) }
    }
}

/// Classes 08 (connection), 53 (resources) and 57 (operator intervention, but not a cancelled statement), read-only
/// transactions after a fail-over, transactions that were idle or open for longer than the server allows, and serialization
/// trouble.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn means_unavailable(code: &str) -> bool {
    code.starts_with("08")
        || code.starts_with("53")
        || code.starts_with("57P")
        || matches!(code, "25006" | "25P03" | "25P04")
        || means_conflict(code)
}

fn means_conflict(code: &str) -> bool {
    matches!(code, "40001" | "40P01")
}

#[cfg(test)]
mod tests {
    use super::constraint_of_shard;

    #[test]
    fn a_shards_constraint_is_the_tables() {
        let missing = "insert or update on table \"leads_102031\" violates foreign key constraint \"leads_dealership_id_fkey_102031\"";
        assert_eq!(constraint_of_shard(missing), Some("leads_dealership_id_fkey"));
        let twice = "duplicate key value violates unique constraint \"vehicles_vin_102044\"";
        assert_eq!(constraint_of_shard(twice), Some("vehicles_vin"));
        for other in ["value too long", "violates check constraint \"leads_score_check\"", "constraint \"cut"] {
            assert_eq!(constraint_of_shard(other), None, "{other}");
        }
    }
}

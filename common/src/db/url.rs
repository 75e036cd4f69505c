use std::{fmt, str::FromStr};

use sqlx::postgres::PgConnectOptions;

/// A `postgres://` URL that is fit for use. It holds a password; `Debug` shows host, port and database alone.
#[derive(Clone)]
pub struct DatabaseUrl(PgConnectOptions);

/// Why a `DATABASE_URL` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// Not a PostgreSQL URL at all.
    #[error(
        "is not a PostgreSQL URL such as postgresql://user:password@host:5432/database; placeholders such as [HOST] must be \
         filled in, and characters such as @ / # in the password written as %40 %2F %23"
    )]
    NotAUrl,
    /// Port 6543 is where Supabase's transaction-mode pooler listens.
    #[error(
        "points to a transaction-mode pooler (port 6543), which cannot carry LISTEN or prepared statements; \
         use the direct connection or the session-mode pooler (port 5432)"
    )]
    TransactionPooler,
}

impl DatabaseUrl {
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.0.clone()
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        // Python's SQLAlchemy names its driver here; people bring their old .env along.
        let url = url.replacen("postgresql+asyncpg://", "postgresql://", 1);
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(InvalidDatabaseUrl::NotAUrl);
        }
        let options: PgConnectOptions = url.parse().map_err(|_| InvalidDatabaseUrl::NotAUrl)?;
        if options.get_port() == 6543 || url.contains("pgbouncer=true") {
            return Err(InvalidDatabaseUrl::TransactionPooler);
        }
        Ok(Self(options))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgresql://{}:{}/{}", self.0.get_host(), self.0.get_port(), self.0.get_database().unwrap_or(""))
    }
}

use std::{fmt, str::FromStr};

use sqlx::postgres::PgConnectOptions;

/// Where the database is: a `postgres://` URL that is fit for use. It holds a password; `Debug` shows host, port and database
/// alone.
#[derive(Clone)]
pub struct DatabaseUrl {
    options: PgConnectOptions,
    direct: Option<PgConnectOptions>,
}

/// Why a `DATABASE_URL` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// Not a PostgreSQL URL at all.
    #[error(
        "is not a PostgreSQL URL such as postgresql://user:password@host:5432/database; placeholders such as [HOST] must be \
         filled in, and characters such as @ / # in the password written as %40 %2F %23"
    )]
    NotAUrl,
    /// It asks for tables elsewhere than where they are.
    #[error("sets search_path, but Norvalt's tables are in the schema public; leave search_path out")]
    SearchPath,
}

impl DatabaseUrl {
    /// The same database; what a transaction-mode pooler cannot carry takes the `direct` way to it.
    #[must_use]
    pub fn with_direct(self, direct: Self) -> Self {
        Self { direct: Some(direct.options), ..self }
    }

    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// For what needs a session of its own: listening, the queue's connections, migrations.
    pub(crate) fn direct_options(&self) -> &PgConnectOptions {
        self.direct.as_ref().unwrap_or(&self.options)
    }

    pub(super) fn has_direct(&self) -> bool {
        self.direct.is_some()
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
        if options.get_options().is_some_and(|options| options.contains("search_path")) {
            return Err(InvalidDatabaseUrl::SearchPath);
        }
        // Values travel in binary. Poolers refuse settings at connect that they do not know.
        Ok(Self { options: options.extra_float_digits(None), direct: None })
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, .. } = self;
        write!(f, "postgresql://{}:{}/{}", options.get_host(), options.get_port(), options.get_database().unwrap_or(""))
    }
}

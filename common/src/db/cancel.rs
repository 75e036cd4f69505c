use std::{sync::Arc, time::Duration};

use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use tokio::sync::Mutex;

use super::{Result, pool::with_timeout};

/// How long a cancellation may take.
const TIME_LIMIT: Duration = Duration::from_secs(1);

/// Cancels statements that nobody waits for any more, over one connection of its own: those of the pool are what is missing
/// then. Takes no role: PostgreSQL lets a login cancel what runs under the same login.
#[derive(Debug, Clone)]
pub(super) struct Canceller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: PgConnectOptions,
    idle: Mutex<Option<PgConnection>>,
}

impl Canceller {
    /// Connects when first needed.
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self(Arc::new(Inner { options, idle: Mutex::default() }))
    }

    /// Interrupts what this backend runs now, if anything. Returns whether there is such a backend. Only for whoever holds its
    /// connection, until this returns: later it might be somebody else's statement.
    pub(super) async fn cancel(&self, backend: i32) -> Result<bool> {
        let mut idle = self.0.idle.lock().await;
        if let Some(conn) = idle.take()
            && let Ok((conn, found)) = Self::cancel_over(conn, backend).await
        {
            *idle = Some(conn);
            return Ok(found);
        }
        let conn = with_timeout(TIME_LIMIT, self.0.options.connect()).await?;
        let (conn, found) = Self::cancel_over(conn, backend).await?;
        *idle = Some(conn);
        Ok(found)
    }

    async fn cancel_over(mut conn: PgConnection, backend: i32) -> Result<(PgConnection, bool)> {
        let cancel = sqlx::query_scalar("-- db::cancel\nSELECT pg_cancel_backend($1)").bind(backend);
        let found = with_timeout(TIME_LIMIT, cancel.fetch_one(&mut conn)).await?;
        Ok((conn, found))
    }
}

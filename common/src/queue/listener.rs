use std::io;

use sqlx::postgres::{PgListener, PgPoolOptions};

use super::{
    CHANNEL,
    connection::{CONNECT_TIMEOUT, named, within},
};
use crate::db::{Db, Error, Result};

/// Hears that work was committed, on a connection of its own.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Listener {
    /// Connects and listens. What is committed from here on is heard.
    pub async fn connect(db: &Db) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_TIMEOUT)
            .connect_lazy_with(named(db, "listener"));
        let mut listener = PgListener::connect_with(&pool).await?;
        // It would listen again by itself and not tell what it missed.
        listener.eager_reconnect(false);
        within(CONNECT_TIMEOUT, listener.listen(CHANNEL)).await?;
        Ok(Self(listener))
    }

    /// Waits until work is announced. An error means that the connection is lost, and with it perhaps an announcement.
    pub async fn heard(&mut self) -> Result<()> {
        match self.0.try_recv().await? {
            Some(_) => Ok(()),
            None => Err(Error::Unavailable(sqlx::Error::Io(io::ErrorKind::ConnectionAborted.into()))),
        }
    }
}

use std::{io, time::Duration};

use sqlx::{
    Executor,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::time::timeout;

use super::pause::INTERVENTION;
use crate::db::{CHANNEL, CONNECT_TIMEOUT, Db, Error, QUEUES, Result, with_timeout};

/// After so long without a word the server is asked whether it is there: nobody tells of one that vanished.
const SILENCE: Duration = Duration::from_secs(30);

/// What a worker may hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// There may be work in any queue.
    Work,
    /// There may be work in these queues.
    WorkIn(Vec<String>),
    /// An operator has paused or resumed a queue, or cancelled a job that runs.
    Intervention,
}

/// Hears that work was committed, on a connection of its own.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Listener {
    /// Connects and listens. What is committed from here on is heard.
    pub async fn connect(db: &Db) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_TIMEOUT)
            .connect_lazy_with(db.direct_options("listener"));
        let mut listener = PgListener::connect_with(&pool).await?;
        // It would listen again by itself and not tell what it missed.
        listener.eager_reconnect(false);
        with_timeout(CONNECT_TIMEOUT, listener.listen(CHANNEL)).await?;
        Ok(Self(listener))
    }

    /// Waits until work is announced, or may have been. An error means that the connection is lost, and with it perhaps
    /// an announcement.
    pub async fn heard(&mut self) -> Result<Heard> {
        match timeout(SILENCE, self.0.try_recv()).await {
            Ok(Ok(Some(announced))) => Ok(Heard::from_payload(announced.payload())),
            Ok(Ok(None)) => Err(Error::Unavailable(sqlx::Error::Io(io::ErrorKind::ConnectionAborted.into()))),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                with_timeout(CONNECT_TIMEOUT, self.0.execute("-- queue::heard\nSELECT")).await.map(|_| Heard::Work)
            }
        }
    }
}

impl Heard {
    /// What is not understood may have been said by a newer release: there may be work.
    fn from_payload(payload: &str) -> Self {
        match payload.strip_prefix(QUEUES) {
            Some(names) => Self::WorkIn(names.split(',').map(str::to_owned).collect()),
            None if payload == INTERVENTION => Self::Intervention,
            None => Self::Work,
        }
    }
}

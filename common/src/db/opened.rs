use std::{io, time::Duration};

use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep};

use super::{
    pooler::Pooling,
    session::{Access, Session},
};

/// Between attempts to connect to a server that is starting.
const STARTING: Duration = Duration::from_millis(50);
/// No connection is kept for longer than that: the name of the host may mean another one by now.
const LIFETIME: Duration = Duration::from_mins(30);

/// Where connections lead to.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) options: PgConnectOptions,
    pub(super) access: Access,
}

/// A connection and what is known of it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) conn: PgConnection,
    pub(super) session: Session,
    at: Instant,
}

impl Opened {
    pub(super) async fn connect(server: &Server, pooling: Option<Pooling>) -> sqlx::Result<Self> {
        let mut conn = loop {
            match server.options.connect().await {
                Err(error) if is_starting(&error) => sleep(STARTING).await,
                other => break other?,
            }
        };
        let session = Session::of(&mut conn, pooling, server.access).await?;
        Ok(Self { conn, session, at: Instant::now() })
    }

    pub(super) fn is_old(&self) -> bool {
        self.at.elapsed() >= LIFETIME
    }
}

/// Whether a server that refuses may be about to start, or to have room.
fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        // cannot_connect_now, too_many_connections
        sqlx::Error::Database(refusal) => matches!(refusal.code().as_deref(), Some("57P03" | "53300")),
        _ => false,
    }
}

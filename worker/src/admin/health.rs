use axum::{Json, extract::State, http::StatusCode};
use common::db::{Db, is_migrated};
use serde::Serialize;
use tokio::sync::watch;

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Running,
    Stopping,
}

/// How the process is.
#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
    version: &'static str,
}

fn health(code: StatusCode, status: &'static str) -> (StatusCode, Json<Health>) {
    (code, Json(Health { status, version: common::VERSION }))
}

/// Whether the process lives. Asks nobody else: restarting it would not repair a database.
pub(super) async fn live() -> (StatusCode, Json<Health>) {
    health(StatusCode::OK, "healthy")
}

/// Whether jobs are being run now: the worker is not on its way in or out, and the database answers and is migrated.
pub(super) async fn ready(
    State(db): State<Db>,
    State(phase): State<watch::Receiver<Phase>>,
) -> (StatusCode, Json<Health>) {
    let phase = *phase.borrow();
    match phase {
        Phase::Starting => health(StatusCode::SERVICE_UNAVAILABLE, "starting"),
        Phase::Stopping => health(StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        Phase::Running if matches!(is_migrated(&db).await, Ok(true)) => health(StatusCode::OK, "ready"),
        Phase::Running => health(StatusCode::SERVICE_UNAVAILABLE, "the database cannot be used"),
    }
}

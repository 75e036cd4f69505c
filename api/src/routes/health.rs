use axum::{Json, extract::State};
use common::db::{Db, is_migrated};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::problem::Problem;

/// What this is.
pub(crate) async fn index() -> Json<Value> {
    Json(json!({ "message": "Norvalt backend", "version": common::VERSION, "docs": "/docs" }))
}

/// Whether the process lives. Asks nobody else: restarting it would not mend a database.
pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "status": "healthy", "version": common::VERSION }))
}

/// Whether requests would succeed now: the database answers, is migrated, and the process is not on its way out.
pub(crate) async fn ready(
    State(db): State<Db>,
    State(stopping): State<watch::Receiver<bool>>,
) -> Result<Json<Value>, Problem> {
    if *stopping.borrow() {
        return Err(Problem::not_ready("This process is stopping."));
    }
    if is_migrated(&db).await? {
        Ok(Json(json!({ "status": "ready", "version": common::VERSION })))
    } else {
        Err(Problem::not_ready("The database is not migrated to what this version needs."))
    }
}

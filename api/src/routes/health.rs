use axum::{Json, extract::State};
use common::db::{self, Db, is_migrated};
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::problem::{Problem, ProblemBody};

/// What this is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Index {
    #[schema(example = "Norvalt backend")]
    message: &'static str,
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// Where the API is documented.
    #[schema(example = "/docs")]
    docs: &'static str,
}

/// How this is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "healthy")]
    status: &'static str,
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// What this is.
#[utoipa::path(get, path = "/", tag = "Service", operation_id = "getIndex", security(()),
    responses((status = 200, description = "Name, version and where the documentation is", body = Index)))]
pub(crate) async fn index() -> Json<Index> {
    Json(Index { message: "Norvalt backend", version: common::VERSION, docs: "/docs" })
}

/// Whether the process lives. Asks nobody else: restarting it would not mend a database.
#[utoipa::path(get, path = "/health", tag = "Service", operation_id = "getHealth", security(()),
    responses((status = 200, description = "It lives", body = Health)))]
pub(crate) async fn live() -> Json<Health> {
    Json(Health { status: "healthy", version: common::VERSION })
}

/// Whether requests would succeed now: the database answers, is migrated, and the process is not on its way out.
#[utoipa::path(get, path = "/health/ready", tag = "Service", operation_id = "getReadiness", security(()),
    responses(
        (status = 200, description = "They would", body = Health),
        (status = 503, description = "They would not", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn ready(
    State(db): State<Db>,
    State(stopping): State<watch::Receiver<bool>>,
) -> Result<Json<Health>, Problem> {
    if *stopping.borrow() {
        return Err(Problem::not_ready("This process is stopping."));
    }
    match is_migrated(&db).await {
        Ok(true) => Ok(Json(Health { status: "ready", version: common::VERSION })),
        Err(error @ db::Error::Unavailable(_)) => Err(error.into()),
        Ok(false) | Err(db::Error::Refused(_)) => {
            Err(Problem::not_ready("The database is not migrated to what this version needs."))
        }
    }
}

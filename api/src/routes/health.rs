use std::sync::Arc;

use axum::{Json, extract::State};
use common::db::{Readiness, ReadinessCheck};
use serde::Serialize;
use server::Phase;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::{
    openapi::{PublicProblems, ReadinessProblems},
    problem::Problem,
    rate_limit::RateLimited,
};

/// What this is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Index {
    /// The name of the service.
    #[schema(example = "Norvalt backend")]
    message: &'static str,
    /// The version of the running program.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// Where the API is documented.
    #[schema(example = "/docs")]
    docs: &'static str,
}

/// How this is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `healthy`, or `ready` where that was asked.
    #[schema(example = "healthy")]
    status: &'static str,
    /// The version of the running program.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// What this is.
#[utoipa::path(get, path = "/", tag = "Service", operation_id = "getIndex", security(()),
    responses(
        (status = 200, description = "Name, version and where the documentation is", body = Index),
        PublicProblems,
    ))]
pub(crate) async fn index(_: RateLimited) -> Json<Index> {
    Json(Index { message: "Norvalt backend", version: common::VERSION, docs: "/docs" })
}

/// Whether the process lives. It asks nothing else: restarting it would not fix a database.
#[utoipa::path(get, path = "/health", tag = "Service", operation_id = "getHealth", security(()),
    responses((status = 200, description = "It lives", body = Health)))]
pub(crate) async fn live() -> Json<Health> {
    Json(Health { status: "healthy", version: common::VERSION })
}

/// Whether requests would succeed now: the database answers, is migrated, and the process is not on its way out.
#[utoipa::path(get, path = "/health/ready", tag = "Service", operation_id = "getReadiness", security(()),
    responses(
        (status = 200, description = "They would", body = Health),
        ReadinessProblems,
    ))]
pub(crate) async fn ready(
    State(database): State<Arc<ReadinessCheck>>,
    State(phase): State<watch::Receiver<Phase>>,
) -> Result<Json<Health>, Problem> {
    answer(&database, &phase, Readiness::Ready).await
}

/// Whether reads would succeed now. They do while commits hang, since no synchronous standby confirms them, and the database
/// can be read.
#[utoipa::path(get, path = "/health/ready/reads", tag = "Service", operation_id = "getReadinessForReads", security(()),
    responses(
        (status = 200, description = "They would", body = Health),
        ReadinessProblems,
    ))]
pub(crate) async fn ready_for_reads(
    State(database): State<Arc<ReadinessCheck>>,
    State(phase): State<watch::Receiver<Phase>>,
) -> Result<Json<Health>, Problem> {
    answer(&database, &phase, Readiness::CommitsHang).await
}

/// Ready, too, where the database is no more than `enough`.
async fn answer(
    database: &ReadinessCheck,
    phase: &watch::Receiver<Phase>,
    enough: Readiness,
) -> Result<Json<Health>, Problem> {
    if *phase.borrow() != Phase::Serving {
        return Err(Problem::not_ready("This process is stopping."));
    }
    match database.ask().await {
        readiness if readiness == Readiness::Ready || readiness == enough => {
            Ok(Json(Health { status: "ready", version: common::VERSION }))
        }
        Readiness::Ready | Readiness::CommitsHang => Err(Problem::not_ready(
            "Only reads succeed: commits wait for a standby of the database that does not confirm them.",
        )),
        Readiness::Unavailable => Err(Problem::unavailable()),
        Readiness::NotMigrated => Err(Problem::not_ready("The database is not migrated to what this version needs.")),
        Readiness::NotIsolated => {
            Err(Problem::not_ready("Dealerships are not isolated from each other: norvalt doctor says why."))
        }
    }
}

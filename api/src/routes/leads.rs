use axum::Json;
use common::leads::{self, Lead, LeadFilter, LeadPage};

use crate::{
    auth::Tenant,
    extract::{LeadPath, ValidQuery},
    problem::Problem,
};

/// The dealership's leads, newest first.
pub(crate) async fn list(
    mut tenant: Tenant,
    ValidQuery(filter): ValidQuery<LeadFilter>,
) -> Result<Json<LeadPage>, Problem> {
    Ok(Json(leads::page(&mut tenant.tx, &filter).await?))
}

/// One lead.
pub(crate) async fn show(mut tenant: Tenant, LeadPath(id): LeadPath) -> Result<Json<Lead>, Problem> {
    leads::find(&mut tenant.tx, id).await?.map(Json).ok_or_else(Problem::lead_not_found)
}

use axum::Json;
use common::db::Caller;

use crate::auth::Tenant;

/// Who is calling, and for which dealership.
pub(crate) async fn show(tenant: Tenant) -> Json<Caller> {
    Json(tenant.caller)
}

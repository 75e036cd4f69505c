use axum::Json;
use common::{
    db::Caller,
    dealerships::{self, Dealership, DealershipPatch},
    users::{self, User},
};

use crate::{
    auth::Tenant,
    extract::{NoQuery, ValidJson},
    openapi::{BodyProblems, MemberProblems, QueryProblems},
    permissions::Action,
    problem::Problem,
};

/// Who you are, and for which dealership.
#[utoipa::path(
    get, path = "/me", tag = "Dealership", operation_id = "getMe",
    responses((status = 200, description = "You", body = Caller), MemberProblems),
)]
pub(crate) async fn me(tenant: Tenant) -> Json<Caller> {
    Json(tenant.caller)
}

/// The people of your dealership, by name.
#[utoipa::path(
    get, path = "/users", tag = "Dealership", operation_id = "listUsers",
    responses((status = 200, description = "The people", body = Vec<User>), MemberProblems, QueryProblems),
)]
pub(crate) async fn users(mut tenant: Tenant, _: NoQuery) -> Result<Json<Vec<User>>, Problem> {
    Ok(Json(users::list(&mut tenant.tx).await?))
}

/// Your dealership.
#[utoipa::path(
    get, path = "/dealership", tag = "Dealership", operation_id = "getDealership",
    responses((status = 200, description = "The dealership", body = Dealership), MemberProblems),
)]
pub(crate) async fn show(mut tenant: Tenant) -> Result<Json<Dealership>, Problem> {
    Ok(Json(dealerships::find(&mut tenant.tx).await?))
}

/// Changes the given fields of your dealership. For admins.
#[utoipa::path(
    patch, path = "/dealership", tag = "Dealership", operation_id = "updateDealership", request_body = DealershipPatch,
    responses((status = 200, description = "The dealership", body = Dealership), MemberProblems, BodyProblems),
)]
pub(crate) async fn update(
    mut tenant: Tenant,
    ValidJson(patch): ValidJson<DealershipPatch>,
) -> Result<Json<Dealership>, Problem> {
    tenant.require(Action::ChangeDealership)?;
    let dealership = dealerships::update(&mut tenant.tx, &patch).await?;
    tenant.commit().await?;
    Ok(Json(dealership))
}

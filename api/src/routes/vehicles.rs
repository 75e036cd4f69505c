use axum::{Json, http::StatusCode};
use common::{
    db::AccessError,
    ids::VehicleId,
    page::{Page, PageRequest},
    vehicles::{self, NewVehicle, Vehicle, VehicleFilter, VehiclePatch, WriteError},
};

use crate::{
    answers::WrittenJson,
    auth::{Tenant, answer, commit},
    extract::{InPath, PathId, ValidJson, ValidQuery},
    idempotency::Answered,
    openapi::{BodyProblems, MemberProblems, MissingVehicle, QueryProblems},
    permissions::Action,
    problem::Problem,
    replica::Reader,
};

/// The vehicles, newest first.
#[utoipa::path(
    get, path = "/vehicles", tag = "Vehicles", operation_id = "listVehicles", params(VehicleFilter, PageRequest),
    responses((status = 200, description = "One page", body = Page<Vehicle>), MemberProblems, QueryProblems),
)]
pub(crate) async fn list(
    Reader(mut tenant): Reader,
    ValidQuery(filter): ValidQuery<VehicleFilter>,
) -> Result<WrittenJson, Problem> {
    let page = vehicles::list(&mut tenant.tx, &filter).await?;
    tenant.answer(&page)
}

/// One vehicle.
#[utoipa::path(
    get, path = "/vehicles/{id}", tag = "Vehicles", operation_id = "getVehicle", params(("id" = VehicleId, Path)),
    responses((status = 200, description = "The vehicle", body = Vehicle), MemberProblems, MissingVehicle),
)]
pub(crate) async fn show(mut tenant: Tenant, PathId(id): PathId<VehicleId>) -> Result<Json<Vehicle>, Problem> {
    let found = vehicles::find(&mut tenant.tx, id).await?;
    tenant.leave();
    found.map(Json).ok_or_else(VehicleId::not_found)
}

/// Adds a vehicle. For managers and admins.
#[utoipa::path(
    post, path = "/vehicles", tag = "Vehicles", operation_id = "createVehicle", extensions(("x-role" = json!("manager"))), 
    request_body(content = NewVehicle, example = json!({ "make": "Volkswagen", "model": "ID.4 GTX", "year": 2024, "price": 489_900, "mileage": 18_500, "fuel_type": "electric" })),
    responses(
        (status = 201, description = "The vehicle; Location says where", body = Vehicle, headers(("Location" = String, description = "The path of what was created."))), MemberProblems, BodyProblems,
    ),
)]
pub(crate) async fn create(mut tenant: Tenant, ValidJson(new): ValidJson<NewVehicle>) -> Result<Answered, Problem> {
    tenant.require(Action::ChangeVehicles)?;
    answer!(tenant, async {
        let created = vehicles::create(&mut tenant.tx, &new).await?;
        Answered::created_at(format!("/api/v1/vehicles/{}", created.id), &created)
    })
}

/// Changes the given fields of a vehicle. For managers and admins.
#[utoipa::path(
    patch, path = "/vehicles/{id}", tag = "Vehicles", operation_id = "updateVehicle", extensions(("x-role" = json!("manager"))), params(("id" = VehicleId, Path)),
    request_body(content = VehiclePatch, example = json!({ "status": "reserved", "price": 479_900 })),
    responses((status = 200, description = "The vehicle", body = Vehicle), MemberProblems, BodyProblems, MissingVehicle),
)]
pub(crate) async fn update(
    mut tenant: Tenant,
    PathId(id): PathId<VehicleId>,
    ValidJson(patch): ValidJson<VehiclePatch>,
) -> Result<Json<Vehicle>, Problem> {
    tenant.require(Action::ChangeVehicles)?;
    let updated = commit!(tenant, vehicles::update(&mut tenant.tx, id, &patch));
    updated.map(Json).ok_or_else(VehicleId::not_found)
}

/// Removes a vehicle. For managers and admins.
#[utoipa::path(
    delete, path = "/vehicles/{id}", tag = "Vehicles", operation_id = "deleteVehicle", extensions(("x-role" = json!("manager"))), params(("id" = VehicleId, Path)),
    responses((status = 204, description = "It is gone"), MemberProblems, MissingVehicle),
)]
pub(crate) async fn delete(mut tenant: Tenant, PathId(id): PathId<VehicleId>) -> Result<StatusCode, Problem> {
    tenant.require(Action::ChangeVehicles)?;
    let deleted = commit!(tenant, vehicles::delete(&mut tenant.tx, id));
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(VehicleId::not_found()) }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::VinTaken => Self::invalid_field("vin", "is the VIN of another vehicle of your dealership"),
            WriteError::DealershipGone => AccessError::NotAMember.into(),
            WriteError::Db(error) => error.into(),
        }
    }
}

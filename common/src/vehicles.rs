//! The dealership's cars.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};

use crate::{
    db::{Error, Result, TenantTx},
    ids::{DealershipId, VehicleId},
    input::{Fields, FromFields, Invalid, Patch, integer, link, text},
    page::{Page, PageRequest},
    text_enum::text_enum,
    update::{Update, lock, lock_statement},
};

text_enum!(
    /// Whether a car can be had.
    VehicleStatus {
        /// It can.
        Available = "available",
        /// Somebody has first refusal.
        Reserved = "reserved",
        /// It is gone.
        Sold = "sold",
    }
);

/// A car.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
pub struct Vehicle {
    /// Identifies the vehicle.
    pub id: VehicleId,
    /// The dealership that has it.
    pub dealership_id: DealershipId,
    /// The manufacturer of the vehicle.
    #[schema(example = "Volkswagen")]
    pub make: String,
    /// The model, with its variant.
    #[schema(example = "ID.4 GTX")]
    pub model: String,
    /// The model year, four digits.
    #[schema(example = 2024)]
    pub year: i16,
    /// Vehicle identification number, ISO 3779.
    #[schema(example = "WVGZZZE2ZPE012345")]
    pub vin: Option<String>,
    /// Whether it can be had.
    pub status: VehicleStatus,
    /// Whole Norwegian kroner, taxes included.
    #[schema(example = 489_900)]
    pub price: Option<i64>,
    /// Kilometres driven so far.
    #[schema(example = 18_500)]
    pub mileage: Option<i32>,
    /// What it runs on.
    #[schema(example = "electric")]
    pub fuel_type: Option<String>,
    /// Where it is advertised.
    #[schema(example = "https://www.finn.no/mobility/item/123456789")]
    pub listing_url: Option<String>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// A car to be added.
#[derive(Debug, Clone, ToSchema)]
pub struct NewVehicle {
    /// Its id, if one is given. Not for requests.
    #[schema(ignore)]
    pub id: Option<VehicleId>,
    /// The manufacturer of the vehicle.
    #[schema(min_length = 1, max_length = 100, example = "Volkswagen")]
    pub make: String,
    /// The model, with its variant.
    #[schema(min_length = 1, max_length = 100, example = "ID.4 GTX")]
    pub model: String,
    /// The model year, four digits.
    #[schema(minimum = 1886, maximum = 2100, example = 2024)]
    pub year: i16,
    /// Vehicle identification number: 17 letters and digits without I, O and Q.
    #[schema(example = "WVGZZZE2ZPE012345")]
    pub vin: Option<String>,
    /// Whether it can be had; by default it can.
    #[schema(value_type = Option<VehicleStatus>)]
    pub status: VehicleStatus,
    /// Whole Norwegian kroner, taxes included.
    #[schema(minimum = 0, maximum = 1_000_000_000, example = 489_900)]
    pub price: Option<i64>,
    /// Kilometres driven so far.
    #[schema(minimum = 0, maximum = 10_000_000, example = 18_500)]
    pub mileage: Option<i32>,
    /// What it runs on.
    #[schema(max_length = 50, example = "electric")]
    pub fuel_type: Option<String>,
    /// Where it is advertised.
    #[schema(max_length = 2000, example = "https://www.finn.no/mobility/item/123456789")]
    pub listing_url: Option<String>,
}

/// What changes about a car; only given fields change, null clears what may be empty.
#[derive(Debug, Clone, ToSchema)]
pub struct VehiclePatch {
    /// The manufacturer of the vehicle.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 100, example = "Volkswagen")]
    pub make: Option<String>,
    /// The model, with its variant.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 100, example = "ID.4 GTX")]
    pub model: Option<String>,
    /// The model year, four digits.
    #[schema(value_type = i16, required = false, minimum = 1886, maximum = 2100, example = 2024)]
    pub year: Option<i16>,
    /// Vehicle identification number: 17 letters and digits without I, O and Q.
    #[schema(value_type = Option<String>, example = "WVGZZZE2ZPE012345")]
    pub vin: Patch<String>,
    /// Whether it can be had.
    #[schema(value_type = VehicleStatus, required = false)]
    pub status: Option<VehicleStatus>,
    /// Whole Norwegian kroner, taxes included.
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 1_000_000_000, example = 489_900)]
    pub price: Patch<i64>,
    /// Kilometres driven so far.
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 10_000_000, example = 18_500)]
    pub mileage: Patch<i32>,
    /// What it runs on.
    #[schema(value_type = Option<String>, max_length = 50, example = "electric")]
    pub fuel_type: Patch<String>,
    /// Where it is advertised.
    #[schema(value_type = Option<String>, max_length = 2000, example = "https://www.finn.no/mobility/item/123456789")]
    pub listing_url: Patch<String>,
}

/// Which cars, and which page of them.
#[derive(Debug, Clone, Copy, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct VehicleFilter {
    /// Only with this status.
    #[param(schema_with = VehicleStatus::or_blank)]
    pub status: Option<VehicleStatus>,
    /// Which page.
    #[param(ignore)]
    pub page: PageRequest,
}

impl FromFields for VehicleFilter {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let status = fields.optional("status", VehicleStatus::parse);
        Some(Self { status, page: PageRequest::from_fields(fields)? })
    }
}

impl FromFields for NewVehicle {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (make, model) = (fields.required("make", text(100)), fields.required("model", text(100)));
        let year = fields.required("year", year);
        let vin = fields.optional("vin", vin);
        let status = fields.optional("status", VehicleStatus::parse).unwrap_or(VehicleStatus::Available);
        let price = fields.optional("price", integer(0..=1_000_000_000));
        let mileage = fields.optional("mileage", kilometres);
        let fuel_type = fields.optional("fuel_type", text(50));
        let listing_url = fields.optional("listing_url", link(2000));
        Some(Self {
            id: None,
            make: make?,
            model: model?,
            year: year?,
            vin,
            status,
            price,
            mileage,
            fuel_type,
            listing_url,
        })
    }
}

impl FromFields for VehiclePatch {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            make: fields.change("make", text(100)),
            model: fields.change("model", text(100)),
            year: fields.change("year", year),
            vin: fields.patch("vin", vin),
            status: fields.change("status", VehicleStatus::parse),
            price: fields.patch("price", integer(0..=1_000_000_000)),
            mileage: fields.patch("mileage", kilometres),
            fuel_type: fields.patch("fuel_type", text(50)),
            listing_url: fields.patch("listing_url", link(2000)),
        })
    }
}

fn year(value: &Value) -> Result<i16, Invalid> {
    integer(1886..=2100)(value).map(|year| i16::try_from(year).expect("within the bounds above"))
}

fn kilometres(value: &Value) -> Result<i32, Invalid> {
    integer(0..=10_000_000)(value).map(|km| i32::try_from(km).expect("within the bounds above"))
}

fn vin(value: &Value) -> Result<String, Invalid> {
    let vin = text(50)(value)?.to_uppercase();
    let allowed = |b: u8| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"IOQ".contains(&b));
    if vin.len() == 17 && vin.bytes().all(allowed) {
        Ok(vin)
    } else {
        Err("must be a VIN: 17 letters and digits, without I, O and Q".into())
    }
}

/// Why a car was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The dealership has another car with this VIN.
    #[error("the dealership has another vehicle with this VIN")]
    VinTaken,
    /// The dealership has been destroyed meanwhile.
    #[error("the dealership does not exist any more")]
    DealershipGone,
    /// The database did not do it.
    #[error(transparent)]
    Db(Error),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        let error = Error::from(error);
        match error.constraint() {
            Some("vehicles_dealership_id_vin_key") => Self::VinTaken,
            Some("vehicles_dealership_id_fkey") => Self::DealershipGone,
            _ => Self::Db(error),
        }
    }
}

/// What is read of a row. Never `*`: a column that a later release adds must not change what this one prepared.
macro_rules! columns {
    () => {
        "id, dealership_id, make, model, year, vin, status, price, mileage, fuel_type, listing_url, created_at, updated_at"
    };
}

/// The dealership's cars, newest first.
pub async fn list(tx: &mut TenantTx, filter: &VehicleFilter) -> Result<Page<Vehicle>> {
    let status = filter.status.map(VehicleStatus::as_str);
    let items = sqlx::query_as(concat!(
        "-- vehicles::list
         SELECT ",
        columns!(),
        " FROM vehicles WHERE dealership_id = $1 AND ($2::text IS NULL OR status = $2)
         ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $4"
    ))
    .bind(tx.dealership())
    .bind(status)
    .bind(filter.page.limit)
    .bind(filter.page.offset)
    .fetch_all(tx.conn())
    .await?;
    let total = sqlx::query_scalar(
        "-- vehicles::list
         SELECT count(*) FROM vehicles WHERE dealership_id = $1 AND ($2::text IS NULL OR status = $2)",
    )
    .bind(tx.dealership())
    .bind(status)
    .fetch_one(tx.conn())
    .await?;
    Ok(Page::new(items, total, filter.page))
}

/// The car with this id, unless the dealership has none such.
pub async fn find(tx: &mut TenantTx, id: VehicleId) -> Result<Option<Vehicle>> {
    Ok(sqlx::query_as(concat!(
        "-- vehicles::find\nSELECT ",
        columns!(),
        " FROM vehicles WHERE id = $1 AND dealership_id = $2"
    ))
    .bind(id)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await?)
}

pub async fn create(tx: &mut TenantTx, new: &NewVehicle) -> Result<Vehicle, WriteError> {
    let vehicle = sqlx::query_as(concat!(
        "-- vehicles::create
         INSERT INTO vehicles (id, dealership_id, make, model, year, vin, status, price, mileage, fuel_type, listing_url)
         VALUES (coalesce($11, gen_random_uuid()), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING ",
        columns!()
    ))
    .bind(tx.dealership())
    .bind(&new.make)
    .bind(&new.model)
    .bind(new.year)
    .bind(&new.vin)
    .bind(new.status)
    .bind(new.price)
    .bind(new.mileage)
    .bind(&new.fuel_type)
    .bind(&new.listing_url)
    .bind(new.id)
    .fetch_one(tx.conn())
    .await?;
    Ok(vehicle)
}

/// Changes a car, unless the dealership has none such.
pub async fn update(tx: &mut TenantTx, id: VehicleId, patch: &VehiclePatch) -> Result<Option<Vehicle>, WriteError> {
    let Some(now) = lock(tx, lock_statement!("vehicles"), id).await? else { return Ok(None) };
    let mut update = Update::at("-- vehicles::update\nUPDATE vehicles", now);
    update.change("make", patch.make.as_ref());
    update.change("model", patch.model.as_ref());
    update.change("year", patch.year);
    update.patch("vin", patch.vin.as_ref());
    update.change("status", patch.status);
    update.patch("price", patch.price.as_ref());
    update.patch("mileage", patch.mileage.as_ref());
    update.patch("fuel_type", patch.fuel_type.as_ref());
    update.patch("listing_url", patch.listing_url.as_ref());
    let mut query = update.finish();
    query.push(" WHERE id = ").push_bind(id).push(" AND dealership_id = ").push_bind(tx.dealership());
    query.push(concat!(" RETURNING ", columns!()));
    Ok(query.build_query_as().fetch_optional(tx.conn()).await?)
}

/// Removes a car, and says whether there was one.
pub async fn delete(tx: &mut TenantTx, id: VehicleId) -> Result<bool> {
    tx.delete("-- vehicles::delete\nDELETE FROM vehicles WHERE id = $1 AND dealership_id = $2", id).await
}

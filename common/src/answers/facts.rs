//! What may be told to a customer. The assistant is given this and nothing else, and the gate holds it to that.

use serde::Serialize;

use crate::{language::Language, opening::Opening, vehicles::VehicleStatus};

/// Vehicles that are told of at most.
pub const MAX_VEHICLES: usize = 5;

/// What is known when a lead is answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facts {
    pub dealership: DealershipFacts,
    /// Those of the stock that the customer may mean, the likeliest first; at most [`MAX_VEHICLES`].
    pub vehicles: Vec<VehicleFacts>,
    pub customer: CustomerFacts,
    /// The language to answer in.
    pub language: Language,
    /// How the dealership wants to sound, in its own words.
    pub tone: Option<String>,
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DealershipFacts {
    pub name: String,
    pub email: String,
    pub phone: Option<String>,
    pub address: Option<String>,
    /// As people write them: `man–fre 10–18, lør 10–15`.
    pub opening_hours: Option<String>,
    /// The same to reckon with, where it is known.
    #[serde(skip)]
    pub opening: Option<Opening>,
}

/// A car of the stock.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VehicleFacts {
    pub make: String,
    pub model: String,
    pub year: i16,
    /// Whole Norwegian kroner, taxes included.
    #[serde(rename = "price_kroner")]
    pub price: Option<i64>,
    pub mileage_km: Option<i32>,
    pub fuel: Option<String>,
    pub status: VehicleStatus,
    pub listing_url: Option<String>,
}

/// Who asks, and what. Their own words, which nobody vouches for.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct CustomerFacts {
    pub first_name: Option<String>,
    pub message: Option<String>,
    pub vehicle_interest: Option<String>,
}

impl VehicleFacts {
    /// Make and model, as they are spoken of.
    pub fn name(&self) -> String {
        format!("{} {}", self.make, self.model)
    }
}

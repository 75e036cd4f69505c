//! What a request or an event looks like, for measuring what reading or writing one costs.

use chrono::DateTime;
use common::{
    leads::{Lead, LeadPage, LeadSource, LeadStatus},
    role::Role,
    users::UserSummary,
};
use serde_json::json;
use uuid::Uuid;

pub use crate::processes::WEBHOOK_SECRET;
use crate::traffic::{new_lead as lead_named, user_updated};

/// The event `user.updated`.
pub fn event() -> String {
    user_updated("user_2h8op3Isl1QR7tKu5FGNfaLKEoU", "Kari", 1_764_000_000_000)
}

/// The body of `POST /api/v1/leads`.
pub fn new_lead() -> String {
    lead_named("Bjørn Håkonsen")
}

/// A page as `GET /api/v1/leads` answers it.
pub fn page() -> LeadPage {
    let items: Vec<Lead> = (1..=25).map(lead).collect();
    LeadPage { items, total: 5_000, page: 1, pages: 200, limit: 25, next_cursor: Some("A".repeat(32)) }
}

fn lead(number: u32) -> Lead {
    let at = DateTime::from_timestamp(1_764_000_000 - i64::from(number) * 3_600, 123_456_000).expect("in range");
    let user = Uuid::from_u128(7).into();
    let colleague =
        UserSummary { id: user, name: "Kari Nordmann".into(), email: "kari@example.no".into(), role: Role::SalesRep };
    Lead {
        id: Uuid::from_u128(number.into()).into(),
        dealership_id: Uuid::from_u128(1).into(),
        assigned_to: Some(user),
        assigned_user: Some(colleague),
        source: LeadSource::Website,
        source_url: Some("https://bilhuset.example/biler/123".into()),
        source_metadata: json!({}).into(),
        status: LeadStatus::New,
        customer_id: None,
        customer_name: Some("Bjørn Håkonsen".into()),
        customer_email: Some("bjorn.hakonsen@example.no".into()),
        customer_phone: Some("+47 912 34 567".into()),
        customer_phone_e164: Some("+4791234567".into()),
        vehicle_interest: Some("Tesla Model Y Long Range".into()),
        initial_message: Some(
            "Hei! Jeg lurer på om dere har denne på lager, og om jeg kan prøvekjøre den i morgen. Mvh".into(),
        ),
        lead_score: 50,
        created_at: at,
        updated_at: at,
        last_contact_at: None,
        converted_at: None,
        first_response_time: Some(272.0),
        first_automatic_response_time: None,
        needs_human: None,
        score_reasons: Vec::new(),
        conversation_count: 3,
    }
}

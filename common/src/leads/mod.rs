//! Leads: customers' inquiries.

mod adopt;
mod contact;
mod create;
mod error;
mod filter;
mod history;
mod lock;
mod page;
mod search;
mod totals;
mod update;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use sqlx::{FromRow, Row, postgres::PgRow};
use utoipa::ToSchema;

pub use adopt::adopt_all;
pub(crate) use contact::{contacted, need_human, reached, score_automatically};
pub(crate) use create::MESSAGE_LIMIT;
pub use create::{NewLead, create};
pub use error::WriteError;
pub use filter::{AssignedTo, Cursor, LeadFilter, LeadQuery, Paging};
pub use history::{ChangedBy, StatusChange, history};
pub use lock::LockedLead;
pub(crate) use lock::lock;
pub use page::{LeadPage, exists, find, of_customer, page, related};
pub use totals::count;
pub use update::{LeadPatch, delete, update};

use crate::{
    ids::{CustomerId, DealershipId, LeadId, UserId},
    input::JsonText,
    text_enum::text_enum,
    users::UserSummary,
};

text_enum!(
    /// How far a lead has come.
    LeadStatus {
        /// Nobody has answered yet.
        New = "new",
        /// The dealership has answered.
        Contacted = "contacted",
        /// Likely to buy.
        Qualified = "qualified",
        /// The customer has bought.
        Won = "won",
        /// The customer has not bought.
        Lost = "lost",
    }
);

text_enum!(
    /// Where a lead came from.
    LeadSource {
        /// A form on a web site.
        Website = "website",
        /// An e-mail.
        Email = "email",
        /// A Facebook lead ad or message.
        Facebook = "facebook",
        /// Entered by a person.
        Manual = "manual",
        /// An ADF document of a portal or another system.
        Adf = "adf",
    }
);

/// A lead as the API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Lead {
    /// Identifies the lead.
    pub id: LeadId,
    /// The dealership it belongs to.
    pub dealership_id: DealershipId,
    /// The member who takes care of it.
    pub assigned_to: Option<UserId>,
    /// The same person, with name and role.
    pub assigned_user: Option<UserSummary>,
    /// Where it came from.
    pub source: LeadSource,
    /// The page it came from.
    pub source_url: Option<String>,
    /// What else the source told.
    #[schema(value_type = Object)]
    pub source_metadata: JsonText,
    /// How far it has come.
    pub status: LeadStatus,
    /// Who asks, with all their leads: `GET /customers/{id}`.
    pub customer_id: Option<CustomerId>,
    /// The customer's name.
    #[schema(example = "Bjørn Håkonsen")]
    pub customer_name: Option<String>,
    /// The customer's e-mail address.
    #[schema(example = "bjorn.hakonsen@example.no")]
    pub customer_email: Option<String>,
    /// The customer's phone number, as typed.
    #[schema(example = "+47 912 34 567")]
    pub customer_phone: Option<String>,
    /// The same, as dialled from anywhere (E.164).
    #[schema(example = "+4791234567")]
    pub customer_phone_e164: Option<String>,
    /// What they are interested in.
    #[schema(example = "Tesla Model Y Long Range")]
    pub vehicle_interest: Option<String>,
    /// What they wrote first.
    #[schema(example = "Hei! Har dere denne på lager?")]
    pub initial_message: Option<String>,
    /// How promising it is, from 1 to 100.
    pub lead_score: i16,
    /// Why it is that promising, where the assistant said so.
    pub score_reasons: Vec<String>,
    /// When it came in.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When the dealership last wrote to the customer.
    pub last_contact_at: Option<DateTime<Utc>>,
    /// When it was won.
    pub converted_at: Option<DateTime<Utc>>,
    /// From the inquiry to the first answer of a person that reached the customer: an ISO 8601 duration in seconds.
    #[serde(serialize_with = "iso_8601_seconds")]
    #[schema(value_type = Option<String>, example = "PT272S")]
    pub first_response_time: Option<f64>,
    /// From the inquiry to the first automatic answer: an ISO 8601 duration in seconds.
    #[serde(serialize_with = "iso_8601_seconds")]
    #[schema(value_type = Option<String>, example = "PT4.2S")]
    pub first_automatic_response_time: Option<f64>,
    /// Why a person has to answer; null where nobody has to.
    #[schema(example = "the customer asks to be called")]
    pub needs_human: Option<String>,
    /// Messages exchanged so far.
    pub conversation_count: i64,
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn iso_8601_seconds<S: Serializer>(seconds: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match seconds {
        Some(seconds) => serializer.collect_str(&format_args!("PT{seconds}S")),
        None => serializer.serialize_none(),
    }
}

impl FromRow<'_, PgRow> for Lead {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let assigned_to: Option<UserId> = row.try_get("assigned_to")?;
        let assigned_user = match assigned_to {
            Some(id) => Some(UserSummary {
                id,
                name: row.try_get("assignee_name")?,
                email: row.try_get("assignee_email")?,
                role: row.try_get("assignee_role")?,
            }),
            None => None,
        };
        Ok(Self {
            id: row.try_get("id")?,
            dealership_id: row.try_get("dealership_id")?,
            assigned_to,
            assigned_user,
            source: row.try_get("source")?,
            source_url: row.try_get("source_url")?,
            source_metadata: row.try_get("source_metadata")?,
            status: row.try_get("status")?,
            customer_id: row.try_get("customer_id")?,
            customer_name: row.try_get("customer_name")?,
            customer_email: row.try_get("customer_email")?,
            customer_phone: row.try_get("customer_phone")?,
            customer_phone_e164: row.try_get("customer_phone_e164")?,
            vehicle_interest: row.try_get("vehicle_interest")?,
            initial_message: row.try_get("initial_message")?,
            lead_score: row.try_get("lead_score")?,
            score_reasons: row.try_get("score_reasons")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            last_contact_at: row.try_get("last_contact_at")?,
            converted_at: row.try_get("converted_at")?,
            first_response_time: row.try_get("first_response_seconds")?,
            first_automatic_response_time: row.try_get("first_automatic_response_seconds")?,
            needs_human: row.try_get("needs_human")?,
            conversation_count: row.try_get("conversation_count")?,
        })
    }
}

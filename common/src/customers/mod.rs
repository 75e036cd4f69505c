//! Who writes to a dealership. A person is known by what they can be reached at: an address, a number.

mod identity;
mod list;
mod merge;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

pub use identity::{Contact, IdentityKind, recognise, recognise_as};
pub(crate) use identity::{lock_key, lock_keys, recognising};
pub use list::{CustomerFilter, find, list};
pub use merge::{Merge, MergeError, MergePreview, Split, merge, preview, split, unmerge};

use crate::ids::{CustomerId, UserId};

/// One person, as far as is known.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Customer {
    /// Identifies the person.
    pub id: CustomerId,
    /// As given with their latest inquiry that had a name.
    #[schema(example = "Bjørn Håkonsen")]
    pub name: Option<String>,
    /// What they can be reached at, of all records that are this person.
    pub identities: Vec<CustomerIdentity>,
    /// The records that somebody said are the same person.
    pub merged: Vec<MergedCustomer>,
    /// How many leads they have.
    pub lead_count: i64,
    /// When they first wrote.
    pub created_at: DateTime<Utc>,
    /// When they last did.
    pub last_lead_at: Option<DateTime<Utc>>,
}

/// What somebody can be reached at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
pub struct CustomerIdentity {
    /// What kind of thing that is.
    pub kind: IdentityKind,
    /// An address in lower case, or a number as dialled from anywhere.
    #[schema(example = "bjorn.hakonsen@example.no")]
    pub value: String,
}

/// A record that is the same person.
#[derive(Debug, Clone, Serialize, serde::Deserialize, FromRow, ToSchema)]
pub struct MergedCustomer {
    /// The record; give it to `POST /customers/{id}/unmerge` to take that back.
    pub id: CustomerId,
    /// When somebody said so.
    pub merged_at: DateTime<Utc>,
    /// Who did, by membership.
    pub merged_by: Option<UserId>,
}

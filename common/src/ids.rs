//! Identifiers. Each kind is a type of its own, so that a user's id cannot be passed where a lead's is meant.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type, ToSchema)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// A dealership: the tenant.
    DealershipId
);
uuid_id!(
    /// A person's membership in one dealership.
    UserId
);
uuid_id!(
    /// One customer's inquiry.
    LeadId
);
uuid_id!(
    /// One message of a conversation.
    MessageId
);
uuid_id!(
    /// One change of a lead's status.
    StatusChangeId
);

uuid_id!(
    /// A car.
    VehicleId
);
uuid_id!(
    /// An automation rule.
    AutomationRuleId
);
uuid_id!(
    /// Somebody who writes to a dealership.
    CustomerId
);
uuid_id!(
    /// A form, an address, a page: one of the places from which a dealership's inquiries come.
    SourceId
);
uuid_id!(
    /// One sending of a message.
    OutboxId
);
uuid_id!(
    /// What is told to whoever sends an inquiry. The id of the lead, if it makes one.
    ReceiptId
);

/// Names the receipts. Never change it: a delivery that is read once more must have the same.
const RECEIPTS: Uuid = Uuid::from_u128(0x0d5e_8a6b_43f1_4c8e_b2a7_6f90_1d3c_58e4);

impl SourceId {
    /// The source of a kind that every dealership has by itself.
    pub fn first_of(dealership: DealershipId, kind: &str) -> Self {
        Self(Uuid::new_v5(&dealership.0, format!("source {kind}").as_bytes()))
    }
}

impl ReceiptId {
    /// Of one inquiry of a delivery, by what the source calls the delivery. Derived, so that it is the same however often
    /// the delivery comes or is read.
    pub fn of(source: SourceId, external_id: &str, place: usize) -> Self {
        let delivery = Uuid::new_v5(&RECEIPTS, source.0.as_bytes());
        Self(Uuid::new_v5(&delivery, format!("{place} {external_id}").as_bytes()))
    }
}

impl From<ReceiptId> for LeadId {
    fn from(receipt: ReceiptId) -> Self {
        Self(receipt.0)
    }
}

/// Names the ids that we derive from Clerk's. Never change it: the ids of all dealerships and users follow from it.
const FROM_CLERK: Uuid = Uuid::from_u128(0x6b1f_0c52_7a2e_4d0b_9a57_3f0c_5e8d_21b4);

impl DealershipId {
    /// The dealership of a Clerk organization. Derived, so that it does not depend on which event arrives first.
    pub fn of(org: &ClerkOrgId) -> Self {
        Self(Uuid::new_v5(&FROM_CLERK, org.as_str().as_bytes()))
    }
}

impl UserId {
    /// The membership of a Clerk user in a dealership. Derived, like [`DealershipId::of`].
    pub fn of(dealership: DealershipId, user: &ClerkUserId) -> Self {
        Self(Uuid::new_v5(&dealership.0, user.as_str().as_bytes()))
    }
}

/// Why a text is not a Clerk id.
#[derive(Debug, thiserror::Error)]
#[error("must be 1 to 255 printable characters without spaces")]
pub struct NotAClerkId;

macro_rules! clerk_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
        #[serde(try_from = "String", into = "String")]
        #[sqlx(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id as Clerk writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAClerkId;

            fn try_from(text: String) -> Result<Self, NotAClerkId> {
                if text.is_empty() || text.len() > 255 || !text.bytes().all(|b| b.is_ascii_graphic()) {
                    return Err(NotAClerkId);
                }
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = NotAClerkId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.to_owned().try_into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

clerk_id!(
    /// A Clerk organization, `org_…`.
    ClerkOrgId
);
clerk_id!(
    /// A Clerk instance, `ins_…`: an application's development or production environment.
    ClerkInstanceId
);
clerk_id!(
    /// A Clerk user, `user_…`.
    ClerkUserId
);
clerk_id!(
    /// A Clerk organization membership, `orgmem_…`: a person who leaves and rejoins has a new one.
    ClerkMembershipId
);

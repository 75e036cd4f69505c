//! Everything that comes in from outside, whatever its source: stored as it was signed and enqueued in one transaction
//! before it is acknowledged, once for each id that the source gives it; then read by a worker, with one outcome. A source
//! decides how a delivery is verified, read and answered, and which job processes it.

mod admin;
mod process;
mod prune;
mod store;

pub use admin::{DeliveryFilter, StoredDelivery, Stuck, list, replay, stuck};
pub use process::ProcessError;
pub(crate) use process::{Taken, erase, erase_of_dealership, settle, take};
pub use prune::prune;
pub(crate) use store::{NewDelivery, Stored, store};

use crate::{
    db::{Result, SystemTx},
    text_enum::text_enum,
};

text_enum!(
    /// Who sends.
    Source {
        /// Clerk, through Svix.
        Clerk = "clerk",
    }
);

impl Source {
    /// Every source there is.
    pub const ALL: [Self; 1] = [Self::Clerk];
}

text_enum!(
    /// What has become of a delivery.
    Status {
        /// Stored; a worker will read it.
        Pending = "pending",
        /// It has had its effect.
        Processed = "processed",
        /// Of no use by design; noted without its content.
        Ignored = "ignored",
        /// A person decides.
        Parked = "parked",
        /// Of another instance or account than ours.
        Quarantined = "quarantined",
        /// It cannot be read: a retry would not help.
        Dead = "dead",
    }
);

impl Status {
    /// Every status there is.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Processed, Self::Ignored, Self::Parked, Self::Quarantined, Self::Dead];
}

/// How many deliveries of each source are dead, for an operator to look at.
pub async fn count_dead(tx: &mut SystemTx) -> Result<Vec<(Source, i64)>> {
    Ok(sqlx::query_as(
        "-- deliveries::count_dead
         SELECT source, count(*) FROM deliveries WHERE status = 'dead' GROUP BY source",
    )
    .fetch_all(tx.conn())
    .await?)
}

//! Everything that comes in from outside, whatever its source: stored as it was signed and enqueued in one transaction
//! before it is acknowledged, once for each id that the source gives it; then read by a worker, with one outcome. A source
//! decides how a delivery is verified, read and answered, and which job processes it.

mod admin;
mod inbound;
mod ledger;
mod opinion;
mod process;
mod prune;
mod store;

pub use admin::{DeliveryFilter, StoredDelivery, Stuck, list, replay, stuck};
pub use inbound::{Inbound, InboundFilter, Own, erase_own, find_own, list_own, resume_of_page, settle_own, take_own};
pub use ledger::{LedgerFilter, LedgerRow, ledger, ledger_of_all};
pub use opinion::{Opinion, note_opinion, tokens_of_opinions};
pub use process::ProcessError;
pub(crate) use process::{Taken, erase, erase_of_dealership, settle, take};
pub use prune::{forget_waiting, prune};
pub use store::{NewDelivery, Stored, known, store};

use crate::{
    db::{Result, SystemTx},
    text_enum::text_enum,
};

text_enum!(
    /// Who sends.
    #[derive(Hash, PartialOrd, Ord)]
    Source {
        /// Clerk, through Svix.
        Clerk = "clerk",
        /// A form on a web site.
        Form = "form",
        /// Whoever mails are sent to for us.
        Email = "email",
        /// A system that sends ADF documents.
        Adf = "adf",
        /// Facebook, of a page's lead ads.
        Facebook = "facebook",
        /// A provider that sends our messages, of what became of them.
        Report = "report",
        /// A customer's text message.
        Sms = "sms",
    }
);

impl Source {
    /// Every source there is.
    pub const ALL: [Self; 7] =
        [Self::Clerk, Self::Form, Self::Email, Self::Adf, Self::Facebook, Self::Report, Self::Sms];
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

/// How many deliveries of each source wait for somebody to look at them: dead, parked or quarantined.
pub async fn count_waiting(tx: &mut SystemTx) -> Result<Vec<(Source, Status, i64)>> {
    Ok(sqlx::query_as(
        "-- deliveries::count_waiting
         SELECT source, status, count(*) FROM deliveries WHERE status IN ('parked', 'quarantined', 'dead') GROUP BY 1, 2",
    )
    .fetch_all(tx.conn())
    .await?)
}

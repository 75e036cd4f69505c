use aws_lc_rs::digest::{Context, SHA256};
use uuid::Uuid;

use crate::{
    conversations::Channel,
    db::{Result, TenantTx},
    ids::DealershipId,
    text_enum::text_enum,
};

text_enum!(
    /// Why nothing more is sent to an address.
    SuppressionReason {
        /// It does not exist, or takes nothing.
        Bounce = "bounce",
        /// Its owner called a message unwanted.
        Complaint = "complaint",
        /// Its owner wants no more.
        OptOut = "opt_out",
    }
);

impl SuppressionReason {
    /// For people of the dealership.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Bounce => "an earlier message to the address came back; send this one again if it is right",
            Self::Complaint => "the customer reported an earlier message as unwanted",
            Self::OptOut => "the customer wants no more messages",
        }
    }
}

/// Sends nothing more of this dealership's to an address.
pub async fn suppress(tx: &mut TenantTx, channel: Channel, address: &str, reason: SuppressionReason) -> Result<()> {
    sqlx::query(
        "-- outbox::suppress
         INSERT INTO suppressions (dealership_id, channel, address_hash, reason) VALUES ($1, $2, $3, $4)
         ON CONFLICT (dealership_id, channel, address_hash) DO NOTHING",
    )
    .bind(tx.dealership())
    .bind(channel)
    .bind(hash(tx.dealership(), address))
    .bind(reason)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Sends to an address again, if it was for this reason that nothing was sent: its owner wants messages again, or a person of the
/// dealership does not believe that it takes none.
pub async fn lift(tx: &mut TenantTx, channel: Channel, address: &str, reason: SuppressionReason) -> Result<()> {
    sqlx::query(
        "-- outbox::lift
         DELETE FROM suppressions
         WHERE dealership_id = $1 AND channel = $2 AND address_hash = $3 AND reason = $4",
    )
    .bind(tx.dealership())
    .bind(channel)
    .bind(hash(tx.dealership(), address))
    .bind(reason)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Why nothing is sent to an address, if nothing is.
pub(super) async fn suppressed(
    tx: &mut TenantTx,
    channel: Channel,
    address: &str,
) -> Result<Option<SuppressionReason>> {
    Ok(sqlx::query_scalar(
        "-- outbox::suppressed
         SELECT reason FROM suppressions WHERE dealership_id = $1 AND channel = $2 AND address_hash = $3",
    )
    .bind(tx.dealership())
    .bind(channel)
    .bind(hash(tx.dealership(), address))
    .fetch_optional(tx.conn())
    .await?)
}

fn hash(dealership: DealershipId, address: &str) -> Vec<u8> {
    let mut hash = Context::new(&SHA256);
    hash.update(Uuid::from(dealership).as_bytes());
    hash.update(address.trim().to_lowercase().as_bytes());
    hash.finish().as_ref().to_vec()
}

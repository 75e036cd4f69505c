use sqlx::FromRow;

use super::{Medium, store::place};
use crate::{
    db::{Result, SystemTx},
    ids::DealershipId,
    secrets::{Keyring, Sealed, Secret},
};

/// More dealerships do not name the same number.
const MAX: i64 = 5;

#[derive(FromRow)]
struct Candidate {
    dealership: DealershipId,
    secret: Sealed,
}

/// The dealerships whose own account at Twilio is said to have this number, each with its token: only one with which a text
/// message is signed shows that the number is theirs.
pub async fn tokens_of_number(
    tx: &mut SystemTx,
    keyring: &Keyring,
    account: &str,
    number: &str,
) -> Result<Vec<(DealershipId, Secret)>> {
    let candidates: Vec<Candidate> = sqlx::query_as(
        "-- sending_accounts::tokens_of_number
         SELECT a.dealership_id AS dealership, a.secret FROM sending_accounts a JOIN dealerships d ON d.id = a.dealership_id
         WHERE a.channel = 'sms' AND a.settings ->> 'account_sid' = $1 AND a.settings ->> 'from' = $2 AND a.secret IS NOT NULL
           AND d.closed_at IS NULL
         ORDER BY a.updated_at LIMIT $3",
    )
    .bind(account)
    .bind(number)
    .bind(MAX)
    .fetch_all(tx.conn())
    .await?;
    let open = |Candidate { dealership, secret }: Candidate| {
        let opened = keyring.open(&secret, &place(dealership, Medium::Sms));
        let opened =
            opened.inspect_err(|error| tracing::error!(%dealership, %error, "an account's token does not open"));
        Some((dealership, opened.ok()?))
    };
    Ok(candidates.into_iter().filter_map(open).collect())
}

//! All secrets that are stored: which keys they are sealed with, and how they come to be sealed with another one.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{KeyId, Keyring, MissingKeys, NoKey, OpenError, Place, Sealed};
use crate::{
    db::{Db, Error, Result, SystemTx, TenantTx, until_there},
    ids::DealershipId,
};

/// Every column with a secret has its part of it, and its place among [`COLUMNS`].
macro_rules! stored {
    () => {
        "(SELECT 'lead_sources.turnstile_secret' AS place, dealership_id, id AS row, turnstile_secret AS sealed
          FROM lead_sources WHERE turnstile_secret IS NOT NULL
          UNION ALL SELECT 'lead_sources.page_token', dealership_id, id, page_token
          FROM lead_sources WHERE page_token IS NOT NULL
          UNION ALL SELECT 'sending_accounts.secret of ' || channel, dealership_id, dealership_id, secret
          FROM sending_accounts WHERE secret IS NOT NULL
          UNION ALL SELECT 'facebook_logins.secret of ' || CASE step WHEN 'returned' THEN 'a code' WHEN 'exchanged' THEN 'a user'
                                                                     ELSE 'pages' END, dealership_id, id, secret
          FROM facebook_logins WHERE secret IS NOT NULL) AS stored"
    };
}

/// Puts `$4` where `$3` still is, in the row `$2` of the dealership `$1`.
macro_rules! put {
    ($table:literal, $column:literal, $row:literal) => {
        concat!(
            "-- secrets::put\nUPDATE ",
            $table,
            " SET ",
            $column,
            " = $4 WHERE dealership_id = $1 AND ",
            $row,
            " AND ",
            $column,
            " = $3"
        )
    };
}

/// Where secrets are, with what puts another one there.
const COLUMNS: [(&str, &str); 7] = [
    ("lead_sources.turnstile_secret", put!("lead_sources", "turnstile_secret", "id = $2")),
    ("lead_sources.page_token", put!("lead_sources", "page_token", "id = $2")),
    (
        "sending_accounts.secret of email",
        put!("sending_accounts", "secret", "dealership_id = $2 AND channel = 'email'"),
    ),
    ("sending_accounts.secret of sms", put!("sending_accounts", "secret", "dealership_id = $2 AND channel = 'sms'")),
    ("facebook_logins.secret of a code", put!("facebook_logins", "secret", "id = $2 AND step = 'returned'")),
    ("facebook_logins.secret of a user", put!("facebook_logins", "secret", "id = $2 AND step = 'exchanged'")),
    (
        "facebook_logins.secret of pages",
        put!("facebook_logins", "secret", "id = $2 AND step NOT IN ('returned', 'exchanged')"),
    ),
];

/// Why secrets of dealerships could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error(transparent)]
    Missing(#[from] MissingKeys),
    #[error("cannot find out which keys secrets are sealed with")]
    Db(#[from] Error),
}

/// Checks that the keys are here which secrets of dealerships are sealed with: without one of them nothing should start.
/// Waits for a database that is away.
pub async fn require_keys(db: &Db, keyring: &Keyring) -> Result<(), KeysError> {
    let ask = || async { keys_in_use(&mut db.system().await?).await };
    let in_use = until_there(ask, |error| matches!(error, Error::Unavailable(_))).await?;
    Ok(keyring.require(in_use.into_keys())?)
}

/// The keys that secrets of dealerships are sealed with, each with how many that are.
pub async fn keys_in_use(tx: &mut SystemTx) -> Result<BTreeMap<KeyId, i64>> {
    let begins: Vec<(Vec<u8>, i64)> = sqlx::query_as(concat!(
        "-- secrets::keys_in_use
         SELECT substr(sealed, 1, 2 + get_byte(sealed, 1)), count(*) FROM ",
        stored!(),
        " GROUP BY 1"
    ))
    .fetch_all(tx.conn())
    .await?;
    Ok(begins.into_iter().filter_map(|(begin, secrets)| Some((Sealed::key(&begin)?.0, secrets))).collect())
}

/// Opens every secret of a dealership once: a key may have the name of another server's, and be another.
pub(crate) async fn open_all(tx: &mut TenantTx, keyring: &Keyring) -> Result<Result<(), OpenError>> {
    let stored = of_dealership(tx).await?;
    Ok(stored.iter().try_for_each(|(place, _, sealed)| keyring.open(sealed, place).map(drop)))
}

/// What became of the secrets of one dealership.
#[derive(Debug)]
pub struct Resealed {
    pub dealership: DealershipId,
    /// How many are sealed with the first key now that were not.
    pub secrets: usize,
    /// Those that do not open, and stay as they are.
    pub unopened: Vec<OpenError>,
}

/// Why it was not tried.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    #[error(transparent)]
    NoKey(#[from] NoKey),
    #[error(transparent)]
    Db(#[from] Error),
}

/// The dealerships after this one, in the order of their ids, with secrets that are not sealed with the first key: a thousand
/// at most.
pub async fn dealerships_to_reseal(
    tx: &mut SystemTx,
    keyring: &Keyring,
    after: Option<DealershipId>,
) -> Result<Vec<DealershipId>, ResealError> {
    let first = keyring.ids().next().ok_or(NoKey)?;
    let to_reseal = sqlx::query_scalar(concat!(
        "-- secrets::dealerships_to_reseal
         SELECT DISTINCT dealership_id FROM ",
        stored!(),
        " WHERE substr(sealed, 1, length($1)) <> $1 AND ($2::uuid IS NULL OR dealership_id > $2) ORDER BY 1 LIMIT 1000"
    ));
    Ok(to_reseal.bind(Sealed::begin(first)).bind(after).fetch_all(tx.conn()).await.map_err(Error::from)?)
}

/// Seals the secrets of a dealership with the first key. Done twice, or by two at once, it is done once: what has been changed
/// meanwhile is left alone, and sealed with the first key of whoever changed it.
pub async fn reseal(tx: &mut TenantTx, keyring: &Keyring) -> Result<Resealed> {
    let mut resealed = Resealed { dealership: tx.dealership(), secrets: 0, unopened: Vec::new() };
    for (place, put, sealed) in of_dealership(tx).await? {
        match keyring.reseal(&sealed, &place) {
            Ok(None) => {}
            Ok(Some(again)) => {
                let put = sqlx::query(put).bind(place.dealership).bind(place.row).bind(&sealed).bind(again);
                resealed.secrets += usize::from(put.execute(tx.conn()).await?.rows_affected() > 0);
            }
            Err(error) => resealed.unopened.push(error),
        }
    }
    Ok(resealed)
}

async fn of_dealership(tx: &mut TenantTx) -> Result<Vec<(Place, &'static str, Sealed)>> {
    let dealership = tx.dealership();
    let stored: Vec<(String, Uuid, Sealed)> = sqlx::query_as(concat!(
        "-- secrets::of_dealership
         SELECT place, row, sealed FROM ",
        stored!(),
        " WHERE dealership_id = $1"
    ))
    .bind(dealership)
    .fetch_all(tx.conn())
    .await?;
    let known = |(place, row, sealed): (String, Uuid, Sealed)| {
        let (column, put) = COLUMNS.into_iter().find(|(column, _)| *column == place)?;
        Some((Place { dealership, column, row }, put, sealed))
    };
    Ok(stored.into_iter().filter_map(known).collect())
}

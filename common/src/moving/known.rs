use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;

use crate::{
    db::{Result, SystemTx},
    ids::{ClerkOrgId, DealershipId},
    text_enum::text_enum,
};

text_enum!(
    /// Where a dealership is on its way.
    State {
        /// Closed here, to be exported.
        Leaving = "leaving",
        /// Handed over to another server, which alone has it.
        Gone = "gone",
        /// Imported, and not open yet.
        Arriving = "arriving",
    }
);

/// A dealership as an operator sees it.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct Known {
    pub id: DealershipId,
    /// Its organization in Clerk.
    pub clerk_org_id: ClerkOrgId,
    /// Null once it was destroyed here.
    pub name: Option<String>,
    /// Since when nobody has access.
    pub closed_at: Option<DateTime<Utc>>,
    /// Where it is on its way, if it is.
    pub moving: Option<State>,
    pub moving_since: Option<DateTime<Utc>>,
    /// SHA-256 of the archive that it was exported to, or imported from.
    pub archive: Option<String>,
    /// How many people are on its list.
    pub people: i64,
    /// How many leads it has.
    pub leads: i64,
}

/// What is read of a dealership that is here, or was.
macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT coalesce(d.id, m.dealership_id) AS id, coalesce(d.clerk_org_id, m.clerk_org_id) AS clerk_org_id, d.name, d.closed_at,
                    m.state AS moving, m.changed_at AS moving_since, m.archive,
                    (SELECT count(*) FROM users WHERE dealership_id = d.id) AS people,
                    (SELECT count(*) FROM leads WHERE dealership_id = d.id) AS leads
             FROM dealerships d FULL JOIN dealership_moves m ON m.dealership_id = d.id ",
            $condition
        )
    };
}

/// The dealerships whose names contain a text, in the order of their names, up to `limit`.
pub async fn list(tx: &mut SystemTx, containing: &str, limit: i64) -> Result<Vec<Known>> {
    let list = sqlx::query_as(concat!(
        "-- moving::list\n",
        select!("WHERE $1 = '' OR strpos(lower(d.name), lower($1)) > 0 ORDER BY d.name, 1 LIMIT $2")
    ));
    Ok(list.bind(containing).bind(limit).fetch_all(tx.conn()).await?)
}

/// The dealerships that are called so: by id, organization, name, or a key of their form.
pub async fn find(tx: &mut SystemTx, called: &str) -> Result<Vec<Known>> {
    let find = sqlx::query_as(concat!(
        "-- moving::find\n",
        select!(
            "WHERE coalesce(d.id, m.dealership_id)::text = lower($1) OR coalesce(d.clerk_org_id, m.clerk_org_id) = $1
                OR lower(d.name) = lower($1)
                OR d.id IN (SELECT dealership_id FROM source_keys WHERE kind = 'form' AND key = $1)
             ORDER BY d.name, 1"
        )
    ));
    Ok(find.bind(called).fetch_all(tx.conn()).await?)
}

/// The dealerships that are on their way, from here or to here.
pub async fn on_their_way(tx: &mut SystemTx) -> Result<Vec<Known>> {
    Ok(sqlx::query_as(concat!(
        "-- moving::on_their_way\n",
        select!("WHERE m.state IN ('leaving', 'arriving') ORDER BY m.changed_at, 1 LIMIT 100")
    ))
    .fetch_all(tx.conn())
    .await?)
}

/// Where a dealership is on its way, as far as the caller, who has locked its organization, lets it go on.
#[derive(Debug, Clone, FromRow)]
pub(super) struct Move {
    pub(super) state: State,
    pub(super) archive: Option<String>,
}

pub(super) async fn current(tx: &mut SystemTx, id: DealershipId) -> Result<Option<Move>> {
    Ok(sqlx::query_as("-- moving::current\nSELECT state, archive FROM dealership_moves WHERE dealership_id = $1")
        .bind(id)
        .fetch_optional(tx.conn())
        .await?)
}

pub(super) async fn set(tx: &mut SystemTx, org: &ClerkOrgId, state: State, archive: Option<&str>) -> Result<()> {
    sqlx::query(
        "-- moving::set
         INSERT INTO dealership_moves (clerk_org_id, dealership_id, state, archive) VALUES ($1, $2, $3, $4)
         ON CONFLICT (clerk_org_id)
         DO UPDATE SET state = excluded.state, archive = excluded.archive, changed_at = excluded.changed_at",
    )
    .bind(org)
    .bind(DealershipId::of(org))
    .bind(state)
    .bind(archive)
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn end(tx: &mut SystemTx, id: DealershipId) -> Result<()> {
    sqlx::query("-- moving::end\nDELETE FROM dealership_moves WHERE dealership_id = $1")
        .bind(id)
        .execute(tx.conn())
        .await?;
    Ok(())
}

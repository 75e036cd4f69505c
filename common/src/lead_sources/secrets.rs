use sqlx::FromRow;

use super::{KeyTaken, Source, SourceKind, find, keys};
use crate::{
    db::{Error, Result, SystemTx, TenantTx},
    deliveries::resume_of_page,
    ids::{DealershipId, SourceId},
    jobs::{ConnectPage, ReadFacebookLead},
    notifications::{self, Event},
    queue::{NewJob, enqueue},
    secrets::{Keyring, NoKey, OpenError, Place, Sealed, Secret},
};

/// What a source keeps sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceSecret {
    /// Of a form's check for bots.
    Turnstile,
    /// With which a page's leads are read.
    PageToken,
}

impl SourceSecret {
    fn place(self, dealership: DealershipId, row: SourceId) -> Place {
        let column = match self {
            Self::Turnstile => "lead_sources.turnstile_secret",
            Self::PageToken => "lead_sources.page_token",
        };
        Place { dealership, column, row: row.into() }
    }

    pub(super) fn seal(
        self,
        keyring: &Keyring,
        dealership: DealershipId,
        id: SourceId,
        secret: &Secret,
    ) -> Result<Sealed, NoKey> {
        keyring.seal(secret, &self.place(dealership, id))
    }

    /// Opens what was sealed for this source.
    pub fn open(
        self,
        keyring: &Keyring,
        dealership: DealershipId,
        id: SourceId,
        sealed: &Sealed,
    ) -> Result<Secret, OpenError> {
        keyring.open(sealed, &self.place(dealership, id))
    }
}

/// Why a page was not connected.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    NoKey(#[from] NoKey),
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] Error),
}

impl From<sqlx::Error> for ConnectError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// A page of Facebook, with the token that reads its leads.
#[derive(Debug, Clone)]
pub struct Page {
    /// Facebook's id.
    pub id: String,
    pub name: String,
    pub token: Secret,
}

/// What a source says whose token nobody has looked at.
const UNCONFIRMED: &str = "Facebook has not confirmed yet that the token is this page's";

/// Keeps the token of a page, which is the dealership's once Facebook has confirmed that it is that page's: anybody can type a
/// page's id.
pub async fn connect_page(tx: &mut TenantTx, keyring: &Keyring, page: &Page) -> Result<Source, ConnectError> {
    let known: Option<SourceId> = sqlx::query_scalar(
        "-- lead_sources::connect_page
         SELECT id FROM lead_sources WHERE dealership_id = $1 AND kind = 'facebook' AND key = $2 FOR NO KEY UPDATE",
    )
    .bind(tx.dealership())
    .bind(&page.id)
    .fetch_optional(tx.conn())
    .await?;
    let id = match known {
        Some(id) => id,
        None => insert_page(tx, page).await?,
    };
    let sealed = SourceSecret::PageToken.seal(keyring, tx.dealership(), id, &page.token)?;
    sqlx::query(
        "-- lead_sources::connect_page
         UPDATE lead_sources SET page_token = $3, broken_since = now(), broken_reason = $4,
                updated_at = greatest(now(), updated_at + interval '1 microsecond')
         WHERE id = $1 AND dealership_id = $2",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(sealed)
    .bind(UNCONFIRMED)
    .execute(tx.conn())
    .await?;
    enqueue(tx, &NewJob::now(&ConnectPage { source_id: id })).await?;
    Ok(find(tx, id).await?.expect("it was written in this transaction"))
}

async fn insert_page(tx: &mut TenantTx, page: &Page) -> Result<SourceId> {
    Ok(sqlx::query_scalar(
        "-- lead_sources::insert_page
         INSERT INTO lead_sources (dealership_id, kind, name, key) VALUES ($1, 'facebook', $2, $3) RETURNING id",
    )
    .bind(tx.dealership())
    .bind(&page.name)
    .bind(&page.id)
    .fetch_one(tx.conn())
    .await?)
}

/// Makes a page the dealership's that Facebook has confirmed, and has fetched what waited for it. Says whether it could: another
/// dealership may have it, which alone can let it go.
pub async fn confirm_page(tx: &mut TenantTx, id: SourceId, page: &str) -> Result<bool, KeyTaken> {
    keys::know_as(tx, SourceKind::Facebook, page, id).await?;
    let confirmed = sqlx::query(
        "-- lead_sources::confirm_page
         UPDATE lead_sources SET broken_since = NULL, broken_reason = NULL,
                updated_at = greatest(now(), updated_at + interval '1 microsecond')
         WHERE id = $1 AND dealership_id = $2 AND EXISTS (
           SELECT FROM source_keys k
           WHERE k.kind = 'facebook' AND k.key = $3 AND k.source_id = $1 AND k.dealership_id = $2)",
    );
    let confirmed = confirmed.bind(id).bind(tx.dealership()).bind(page).execute(tx.conn()).await?;
    if confirmed.rows_affected() == 0 {
        mark_broken(tx, id, "the page is connected to another dealership, which has to remove it first")
            .await
            .map_err(KeyTaken::Db)?;
        return Ok(false);
    }
    for delivery_id in resume_of_page(tx, id, page).await.map_err(KeyTaken::Db)? {
        let fetch = ReadFacebookLead { delivery_id };
        enqueue(tx, &NewJob::now(&fetch)).await.map_err(KeyTaken::Db)?;
    }
    Ok(true)
}

/// A page of Facebook that works, whose leads can be listed.
#[derive(Debug, Clone, FromRow)]
pub struct ConnectedPage {
    pub dealership: DealershipId,
    pub id: SourceId,
    /// Facebook's.
    pub page_id: String,
    pub token: Sealed,
}

/// All pages that work, of all dealerships that are open.
pub async fn connected_pages(tx: &mut SystemTx) -> Result<Vec<ConnectedPage>> {
    Ok(sqlx::query_as(
        "-- lead_sources::connected_pages
         SELECT s.dealership_id AS dealership, s.id, s.key AS page_id, s.page_token AS token
         FROM lead_sources s JOIN dealerships d ON d.id = s.dealership_id
         WHERE s.kind = 'facebook' AND s.enabled AND s.broken_since IS NULL AND s.page_token IS NOT NULL AND d.closed_at IS NULL
         ORDER BY s.id",
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Notes why a source does not work until a person repairs it. Says whether it is news.
pub async fn mark_broken(tx: &mut TenantTx, id: SourceId, reason: &str) -> Result<bool> {
    let marked = sqlx::query(
        "-- lead_sources::mark_broken
         UPDATE lead_sources SET broken_since = coalesce(broken_since, now()), broken_reason = $3
         WHERE id = $1 AND dealership_id = $2 AND broken_reason IS DISTINCT FROM $3",
    );
    let marked = marked.bind(id).bind(tx.dealership()).bind(reason).execute(tx.conn()).await?;
    let is_news = marked.rows_affected() > 0;
    if is_news {
        notifications::tell(tx, Event::SourceBroken, None).await?;
    }
    Ok(is_news)
}

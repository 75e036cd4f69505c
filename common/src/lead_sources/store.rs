use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Language, NewSource, Source, SourceKind, SourcePatch, SourceSecret, keys, requests::no_rules};
use crate::{
    db::{self, Result, SystemTx, TenantTx},
    ids::{DealershipId, SourceId, UserId},
    input::{JsonText, Patch},
    page::{After, MAX_PART, Part},
    secrets::{Keyring, NoKey, Sealed},
    update::{Update, lock, lock_statement},
    users,
};

/// Why a source was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The assignee is no member of the dealership.
    #[error("the assignee is not a member of the dealership")]
    AssigneeNotAMember,
    /// The assignee is a member who has no access at present.
    #[error("the assignee is suspended")]
    AssigneeSuspended,
    /// The dealership has been destroyed meanwhile.
    #[error("the dealership does not exist any more")]
    DealershipGone,
    #[error(transparent)]
    NoKey(#[from] NoKey),
    /// The database did not do it.
    #[error(transparent)]
    Db(db::Error),
}

impl From<db::Error> for WriteError {
    fn from(error: db::Error) -> Self {
        match error.constraint() {
            Some("lead_sources_assigned_to_dealership_id_fkey") => Self::AssigneeNotAMember,
            Some("lead_sources_dealership_id_fkey") => Self::DealershipGone,
            _ => Self::Db(error),
        }
    }
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        db::Error::from(error).into()
    }
}

/// What is read of a row and of what came from it. The dealership is `$1`.
macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT s.id, s.kind, s.name, s.key, s.enabled, s.language, s.allowed_origins, s.thank_you_url, s.assigned_to,
                    s.automatic_answer, s.sender_rules, s.turnstile_site_key,
                    s.turnstile_secret IS NOT NULL AS has_turnstile_secret, s.page_token IS NOT NULL AS has_page_token,
                    s.broken_since, s.broken_reason, s.created_at, s.updated_at,
                    (SELECT max(i.received_at) FROM inquiries i WHERE i.source_id = s.id AND i.dealership_id = $1) AS last_received_at,
                    (SELECT max(d.received_at) FROM deliveries d WHERE d.source_id = s.id AND d.dealership_id = $1
                     AND d.status IN ('parked', 'quarantined', 'dead')) AS last_failed_at,
                    lately.meta_leads_7_days, lately.our_leads_7_days
             FROM lead_sources s CROSS JOIN LATERAL (
               SELECT sum(c.meta_leads) AS meta_leads_7_days, sum(c.our_leads) AS our_leads_7_days
               FROM facebook_lead_counts c
               WHERE c.source_id = s.id AND c.dealership_id = $1 AND c.day > (now() AT TIME ZONE 'Europe/Oslo')::date - 7) lately
             WHERE s.dealership_id = $1",
            $condition
        )
    };
}

/// The dealership's sources, oldest first: a part of them. `None` if they do not include the one that it is to come after.
pub async fn list(tx: &mut TenantTx, request: After<SourceId>) -> Result<Option<Part<Source>>> {
    let mut place: Option<DateTime<Utc>> = None;
    if let Some(after) = request.after {
        place = sqlx::query_scalar(
            "-- lead_sources::list\nSELECT created_at FROM lead_sources WHERE id = $1 AND dealership_id = $2",
        )
        .bind(after)
        .bind(tx.dealership())
        .fetch_optional(tx.conn())
        .await?;
        if place.is_none() {
            return Ok(None);
        }
    }
    let items = sqlx::query_as(concat!(
        "-- lead_sources::list\n",
        select!(
            " AND ($2::timestamptz IS NULL OR (s.created_at, s.id) > ($2, $3)) ORDER BY s.created_at, s.id LIMIT $4"
        )
    ))
    .bind(tx.dealership())
    .bind(place)
    .bind(request.after)
    .bind(MAX_PART + 1)
    .fetch_all(tx.conn())
    .await?;
    Ok(Some(Part::of(items)))
}

/// The source with this id, unless the dealership has none such.
pub async fn find(tx: &mut TenantTx, id: SourceId) -> Result<Option<Source>> {
    let find = sqlx::query_as(concat!("-- lead_sources::find\n", select!(" AND s.id = $2")));
    Ok(find.bind(tx.dealership()).bind(id).fetch_optional(tx.conn()).await?)
}

/// Whether a source can be set to give its leads to this user: those of somebody without access would wait for nobody.
async fn check_assignee(tx: &mut TenantTx, assignee: UserId) -> Result<(), WriteError> {
    match users::is_suspended(tx, assignee).await? {
        Some(false) => Ok(()),
        Some(true) => Err(WriteError::AssigneeSuspended),
        None => Err(WriteError::AssigneeNotAMember),
    }
}

/// Makes a source, with a key of its own.
pub async fn create(tx: &mut TenantTx, new: &NewSource) -> Result<Source, WriteError> {
    if let Some(assignee) = new.assigned_to {
        check_assignee(tx, assignee).await?;
    }
    let (id, key) = (SourceId::from(Uuid::new_v4()), keys::new_key());
    sqlx::query(
        "-- lead_sources::create
         INSERT INTO lead_sources (id, dealership_id, kind, name, key, language, allowed_origins, thank_you_url, assigned_to,
                                   sender_rules)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(id)
    .bind(tx.dealership())
    .bind(new.kind)
    .bind(&new.name)
    .bind(&key)
    .bind(new.language)
    .bind(&new.allowed_origins)
    .bind(&new.thank_you_url)
    .bind(new.assigned_to)
    .bind(no_rules())
    .execute(tx.conn())
    .await?;
    keys::insert(tx, new.kind, &key, id).await.map_err(|error| match error {
        keys::KeyTaken::Taken => unreachable!("no two random keys are the same"),
        keys::KeyTaken::Db(error) => WriteError::from(error),
    })?;
    Ok(find(tx, id).await?.expect("it was written in this transaction"))
}

/// Gives a new dealership a form and an address. The form is also known by the dealership's id.
pub async fn create_defaults(tx: &mut SystemTx, dealership: DealershipId) -> Result<()> {
    for (kind, name, also) in
        [(SourceKind::Form, "Nettside", Some(dealership.to_string())), (SourceKind::Email, "E-post", None)]
    {
        let (id, key) = (SourceId::first_of(dealership, kind.as_str()), keys::new_key());
        sqlx::query(
            "-- lead_sources::create_defaults
             INSERT INTO lead_sources (id, dealership_id, kind, name, key) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id)
        .bind(dealership)
        .bind(kind)
        .bind(name)
        .bind(&key)
        .execute(tx.conn())
        .await?;
        sqlx::query(
            "-- lead_sources::create_defaults
             INSERT INTO source_keys (kind, key, dealership_id, source_id) SELECT $1, key, $2, $3 FROM unnest($4::text[]) AS k (key)",
        )
        .bind(kind)
        .bind(dealership)
        .bind(id)
        .bind(std::iter::once(key).chain(also).collect::<Vec<_>>())
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// Changes a source, unless the dealership has none such.
pub async fn update(
    tx: &mut TenantTx,
    id: SourceId,
    patch: &SourcePatch,
    keyring: &Keyring,
) -> Result<Option<Source>, WriteError> {
    let Some(now) = lock(tx, lock_statement!("lead_sources"), id).await? else { return Ok(None) };
    // Whole sources are sent back: whoever has been suspended since may keep what they have.
    if let Patch::Set(assignee) = patch.assigned_to
        && assigned_to(tx, id).await? != Some(assignee)
    {
        check_assignee(tx, assignee).await?;
    }
    let turnstile_secret = match &patch.turnstile_secret {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(secret) => Patch::Set(SourceSecret::Turnstile.seal(keyring, tx.dealership(), id, secret)?),
    };
    let mut update = Update::at("-- lead_sources::update\nUPDATE lead_sources", now);
    update.change("name", patch.name.as_ref());
    update.change("enabled", patch.enabled);
    update.change("language", patch.language);
    match &patch.allowed_origins {
        Patch::Keep => {}
        Patch::Clear => update.change("allowed_origins", Some(Vec::<String>::new())),
        Patch::Set(origins) => update.change("allowed_origins", Some(origins)),
    }
    update.patch("thank_you_url", patch.thank_you_url.as_ref());
    update.patch("assigned_to", patch.assigned_to.as_ref());
    update.change("automatic_answer", patch.automatic_answer);
    update.change("sender_rules", patch.sender_rules.as_ref());
    update.patch("turnstile_site_key", patch.turnstile_site_key.as_ref());
    update.patch("turnstile_secret", turnstile_secret);
    let mut query = update.finish();
    query.push(" WHERE id = ").push_bind(id).push(" AND dealership_id = ").push_bind(tx.dealership());
    query.build().execute(tx.conn()).await?;
    Ok(find(tx, id).await?)
}

/// Who gets the leads of a source that is there.
async fn assigned_to(tx: &mut TenantTx, id: SourceId) -> Result<Option<UserId>> {
    let asked = sqlx::query_scalar(
        "-- lead_sources::assigned_to\nSELECT assigned_to FROM lead_sources WHERE id = $1 AND dealership_id = $2",
    );
    Ok(asked.bind(id).bind(tx.dealership()).fetch_one(tx.conn()).await?)
}

/// Removes a source with its keys, and says whether there was one. What came from it stays.
pub async fn delete(tx: &mut TenantTx, id: SourceId) -> Result<bool> {
    sqlx::query("-- lead_sources::delete\nDELETE FROM source_keys WHERE source_id = $1 AND dealership_id = $2")
        .bind(id)
        .bind(tx.dealership())
        .execute(tx.conn())
        .await?;
    tx.delete("-- lead_sources::delete\nDELETE FROM lead_sources WHERE id = $1 AND dealership_id = $2", id).await
}

/// What decides how something that came from a source is taken.
#[derive(Debug, Clone, FromRow)]
pub struct Settings {
    pub id: SourceId,
    pub kind: SourceKind,
    pub key: String,
    pub enabled: bool,
    pub language: Language,
    pub allowed_origins: Vec<String>,
    pub thank_you_url: Option<String>,
    pub assigned_to: Option<UserId>,
    pub automatic_answer: bool,
    pub sender_rules: JsonText,
    pub turnstile_site_key: Option<String>,
    pub turnstile_secret: Option<Sealed>,
    pub page_token: Option<Sealed>,
    pub is_broken: bool,
    /// The dealership, as customers know it.
    pub dealership: String,
    pub dealership_email: String,
}

impl Settings {
    /// Whether a page of this origin may send the form.
    pub fn allows(&self, origin: &str) -> bool {
        self.allowed_origins.is_empty() || self.allowed_origins.iter().any(|allowed| allowed == origin)
    }

    /// Whether whoever fills in the form has to pass a check for bots.
    pub fn checks_for_bots(&self) -> bool {
        self.turnstile_site_key.is_some() && self.turnstile_secret.is_some()
    }
}

/// How a source is set, unless the dealership has none such.
pub async fn settings(tx: &mut TenantTx, id: SourceId) -> Result<Option<Settings>> {
    Ok(sqlx::query_as(
        "-- lead_sources::settings
         SELECT s.id, s.kind, s.key, s.enabled, s.language, s.allowed_origins, s.thank_you_url, u.id AS assigned_to,
                s.automatic_answer, s.sender_rules, s.turnstile_site_key, s.turnstile_secret, s.page_token, s.broken_since IS NOT NULL AS is_broken,
                d.name AS dealership, d.email AS dealership_email
         FROM lead_sources s JOIN dealerships d ON d.id = $1
         LEFT JOIN users u ON u.id = s.assigned_to AND u.dealership_id = $1 AND NOT u.suspended
         WHERE s.id = $2 AND s.dealership_id = $1",
    )
    .bind(tx.dealership())
    .bind(id)
    .fetch_optional(tx.conn())
    .await?)
}

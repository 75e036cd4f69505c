use std::path::Path;

use sqlx::Executor;

use super::{
    archive::{ArchiveError, Event, Manifest, Reader, Summary},
    export::SAME_TEXTS,
    freeze::hold,
    insert::{Batch, verify},
    known::{State, current, set},
    secrets::LeftBehind,
    tables::{CLERK_OBJECTS, LEFT_OUT, Table, tables},
};
use crate::{
    audit::{Operator, Subject, Verb, record},
    clerk::{StoredObject, destroy, lock_organization, merge_object, own_instance},
    db::{Db, Error, JobTx, Result, SystemTx, TenantTx},
    ids::{ClerkOrgId, DealershipId},
    secrets::{Keyring, OpenError, open_all},
};

/// How an archive is imported.
#[derive(Debug, Clone, Copy)]
pub struct Importing<'a> {
    /// Opens the secrets in it.
    pub keyring: &'a Keyring,
    /// Although it is of another Clerk instance than this database.
    pub other_clerk_instance: bool,
    /// All but the commit.
    pub dry_run: bool,
    pub by: &'a Operator,
}

/// What importing came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// The same archive was imported before, and nothing was done.
    pub before: bool,
    /// Clerk's events had made the dealership here, and nobody had used it: the archive's took its place.
    pub replaced: bool,
    /// Sources and accounts that go without their secrets.
    pub without_secrets: usize,
    /// Events of Clerk that this server has as well.
    pub known_events: usize,
}

/// Why an archive was not imported. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(
        "the archive is of schema {0} and this database of {1}; bring both servers to the same release, and export again"
    )]
    OtherSchema(i64, i64),
    #[error(
        "the archive has table {0} otherwise than this database; bring both servers to the same release, and export again"
    )]
    OtherTable(String),
    #[error(
        "the archive is of Clerk instance {0} and this database of {1}, where its people are others; if that is meant: \
         --other-clerk-instance"
    )]
    OtherClerkInstance(String, String),
    #[error("its organization was deleted in Clerk, and its data destroyed here: nobody could have access")]
    Purged,
    #[error("another archive of this dealership was imported here; remove that first: norvalt dealership discard")]
    OtherArchive,
    #[error(
        "the dealership was handed over by this server, which still has its old rows; destroy them first: norvalt dealership discard"
    )]
    NotDiscarded,
    #[error("the dealership is here already, and {0} is not empty; nothing of it is ever overwritten")]
    IsHere(String),
    #[error("a row of {0} is not this dealership's: the archive was altered")]
    NotTheirs(String),
    #[error("an address of its forms or mails, or a page, is another dealership's here")]
    KeyIsTaken,
    #[error(
        "what came in from {0} as {1} is here already, so this server received it as well: see norvalt deliveries list"
    )]
    DeliveryIsHere(String, String),
    #[error("table {0} would not be the same here as in the archive")]
    NotTheSame(String),
    #[error("{0}; take the keys of the other server into SECRETS_KEYS, after the first one, or export without secrets")]
    Secrets(OpenError),
    /// The database did not do it.
    #[error(transparent)]
    Db(Error),
}

impl From<Error> for ImportError {
    fn from(error: Error) -> Self {
        if error.constraint() == Some("source_keys_pkey") { Self::KeyIsTaken } else { Self::Db(error) }
    }
}

impl From<sqlx::Error> for ImportError {
    fn from(error: sqlx::Error) -> Self {
        Error::from(error).into()
    }
}

/// Imports an archive that was checked, all of it or nothing, and compares each row with the archive's before it commits. The
/// dealership is not open yet. May be repeated.
pub async fn import(db: &Db, path: &Path, summary: &Summary, how: Importing<'_>) -> Result<Imported, ImportError> {
    let manifest = &summary.manifest;
    let mut tx = db.system().await?;
    let tables = tables(&mut tx).await?;
    fits(&mut tx, summary, &tables, how).await?;
    let mut imported = Imported::default();
    match place(&mut tx, summary, &tables).await? {
        Place::Imported => return Ok(Imported { before: true, ..imported }),
        Place::Blank => {
            clear(&mut tx, manifest.dealership).await?;
            imported.replaced = true;
        }
        Place::Free => {}
    }
    set(&mut tx, &manifest.organization, State::Arriving, Some(&summary.archive)).await?;
    record(&mut tx, how.by, Verb::Import, Subject::Other(&manifest.dealership.to_string())).await?;
    tx.conn().execute(SAME_TEXTS).await?;

    let mut reader = Reader::open(path)?;
    merge_objects(&mut tx, &mut reader, &manifest.organization).await?;
    let mut tx = tx.into_tenant(manifest.dealership).await?;
    let mut left_behind = LeftBehind::default();
    let mut counted = None;
    loop {
        match reader.next()? {
            Event::Begin(head) => {
                let table = tables.iter().find(|table| table.name == head.table && table.header() == head.columns);
                let table = table.ok_or(ImportError::OtherTable(head.table))?;
                let mut rows = Rows { table, counted: &mut counted, left_behind: &mut left_behind };
                imported.known_events += rows.write(&mut tx, &mut reader).await?;
            }
            Event::End(archive) if archive == summary.archive => break,
            // It is another file than the one that was checked.
            _ => return Err(ArchiveError::Altered("the whole".to_owned()).into()),
        }
    }
    count(&mut tx, counted).await?;
    for (table, part) in tables.iter().filter_map(|table| Some((table, find(summary, table)?))) {
        let same = table.is_kept && !(left_behind.count() > 0 && table.columns.iter().any(|c| table.is_secret(c)));
        if same {
            verify(&mut tx, table, part, manifest.secrets).await?;
        }
    }
    open_all(&mut tx, how.keyring).await?.map_err(ImportError::Secrets)?;
    left_behind.tell(&mut tx).await?;
    imported.without_secrets = left_behind.count();
    hold(tx.elevate().await?.conn(), manifest.dealership).await?;
    tx.lower().await?;
    if !how.dry_run {
        tx.commit().await?;
    }
    Ok(imported)
}

fn find<'s>(summary: &'s Summary, table: &Table) -> Option<&'s super::archive::Part> {
    summary.tables.iter().find(|part| part.table == table.name)
}

/// Whether this database can take the archive.
async fn fits(tx: &mut SystemTx, summary: &Summary, tables: &[Table], how: Importing<'_>) -> Result<(), ImportError> {
    let Manifest { schema, dealership, organization, clerk_instance, .. } = &summary.manifest;
    let own: i64 = sqlx::query_scalar("-- moving::fits\nSELECT max(version) FROM _sqlx_migrations WHERE success")
        .fetch_one(tx.conn())
        .await?;
    if own != *schema {
        return Err(ImportError::OtherSchema(*schema, own));
    }
    if tables.len() != summary.tables.len() {
        return Err(ImportError::OtherTable("one".to_owned()));
    }
    for (table, part) in tables.iter().zip(&summary.tables) {
        if table.name != part.table || table.header() != part.columns {
            return Err(ImportError::OtherTable(part.table.clone()));
        }
    }
    if *dealership != DealershipId::of(organization) {
        return Err(ImportError::NotTheirs("dealerships".to_owned()));
    }
    let here = own_instance(tx).await?.map(|own| own.id.to_string());
    match (clerk_instance, here) {
        (Some(theirs), Some(ours)) if *theirs != ours && !how.other_clerk_instance => {
            Err(ImportError::OtherClerkInstance(theirs.clone(), ours))
        }
        _ => Ok(()),
    }
}

/// Where the dealership is to be.
enum Place {
    Free,
    /// Made by Clerk's events, and never used.
    Blank,
    /// Of the same archive.
    Imported,
}

async fn place(tx: &mut SystemTx, summary: &Summary, tables: &[Table]) -> Result<Place, ImportError> {
    let id = summary.manifest.dealership;
    if lock_organization(tx, &summary.manifest.organization).await?.is_purged {
        return Err(ImportError::Purged);
    }
    let is_here: bool = sqlx::query_scalar("-- moving::place\nSELECT EXISTS (SELECT FROM dealerships WHERE id = $1)")
        .bind(id)
        .fetch_one(tx.conn())
        .await?;
    match current(tx, id).await? {
        Some(found) if found.state == State::Arriving => {
            let is_same = found.archive.as_ref() == Some(&summary.archive);
            return if is_same { Ok(Place::Imported) } else { Err(ImportError::OtherArchive) };
        }
        Some(found) if found.state == State::Gone && is_here => return Err(ImportError::NotDiscarded),
        Some(found) if found.state == State::Leaving => return Err(ImportError::IsHere("it".to_owned())),
        _ if !is_here => return Ok(Place::Free),
        _ => {}
    }
    match used(tx, id, tables).await? {
        Some(table) => Err(ImportError::IsHere(table)),
        None => Ok(Place::Blank),
    }
}

/// A table in which a dealership has something that nobody but a person or a customer can have written, if there is one.
async fn used(tx: &mut SystemTx, id: DealershipId, tables: &[Table]) -> Result<Option<String>> {
    for Table { name, .. } in tables {
        let blank = match name.as_str() {
            CLERK_OBJECTS | "users" | "source_keys" | "jobs" | "delivery_repetitions" => continue,
            "deliveries" => "t.source = 'clerk'",
            "lead_sources" => "t.kind IN ('form', 'email') AND t.updated_at = t.created_at",
            "dealerships" => "t.phone IS NULL AND t.address IS NULL AND t.email LIKE '%@dealership.invalid'",
            _ => "false",
        };
        let owner = if name == "dealerships" { "id" } else { "dealership_id" };
        // Safe: names of the catalog, quoted there.
        let used = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "-- moving::used\nSELECT EXISTS (SELECT FROM {name} t WHERE t.{owner} = $1 AND NOT ({blank}))"
        )));
        if used.bind(id).fetch_one(tx.conn()).await? {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

async fn clear(tx: &mut SystemTx, id: DealershipId) -> Result<()> {
    sqlx::query("-- moving::clear\nUPDATE dealerships SET closed_at = coalesce(closed_at, now()) WHERE id = $1")
        .bind(id)
        .execute(tx.conn())
        .await?;
    destroy(tx, id).await?;
    Ok(())
}

/// Merges what the other server knows from Clerk. It is the first table.
async fn merge_objects(tx: &mut SystemTx, reader: &mut Reader, org: &ClerkOrgId) -> Result<(), ImportError> {
    loop {
        match reader.next()? {
            Event::Row(row) => {
                let [Some(kind), Some(id), Some(state), user, Some(updated_at)] = row.as_slice() else {
                    return Err(ImportError::OtherTable(CLERK_OBJECTS.to_owned()));
                };
                let pair = user.as_deref().map(|user| (org, user));
                if !merge_object(tx, StoredObject { kind, id, state, pair, updated_at }).await? {
                    return Err(ImportError::OtherTable(CLERK_OBJECTS.to_owned()));
                }
            }
            Event::Begin(head) if head.table == CLERK_OBJECTS => {}
            Event::EndOfTable => return Ok(()),
            _ => return Err(ImportError::OtherTable(CLERK_OBJECTS.to_owned())),
        }
    }
}

/// The rows of one table.
struct Rows<'a> {
    table: &'a Table,
    counted: &'a mut Option<(Option<String>, Option<String>)>,
    left_behind: &'a mut LeftBehind,
}

impl Rows<'_> {
    /// Returns how many were there already.
    async fn write(&mut self, tx: &mut TenantTx, reader: &mut Reader) -> Result<usize, ImportError> {
        let (mut batch, mut repeated) = (Batch::new(self.table), 0);
        let whose = tx.dealership().to_string();
        loop {
            match reader.next()? {
                Event::Row(row) => {
                    batch.push(self.read(row, &whose)?);
                    if batch.is_full() {
                        repeated += batch.write(tx, self.table).await?;
                    }
                }
                Event::EndOfTable => return Ok(repeated + batch.write(tx, self.table).await?),
                _ => return Err(ImportError::OtherTable(self.table.name.clone())),
            }
        }
    }

    fn read(&mut self, mut row: Vec<Option<String>>, whose: &str) -> Result<Vec<Option<String>>, ImportError> {
        let Self { table, .. } = self;
        let not_theirs = || ImportError::NotTheirs(table.name.clone());
        let theirs = table.owner.is_none_or(|owner| row.get(owner).is_some_and(|id| id.as_deref() == Some(whose)));
        if !theirs || row.len() != table.columns.len() {
            return Err(not_theirs());
        }
        let place = |name: &str| table.columns.iter().position(|column| column.name == name);
        for secret in (0..row.len()).filter(|&place| table.is_secret(&table.columns[place])) {
            if row[secret].as_deref() == Some(LEFT_OUT) {
                let key = (place("id").unwrap_or_default(), place("channel").unwrap_or_default());
                self.left_behind.note(&table.name, &mut row, secret, key);
            }
        }
        if table.name == "dealerships"
            && let (Some(counted), Some(before)) = (place("leads_counted"), place("leads_counted_before"))
        {
            *self.counted = Some((row[counted].clone(), row[before].clone()));
        }
        Ok(row)
    }
}

/// How many leads were counted, and until when: the other server did.
async fn count(tx: &mut TenantTx, counted: Option<(Option<String>, Option<String>)>) -> Result<(), ImportError> {
    let Some((leads, before)) = counted else { return Err(ImportError::NotTheirs("dealerships".to_owned())) };
    sqlx::query(
        "-- moving::count
         UPDATE dealerships SET leads_counted = $2::bigint, leads_counted_before = $3::timestamptz WHERE id = $1",
    )
    .bind(tx.dealership())
    .bind(leads)
    .bind(before)
    .execute(tx.elevate().await?.conn())
    .await?;
    Ok(tx.lower().await?)
}

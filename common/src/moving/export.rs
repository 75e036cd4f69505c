use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Executor, Row};

use super::{
    archive::{Head, Manifest, Part, Writer},
    known::{State, current, set},
    tables::{Table, tables},
};
use crate::{
    VERSION,
    clerk::{lock_organization, own_instance},
    clock::Clock,
    db::{Db, Error, Result, SystemTx},
    ids::{ClerkOrgId, DealershipId},
};

#[derive(Debug, Clone)]
pub struct Exported {
    pub manifest: Manifest,
    pub tables: Vec<Part>,
    /// SHA-256 of the archive's lines, by which it is known.
    pub archive: String,
}

/// Why a dealership was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("there is no such dealership here")]
    NotHere,
    #[error(
        "the dealership is open; close it first, that nothing is written after the export: norvalt dealership freeze"
    )]
    NotFrozen,
    #[error("something of the dealership still runs; freeze it again: norvalt dealership freeze")]
    StillRuns,
    #[error("{0} is there already; give another file, or remove it")]
    FileIsThere(PathBuf),
    #[error("cannot write the archive")]
    Io(#[from] io::Error),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] Error),
}

impl From<sqlx::Error> for ExportError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Everything that is written as text is written in the same way on every server.
pub(super) const SAME_TEXTS: &str = "SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1";

/// Writes a frozen dealership, as it is at one moment, to a file that is not there yet. A file that is there afterwards is whole:
/// until then it has another name.
pub async fn export(db: &Db, org: &ClerkOrgId, path: &Path, with_secrets: bool) -> Result<Exported, ExportError> {
    if path.exists() {
        return Err(ExportError::FileIsThere(path.to_owned()));
    }
    let mut tx = db.snapshot().await?;
    let manifest = manifest(&mut tx, org, with_secrets).await?;
    tx.conn().execute(SAME_TEXTS).await?;
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut writer = Writer::new(create(&part)?, &manifest)?;
    for table in tables(&mut tx).await? {
        writer.begin(Head { columns: table.header(), table: table.name.clone() })?;
        write_rows(&mut tx, &mut writer, &table, manifest.dealership, with_secrets).await?;
        writer.end_table()?;
    }
    drop(tx);
    let (tables, archive) = writer.end()?;
    remember(db, org, &archive).await?;
    fs::rename(&part, path)?;
    File::open(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(Exported { manifest, tables, archive })
}

/// For nobody else's eyes. What an export that was interrupted has left is written anew.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

async fn manifest(tx: &mut SystemTx, org: &ClerkOrgId, secrets: bool) -> Result<Manifest, ExportError> {
    let id = DealershipId::of(org);
    let name: Option<String> = sqlx::query_scalar("-- moving::manifest\nSELECT name FROM dealerships WHERE id = $1")
        .bind(id)
        .fetch_optional(tx.conn())
        .await?;
    let name = name.ok_or(ExportError::NotHere)?;
    if !current(tx, id).await?.is_some_and(|found| found.state == State::Leaving) {
        return Err(ExportError::NotFrozen);
    }
    let (schema, running): (i64, bool) = sqlx::query_as(
        "-- moving::manifest
         SELECT (SELECT max(version) FROM _sqlx_migrations WHERE success),
                EXISTS (SELECT FROM jobs WHERE for_dealership = $1 AND state = 'running')
                  OR EXISTS (SELECT FROM outbox WHERE dealership_id = $1 AND status = 'sending')",
    )
    .bind(id)
    .fetch_one(tx.conn())
    .await?;
    if running {
        return Err(ExportError::StillRuns);
    }
    Ok(Manifest {
        format: Manifest::format(),
        schema,
        release: VERSION.to_owned(),
        dealership: id,
        organization: org.clone(),
        name,
        clerk_instance: own_instance(tx).await?.map(|own| own.id.to_string()),
        exported_at: Clock::system().now(),
        secrets,
    })
}

async fn write_rows(
    tx: &mut SystemTx,
    writer: &mut Writer,
    table: &Table,
    id: DealershipId,
    with_secrets: bool,
) -> Result<(), ExportError> {
    // Safe: names of the catalog, quoted there.
    let select = sqlx::query(AssertSqlSafe(table.select(with_secrets))).bind(id);
    let mut rows = select.fetch(tx.conn());
    while let Some(row) = rows.try_next().await? {
        writer.row(row.try_get(0)?)?;
    }
    Ok(())
}

/// Which archive may be handed over: the last one.
async fn remember(db: &Db, org: &ClerkOrgId, archive: &str) -> Result<(), ExportError> {
    let mut tx = db.system().await?;
    lock_organization(&mut tx, org).await?;
    if !current(&mut tx, DealershipId::of(org)).await?.is_some_and(|found| found.state == State::Leaving) {
        return Err(ExportError::NotFrozen);
    }
    set(&mut tx, org, State::Leaving, Some(archive)).await?;
    Ok(tx.commit().await?)
}

//! Rows of an archive, written many at a time.

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Row};

use super::{
    archive::{Part, Tally},
    import::ImportError,
    tables::{DELIVERIES, Table},
};
use crate::db::{JobTx, Result, TenantTx};

/// Rows written by one statement, and bytes, at most.
const ROWS: usize = 500;
const BYTES: usize = 1 << 20;

/// Rows that are to be written together, column by column.
pub(super) struct Batch {
    columns: Vec<Vec<Option<String>>>,
    rows: usize,
    bytes: usize,
}

impl Batch {
    pub(super) fn new(table: &Table) -> Self {
        Self { columns: vec![Vec::new(); table.columns.len()], rows: 0, bytes: 0 }
    }

    pub(super) fn push(&mut self, row: Vec<Option<String>>) {
        self.rows += 1;
        for (column, value) in self.columns.iter_mut().zip(row) {
            self.bytes += value.as_ref().map_or(0, String::len);
            column.push(value);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= ROWS || self.bytes >= BYTES
    }

    /// Writes what there is, and returns how much of it was there already: events of Clerk may be.
    pub(super) async fn write(&mut self, tx: &mut TenantTx, table: &Table) -> Result<usize, ImportError> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        if rows == 0 {
            return Ok(0);
        }
        // Safe: names of the catalog, quoted there.
        let mut insert = sqlx::query(AssertSqlSafe(table.insert()));
        for column in &self.columns {
            insert = insert.bind(column);
        }
        let by_tenant = table.written_by_tenant && table.name != DELIVERIES;
        let conn = if by_tenant { tx.conn() } else { tx.elevate().await?.conn() };
        let written = insert.fetch_all(conn).await?;
        if !by_tenant {
            tx.lower().await?;
        }
        let repeated = if table.name == DELIVERIES && written.len() < rows {
            let mut new = std::collections::BTreeSet::new();
            for row in &written {
                new.insert((row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?));
            }
            self.repeated(table, &new)?
        } else {
            0
        };
        self.columns.iter_mut().for_each(Vec::clear);
        Ok(repeated)
    }

    /// Deliveries that this server has, too. Clerk tells both of the same; nobody else does.
    fn repeated(
        &self,
        table: &Table,
        new: &std::collections::BTreeSet<(String, String)>,
    ) -> Result<usize, ImportError> {
        let place = |name: &str| table.columns.iter().position(|column| column.name == name).unwrap_or_default();
        let (sources, ids) = (&self.columns[place("source")], &self.columns[place("external_id")]);
        let names = sources.iter().zip(ids).filter_map(|(source, id)| Some((source.clone()?, id.clone()?)));
        let known: Vec<_> = names.filter(|name| !new.contains(name)).collect();
        match known.iter().find(|(source, _)| source != "clerk") {
            Some((source, id)) => Err(ImportError::DeliveryIsHere(source.clone(), id.clone())),
            None => Ok(known.len()),
        }
    }
}

/// Reads a table back and compares it with the archive.
pub(super) async fn verify(tx: &mut TenantTx, table: &Table, part: &Part, secrets: bool) -> Result<(), ImportError> {
    let id = tx.dealership();
    let mut tally = Tally::new();
    {
        // Safe: names of the catalog, quoted there.
        let select = sqlx::query(AssertSqlSafe(table.select(secrets))).bind(id);
        let mut rows = select.fetch(tx.elevate().await?.conn());
        while let Some(row) = rows.try_next().await? {
            tally.add(row.try_get(0)?);
        }
    }
    tx.lower().await?;
    if tally.end() == (part.rows, part.sha256.clone()) {
        Ok(())
    } else {
        Err(ImportError::NotTheSame(table.name.clone()))
    }
}

//! The archive of a dealership: lines of JSON, compressed with gzip. `docs/operations/moving.md` describes it.
//!
//! A manifest; then for each table its name and columns, a line for each row (an array of texts, as PostgreSQL writes them, or null),
//! and how many rows that were with their SHA-256; and last, the SHA-256 of all lines before.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::Path,
};

use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, Utc};
use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};

use crate::{
    hex,
    ids::{ClerkOrgId, DealershipId},
};

/// What the first line says it is.
const FORMAT: &str = "norvalt dealership 1";

/// Whose archive it is, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: String,
    /// The newest migration.
    pub schema: i64,
    /// Version of the build that wrote it.
    pub release: String,
    pub dealership: DealershipId,
    pub organization: ClerkOrgId,
    pub name: String,
    /// The Clerk instance of the organization, if the server knew.
    pub clerk_instance: Option<String>,
    pub exported_at: DateTime<Utc>,
    /// Whether secrets are in it, sealed.
    pub secrets: bool,
}

impl Manifest {
    pub(super) fn format() -> String {
        FORMAT.to_owned()
    }
}

/// What stands before the rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) table: String,
    /// Each with its type.
    pub(super) columns: Vec<String>,
}

/// What stands after the rows of a table, and with `end` after all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Foot {
    rows: u64,
    sha256: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    end: bool,
}

/// A table of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    pub table: String,
    #[serde(skip)]
    pub(super) columns: Vec<String>,
    pub rows: u64,
    pub(super) sha256: String,
}

/// An archive that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub manifest: Manifest,
    pub tables: Vec<Part>,
    /// SHA-256 of its lines, by which the archive is known.
    pub archive: String,
}

impl Summary {
    /// How many rows there are of a table.
    pub fn rows(&self, table: &str) -> u64 {
        self.tables.iter().find(|part| part.table == table).map_or(0, |part| part.rows)
    }
}

/// Why something is no archive, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    #[error("it is not an archive of a dealership, or of a release that writes them otherwise")]
    NotAnArchive,
    #[error("it ends too early: copy it again")]
    Truncated,
    #[error("line {0} cannot be read: the archive was altered or damaged on its way, copy it again")]
    Unreadable(u64),
    #[error("the checksum of {0} is another one: the archive was altered or damaged on its way, copy it again")]
    Altered(String),
}

/// Hashes lines and counts them.
pub(super) struct Tally {
    hash: Context,
    rows: u64,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self { hash: Context::new(&SHA256), rows: 0 }
    }

    pub(super) fn add(&mut self, line: &str) {
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        self.rows += 1;
    }

    pub(super) fn end(self) -> (u64, String) {
        (self.rows, hex(self.hash.finish().as_ref()))
    }
}

pub(super) struct Writer {
    out: GzEncoder<BufWriter<File>>,
    all: Tally,
    table: Option<(Head, Tally)>,
    tables: Vec<Part>,
}

impl Writer {
    pub(super) fn new(file: File, manifest: &Manifest) -> io::Result<Self> {
        let out = GzEncoder::new(BufWriter::new(file), Compression::fast());
        let mut writer = Self { out, all: Tally::new(), table: None, tables: Vec::new() };
        writer.line(&serde_json::to_string(manifest)?)?;
        Ok(writer)
    }

    pub(super) fn begin(&mut self, head: Head) -> io::Result<()> {
        self.line(&serde_json::to_string(&head)?)?;
        self.table = Some((head, Tally::new()));
        Ok(())
    }

    pub(super) fn row(&mut self, line: &str) -> io::Result<()> {
        if let Some((_, tally)) = &mut self.table {
            tally.add(line);
        }
        self.line(line)
    }

    pub(super) fn end_table(&mut self) -> io::Result<()> {
        let Some((Head { table, columns }, tally)) = self.table.take() else { return Ok(()) };
        let (rows, sha256) = tally.end();
        self.line(&serde_json::to_string(&Foot { rows, sha256: sha256.clone(), end: false })?)?;
        self.tables.push(Part { table, columns, rows, sha256 });
        Ok(())
    }

    /// Returns when all of it is on the disk.
    pub(super) fn end(mut self) -> io::Result<(Vec<Part>, String)> {
        let all = std::mem::replace(&mut self.all, Tally::new());
        let rows = self.tables.iter().map(|part| part.rows).sum();
        let (_, sha256) = all.end();
        self.line(&serde_json::to_string(&Foot { rows, sha256: sha256.clone(), end: true })?)?;
        let file = self.out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok((self.tables, sha256))
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        self.all.add(line);
        self.out.write_all(line.as_bytes())?;
        self.out.write_all(b"\n")
    }
}

/// What comes next in an archive.
pub(super) enum Event {
    Begin(Head),
    Row(Vec<Option<String>>),
    EndOfTable,
    /// With the hash by which the archive is known.
    End(String),
}

/// Reads an archive, and checks what it reads.
pub(super) struct Reader {
    lines: Box<dyn BufRead + Send>,
    line: String,
    number: u64,
    all: Tally,
    table: Option<(Head, Tally)>,
    pub(super) manifest: Manifest,
    tables: Vec<Part>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let lines: Box<dyn BufRead + Send> =
            Box::new(BufReader::new(GzDecoder::new(BufReader::new(File::open(path)?))));
        let manifest = Manifest {
            format: String::new(),
            schema: 0,
            release: String::new(),
            dealership: uuid::Uuid::nil().into(),
            organization: "org_".parse().map_err(|_| ArchiveError::NotAnArchive)?,
            name: String::new(),
            clerk_instance: None,
            exported_at: DateTime::UNIX_EPOCH,
            secrets: false,
        };
        let (line, number, table, tables) = Default::default();
        let mut reader = Self { lines, line, number, all: Tally::new(), table, manifest, tables };
        reader.read_line().map_err(|error| match error {
            ArchiveError::Io(error) if error.kind() == io::ErrorKind::InvalidInput => ArchiveError::NotAnArchive,
            error => error,
        })?;
        reader.manifest = serde_json::from_str(&reader.line).map_err(|_| ArchiveError::NotAnArchive)?;
        if reader.manifest.format != FORMAT {
            return Err(ArchiveError::NotAnArchive);
        }
        reader.count();
        Ok(reader)
    }

    pub(super) fn next(&mut self) -> Result<Event, ArchiveError> {
        self.read_line()?;
        let unreadable = ArchiveError::Unreadable(self.number);
        if self.line.starts_with('[') {
            let row = serde_json::from_str(&self.line).map_err(|_| unreadable)?;
            let Some((_, tally)) = &mut self.table else { return Err(ArchiveError::Unreadable(self.number)) };
            tally.add(&self.line);
            self.count();
            return Ok(Event::Row(row));
        }
        if let (None, Ok(head)) = (&self.table, serde_json::from_str::<Head>(&self.line)) {
            self.count();
            self.table = Some((head.clone(), Tally::new()));
            return Ok(Event::Begin(head));
        }
        let foot: Foot = serde_json::from_str(&self.line).map_err(|_| unreadable)?;
        if foot.end { self.end(foot) } else { self.end_table(foot) }
    }

    fn end_table(&mut self, foot: Foot) -> Result<Event, ArchiveError> {
        let Some((head, tally)) = self.table.take() else { return Err(ArchiveError::Unreadable(self.number)) };
        if tally.end() != (foot.rows, foot.sha256.clone()) {
            return Err(ArchiveError::Altered(format!("table {}", head.table)));
        }
        self.count();
        self.tables.push(Part { table: head.table, columns: head.columns, rows: foot.rows, sha256: foot.sha256 });
        Ok(Event::EndOfTable)
    }

    fn end(&mut self, foot: Foot) -> Result<Event, ArchiveError> {
        let all = std::mem::replace(&mut self.all, Tally::new());
        let rows: u64 = self.tables.iter().map(|part| part.rows).sum();
        let whole = self.table.is_none() && rows == foot.rows && all.end().1 == foot.sha256;
        // The compression has a checksum of its own, which is read with the end.
        if !whole || self.read()? > 0 {
            return Err(ArchiveError::Altered("the whole".to_owned()));
        }
        Ok(Event::End(foot.sha256))
    }

    fn count(&mut self) {
        self.all.add(&self.line);
    }

    fn read_line(&mut self) -> Result<(), ArchiveError> {
        if self.read()? == 0 || self.line.pop() != Some('\n') {
            return Err(ArchiveError::Truncated);
        }
        Ok(())
    }

    fn read(&mut self) -> Result<usize, ArchiveError> {
        self.line.clear();
        self.number += 1;
        self.lines.read_line(&mut self.line).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ArchiveError::Truncated,
            io::ErrorKind::InvalidData => ArchiveError::Unreadable(self.number),
            _ => error.into(),
        })
    }
}

/// Reads all of an archive and says what is in it, if it is whole.
pub fn check(path: &Path) -> Result<Summary, ArchiveError> {
    let mut reader = Reader::open(path)?;
    loop {
        if let Event::End(archive) = reader.next()? {
            return Ok(Summary { manifest: reader.manifest, tables: reader.tables, archive });
        }
    }
}

#[cfg(test)]
mod tests;

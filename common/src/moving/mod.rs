//! A dealership moves to another server: `docs/operations/moving.md`.
//!
//! One server at a time has it. It is closed where it is ([`freeze`]), written into an archive ([`export`]), read there ([`import`]),
//! handed over ([`release`]) and opened ([`open`]). Until it is handed over it can be opened again where it was; from then on only
//! where it went. Whatever is interrupted is simply repeated.

mod archive;
mod export;
mod freeze;
mod hand_over;
mod import;
mod insert;
mod known;
mod secrets;
mod tables;

pub use archive::{ArchiveError, Manifest, Summary, check};
pub use export::{ExportError, Exported, export};
pub use freeze::{FreezeError, Frozen, freeze};
pub use hand_over::{HandOverError, Opening, discard, open, release, release_code};
pub use import::{ImportError, Imported, Importing, import};
pub use known::{Known, State, find, list, on_their_way};
pub use tables::{STAYS, Table, tables};

/// In front of the name of a queue whose jobs are a frozen dealership's: no worker claims from a queue of that name.
const HELD: &str = "held ";

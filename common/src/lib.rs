//! What the API, the worker and the command line share: configuration, domain types, the two doors to the database,
//! deliveries from outside and the queue. Knows nothing of HTTP servers, commands or job handlers.

pub mod answers;
pub mod audit;
pub mod automation_rules;
pub mod capacity;
pub mod clerk;
pub mod clock;
pub mod config;
pub mod conversations;
pub mod customers;
pub mod db;
pub mod dealerships;
pub mod deliveries;
mod hex;
pub mod idempotency;
pub mod ids;
pub mod input;
pub mod inquiry;
pub mod intake;
pub mod jobs;
pub mod language;
pub mod lead_sources;
pub mod leads;
pub mod messages;
pub mod metrics;
pub mod moving;
pub mod notifications;
pub mod opening;
pub mod outbox;
mod own_words;
pub mod page;
pub mod process;
pub mod queue;
pub mod restored;
pub mod role;
pub mod secrets;
pub mod seek;
pub mod sending_accounts;
pub mod sms;
pub mod telemetry;
mod text_enum;
mod update;
pub mod users;
pub mod vehicles;

pub use hex::hex;
pub use own_words::own_words;

/// Version of the running build, as in `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

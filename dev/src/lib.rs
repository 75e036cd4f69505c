//! What development and the tests need and no production binary contains: private PostgreSQL servers, stand-ins
//! for Clerk, Meta's Graph API, Turnstile and those who carry messages, and a runner for the Procfile.

pub mod changes;
pub mod console;
pub mod files;
pub mod fingerprint;
pub mod hostile;
pub mod ownership;
pub mod postgres;
pub mod process_table;
pub mod processes;
pub mod procfile;
pub mod random;
pub mod serving;
pub mod stand_ins;

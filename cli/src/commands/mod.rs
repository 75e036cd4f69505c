//! One command a file.

pub(crate) mod dealership;
pub(crate) mod deliveries;
pub(crate) mod doctor;
pub(crate) mod inbound;
pub(crate) mod instance;
pub(crate) mod jobs;
pub(crate) mod migrate;
pub(crate) mod purge;
pub(crate) mod report;
pub(crate) mod restored;
pub(crate) mod secrets;
pub(crate) mod seed;
pub(crate) mod sync;
pub(crate) mod sync_user;

//! One file for each resource.

pub(crate) mod health;
pub(crate) mod leads;
pub(crate) mod me;
pub(crate) mod webhooks;

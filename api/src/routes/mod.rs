//! One file for each resource.

pub(crate) mod automation_rules;
pub(crate) mod conversations;
pub(crate) mod dealership;
pub(crate) mod health;
pub(crate) mod leads;
pub(crate) mod vehicles;
pub(crate) mod webhooks;

//! One file for each resource.

pub(crate) mod answers;
pub(crate) mod automation_rules;
pub(crate) mod conversations;
pub(crate) mod customers;
pub(crate) mod dealership;
pub(crate) mod facebook_login;
pub(crate) mod forms;
pub(crate) mod health;
pub(crate) mod inbound;
pub(crate) mod lead_sources;
pub(crate) mod leads;
pub(crate) mod sending;
pub(crate) mod suggestions;
pub(crate) mod unsubscribe;
pub(crate) mod vehicles;
pub(crate) mod webhooks;

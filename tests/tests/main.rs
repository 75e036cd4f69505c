//! The tests of the whole, one subject a file. Nothing of ours is replaced; only Clerk is a stand-in.

mod api;
mod cli;
mod cluster;
mod configuration;
mod connections;
mod convergence;
mod deploy;
mod first_request;
mod frontend;
mod isolation;
mod leads;
mod official_events;
mod overload;
mod provisioning;
mod queue;
mod reconciliation;
mod repository;
mod secrecy;
mod seen;
mod service;
mod surface;
mod tenancy;
mod tokens;
mod webhooks;
mod whole;
mod worker;

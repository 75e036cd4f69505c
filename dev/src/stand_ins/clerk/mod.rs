//! A stand-in for Clerk: the same tokens, webhooks and Backend API, made with the same algorithms, without an account
//! or a network. Everything it knows is invented and it asks nobody for a password, so it must never be reachable from
//! outside the host.

mod backend_api;
mod changes;
mod control;
mod deliveries;
mod faults;
mod keys;
mod objects;
mod replies;
mod server;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod tokens;
mod webhooks;

pub use changes::{NewMember, UserChange};
pub use deliveries::{Attempt, Delivery, Webhooks};
pub use faults::Faults;
pub use keys::{KeyError, SigningKey, jwks};
pub use server::{Options, StandIn};
pub use state::{ChangeError, Instance, Membership, Organization, User};
pub use store::StoreError;
pub use tokens::{Algorithm, SessionToken, sign};
pub use webhooks::{Endpoint, Event, INSTANCE_ID, signed_headers};

//! What Clerk tells us, and what follows from it.
//!
//! A delivery is stored and enqueued ([`receive`]), later parsed into a [`Change`] and merged into the mirror, one
//! last-writer-wins record with tombstone per Clerk object. Dealerships and users are a projection of the mirror. See
//! `docs/adr/0003-mirror-and-projection.md` for why every order of events ends in the same state.

mod backend_api;
mod change;
mod deliveries;
mod effect;
mod event;
mod guard;
mod instance;
mod key;
mod mirror;
mod moved;
mod projection;
mod provisioning;
mod purge;
mod read;
mod reconcile;

pub use backend_api::{BackendApi, BackendApiError};
pub use change::{Change, Membership, Organization, PersonHint, UserProfile, Version};
pub use deliveries::{Delivery, Processed, Receipt, process, receive};
pub use effect::{DealershipEffect, Effect, MemberEffect};
pub use event::{Event, EventError};
pub use guard::MassDeletion;
pub use instance::{LastReconciliation, OwnInstance, last_reconciliation, own_instance, set_instance};
pub use key::KeyError;
pub use moved::{KnownOrganization, StoredObject, lock_organization, merge_object, settle};
pub use provisioning::{Applied, Outcome, apply};
pub(crate) use purge::destroy;
pub use purge::{ClosedDealership, closed_dealerships, purge};
pub use read::Unreadable;
pub use reconcile::{Drift, ReconcileError, Reconciliation, SkippedObject, reconcile};

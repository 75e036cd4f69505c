//! What Clerk tells us, and what follows from it.
//!
//! A delivery is stored and enqueued ([`receive`]), later parsed into a [`Change`] and merged into the mirror, one
//! last-writer-wins record with tombstone per Clerk object. Dealerships and users are a projection of the mirror. See
//! `docs/adr/0003-mirror-and-projection.md` for why every order of events ends in the same state.

mod admin;
mod backend_api;
mod change;
mod effect;
mod event;
mod guard;
mod inbox;
mod instance;
mod key;
mod mirror;
mod projection;
mod provisioning;
mod prune;
mod purge;
mod read;
mod reconcile;

pub use admin::{EVENT_STATUSES, EventFilter, StoredEvent, Stuck, events, replay, stuck};
pub use backend_api::{BackendApi, BackendApiError};
pub use change::{Change, Membership, Organization, PersonHint, UserProfile, Version};
pub use effect::{DealershipEffect, Effect, MemberEffect};
pub use event::{Event, EventError};
pub use guard::MassDeletion;
pub use inbox::{Delivery, ProcessError, Processed, Receipt, count_dead, process, receive};
pub use instance::{LastReconciliation, OwnInstance, last_reconciliation, own_instance, set_instance};
pub use key::KeyError;
pub use provisioning::{Applied, Outcome, apply};
pub use prune::prune;
pub use purge::{ClosedDealership, closed_dealerships, purge};
pub use read::Unreadable;
pub use reconcile::{Drift, ReconcileError, Reconciliation, SkippedObject, reconcile};

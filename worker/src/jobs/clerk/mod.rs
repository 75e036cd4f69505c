//! What Clerk says, and what it says when it is asked.

mod process_event;
mod reconcile;

//! Clients of the services that dealerships and operators choose: Facebook and Turnstile by now; mail, text messages and
//! assistants will join them.
//!
//! A provider has a file of its own, which speaks its protocol and says of each failure whether it is worth another
//! attempt, and when. A trait stands between the providers of one kind, since who runs the backend chooses among them.
//! Every call has a time limit and takes a bounded answer; `Retry-After` is obeyed.
//!
//! What does not belong here: the database, what a message says, and anything that a request to the API waits for. So the
//! worker, the command line and `cargo dev` may link this crate, and the API never does.

pub mod facebook;
pub mod http;
pub mod turnstile;

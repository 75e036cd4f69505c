//! Clients of the services that dealerships and operators choose: providers of mail and of text messages, assistants,
//! Facebook and Turnstile.
//!
//! A provider has a file of its own, which speaks its protocol and says of each failure whether it is worth another
//! attempt, and when. A trait stands between the providers of one kind, since who runs the backend chooses among them.
//! Every call has a time limit and takes a bounded answer; `Retry-After` is obeyed.
//!
//! What does not belong here: the database, what a message says, and anything that a request to the API waits for. So the
//! worker, the command line and `cargo dev` may link this crate, and the API never does.

pub mod assistant;
pub mod dns;
pub mod email;
pub mod facebook;
pub mod http;
mod send;
pub mod sms;
#[cfg(test)]
mod test_server;
pub mod turnstile;

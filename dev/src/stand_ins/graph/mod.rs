//! A stand-in for the part of Meta's Graph API that lead ads need, and for the webhooks that tell of leads: the same
//! addresses, shapes, signatures and errors, without an account or a network. Like all stand-ins, never to be reachable
//! from outside the host.

mod api;
mod control;
mod faults;
mod login;
mod refusal;
mod server;
mod state;
mod webhook;

pub use faults::Fault;
pub use server::{Options, StandIn};
pub use state::{Form, NewLead, Page, State, Unknown, page_token};
pub use webhook::signature;

//! A stand-in for those who carry mails and text messages: a mail server, `SendGrid`, Resend, Postmark and Twilio, in their
//! own shapes, and a page that shows what came as customers see it, lets them answer, and lets the providers fail. Nothing leaves this host. Like all
//! stand-ins, never to be reachable from outside the host.

mod arrival;
mod compose;
mod customer;
mod events;
mod faults;
mod message;
mod page;
mod server;
mod smtp;
mod store;
#[cfg(test)]
mod tests;
mod twilio;
mod web;

pub use events::Reporters;
pub use faults::{ActiveFault, Fault};
pub use message::{Channel, Message, Provider, Reply};
pub use server::{Account, Options, StandIn};
pub use twilio::signature;

//! Inbound e-mail, from a provider's bytes to an inquiry: [`read_sendgrid`] and its kin find the envelope and the
//! [`Mail`], [`classify`] tells what the mail is, and [`portal::read`] what the customer asks. Everything here takes bytes
//! and gives values: no database, no network, no clock, in time and memory that follow the length of what came.

mod address;
mod adf_text;
mod body;
mod classify;
mod headers;
mod html;
mod mail;
mod mailgun;
mod marks;
mod mime;
pub mod portal;
mod post;
mod postmark;
mod provider;
mod quotes;
mod read;
mod received;
mod report;
mod sendgrid;
#[cfg(test)]
mod tests;

pub use address::{OwnAddresses, Recipient, plus_token};
pub use body::Attachment;
pub use classify::{Kind, classify};
pub use headers::Mailbox;
pub use mail::{Mail, identity};
pub use mailgun::read_mailgun;
pub use marks::Mark;
pub use postmark::read_postmark;
pub use provider::{MailgunSignature, Provider};
pub use read::{Unsure, read};
pub use received::{NoMail, Received, read_raw};
pub use report::Report;
pub use sendgrid::read_sendgrid;

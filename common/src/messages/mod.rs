//! What is sent to customers.

pub mod mail;

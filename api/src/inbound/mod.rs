//! What comes in from customers and from whoever passes their inquiries on. One file for each source: how it is verified, how
//! long a body may be and take, and what it is answered; what it says is read elsewhere.

pub(crate) mod adf;
pub(crate) mod email;
pub(crate) mod entry;
pub(crate) mod facebook;
pub(crate) mod form;
pub(crate) mod reports;

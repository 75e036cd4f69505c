//! Inquiries and customers' replies, of whatever source.

mod check_form;
pub(super) mod read_inquiry;
mod read_sms;
mod sort_mail;

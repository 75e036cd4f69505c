//! What goes out, and what is reported of it.

mod check_domain;
mod notify_people;
mod outcome;
mod read_report;
mod send_email;
mod send_sms;

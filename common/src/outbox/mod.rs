//! What goes out to customers: written down with its job in one transaction, sent by a worker, and its fate known.
//!
//! `queued → sending → sent → delivered | bounced`, or `failed`, or `unknown`: it may have been taken. `sending` is committed
//! before a provider is asked, so that a crash in between is seen. What is heard twice, late or in the wrong order converges:
//! of two states the later one in [`crate::conversations::DeliveryStatus`] stays.

mod doubt;
mod late;
mod queue;
mod reports;
mod settle;
mod suppression;
mod tag;
mod take;
mod turn;

pub use doubt::doubt;
pub use queue::{NotAgain, send, send_again};
pub use reports::{Report, ReportKind, Reporter, process_reports, receive_reports, report};
pub use settle::{bury, mark_accepted, mark_in_doubt, mark_not_taken, mark_refused, mark_retrying};
pub use suppression::{SuppressionReason, lift, suppress};
pub use tag::{read_reply_token, read_tag, reply_token, tag};
pub use take::{
    MessageText, NoticeLine, Outgoing, OutgoingMessage, OutgoingNotice, Reply, Sender, Tried, Way, preview, take,
};
pub use turn::{quiet_for, wait_for_turn};

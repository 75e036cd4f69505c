//! What is said to customers: by people, and how it looks when it leaves.

mod answer;
mod compose;
pub mod mail;
mod notice;
mod preview;

pub use answer::{DraftText, answer, send_draft};
pub use compose::{Envelope, Letter, compose, compose_sms};
pub use notice::{compose_notice, compose_notice_sms};
pub use preview::{MailPreview, Preview, SmsPreview, preview};

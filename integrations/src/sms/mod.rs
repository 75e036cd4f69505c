//! Text messages that go out.

pub mod gateway;
pub mod twilio;

use std::fmt::Debug;

use futures::future::BoxFuture;
use uuid::Uuid;

pub use common::sms::{SmsEncoding, SmsParts, sms_parts as parts};

pub use crate::send::{Accepted, Cause, NoProvider, SendError};

/// A text message as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingSms {
    /// The same for every attempt.
    pub id: Uuid,
    /// What the provider's reports name it by: `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`, at most 80, nothing personal.
    pub tag: String,
    /// A number such as `+4759440000`, or a name of at most 11 characters that nobody can answer.
    pub from: String,
    /// As dialled from anywhere, such as `+4791234567`. <https://www.itu.int/rec/T-REC-E.164>
    pub to: String,
    pub text: String,
}

/// Hands text messages to a provider. What it says of a failure says whether it may be handed over again.
pub trait SmsSender: Send + Sync + Debug {
    /// Ends within [`crate::http::TIME_LIMIT`].
    fn send<'a>(&'a self, sms: &'a OutgoingSms) -> BoxFuture<'a, Result<Accepted, SendError>>;

    /// Such as `twilio`.
    fn provider(&self) -> &'static str;

    /// Whether a message with the same id is taken once, however often it is handed over.
    fn is_idempotent(&self) -> bool {
        false
    }

    /// Whether it will tell what became of a message.
    fn reports_delivery(&self) -> bool;
}

#[cfg(test)]
pub(crate) fn sms() -> OutgoingSms {
    OutgoingSms {
        id: Uuid::from_u128(7),
        tag: "m.7".into(),
        from: "+4759440000".into(),
        to: "+4791234567".into(),
        text: "Hei \"Kåre\" & {id}!".into(),
    }
}

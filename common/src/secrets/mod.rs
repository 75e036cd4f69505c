//! Secrets: opened only where they are used, and sealed where they are stored.
//!
//! A [`Secret`] is never shown, written or serialised. What a table keeps is [`Sealed`] by the [`Keyring`] of `SECRETS_KEYS`,
//! with AES-256-GCM-SIV (<https://www.rfc-editor.org/rfc/rfc8452>), for one [`Place`] and no other.

mod keyring;
mod sealed;
mod secret;
mod stored;

pub use keyring::{KeyId, Keyring, MissingKeys, NoKey, OpenError};
pub use sealed::{Place, Sealed};
pub use secret::Secret;
pub(crate) use stored::open_all;
pub use stored::{KeysError, ResealError, Resealed, dealerships_to_reseal, keys_in_use, require_keys, reseal};

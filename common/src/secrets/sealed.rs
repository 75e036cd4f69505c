use std::fmt;

use uuid::Uuid;

use super::KeyId;
use crate::ids::DealershipId;

/// Bytes of a nonce. <https://www.rfc-editor.org/rfc/rfc8452#section-4>
pub(super) const NONCE: usize = 12;
/// The form of what is stored. Never change what one version means: it is in databases.
const VERSION: u8 = 1;

/// Where a secret belongs. Copied to another row, column or dealership, it does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Whose secret it is.
    pub dealership: DealershipId,
    /// Table and column, such as `email_accounts.password`; a rename must keep the old name here.
    pub column: &'static str,
    pub row: Uuid,
}

impl Place {
    /// What is authenticated with a secret. No two places have the same: only the last part has no fixed length.
    pub(super) fn authenticated(&self, key: &KeyId) -> Vec<u8> {
        let key = key.as_str().as_bytes();
        let dealership = Uuid::from(self.dealership);
        [&[VERSION, length(key)], key, dealership.as_bytes(), self.row.as_bytes(), self.column.as_bytes()].concat()
    }
}

/// A sealed secret, as it is stored in a column of type `bytea`: version, length of the key's id, key's id, nonce,
/// ciphertext and tag.
#[derive(Clone, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct Sealed(Vec<u8>);

/// What a sealed secret consists of.
pub(super) struct Parts<'a> {
    pub(super) key: KeyId,
    pub(super) nonce: [u8; NONCE],
    pub(super) ciphertext: &'a [u8],
}

impl Sealed {
    pub(super) fn new(key: &KeyId, nonce: &[u8; NONCE], ciphertext: &[u8]) -> Self {
        Self([&Self::begin(key), nonce.as_slice(), ciphertext].concat())
    }

    /// What every secret begins with that is sealed with this key.
    pub(super) fn begin(key: &KeyId) -> Vec<u8> {
        let key = key.as_str().as_bytes();
        [&[VERSION, length(key)], key].concat()
    }

    /// Which key a secret that begins like this is sealed with, and what comes after that. Nothing, if it is of no version that
    /// is known.
    pub(super) fn key(begin: &[u8]) -> Option<(KeyId, &[u8])> {
        let (&[version, length], rest) = begin.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(length.into())?;
        let key = str::from_utf8(key).ok()?.parse().ok()?;
        (version == VERSION).then_some((key, rest))
    }

    /// Nothing, if it is no sealed secret of a version that is known.
    pub(super) fn parts(&self) -> Option<Parts<'_>> {
        let (key, rest) = Self::key(&self.0)?;
        let (nonce, ciphertext) = rest.split_first_chunk()?;
        Some(Parts { key, nonce: *nonce, ciphertext })
    }
}

/// Of a key's id, which is short.
fn length(key: &[u8]) -> u8 {
    u8::try_from(key.len()).expect("an id has at most 32 bytes")
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sealed]")
    }
}

impl From<Vec<u8>> for Sealed {
    fn from(stored: Vec<u8>) -> Self {
        Self(stored)
    }
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{
    Place, Sealed, Secret,
    sealed::{NONCE, Parts},
};

const MAX_ID: usize = 32;

/// Names a key, in `SECRETS_KEYS` and in what is sealed with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        match text.len() {
            1..=MAX_ID if text.bytes().all(plain) => Ok(Self(text.to_owned())),
            _ => Err("must be 1 to 32 letters, digits, '.', '-' and '_'"),
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret is to be stored, and there is no key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no secret can be stored, because SECRETS_KEYS is not set")]
pub struct NoKey;

/// Why a stored secret cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is sealed with a key that is not here.
    #[error("a secret in {column} is sealed with the key {key}, which is missing in SECRETS_KEYS")]
    MissingKey {
        /// Which key that is.
        key: KeyId,
        column: &'static str,
    },
    /// It was changed, moved from where it belongs, or sealed with another key of the same id.
    #[error(
        "a secret in {0} does not open: it is damaged, from another row, or its key in SECRETS_KEYS is not the one that had this id"
    )]
    DoesNotOpen(&'static str),
}

/// Stored secrets cannot be opened: their keys are not here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("SECRETS_KEYS lacks keys that stored secrets are sealed with: {}; add them after the first one", names(.0))]
pub struct MissingKeys(BTreeSet<KeyId>);

fn names(keys: &BTreeSet<KeyId>) -> String {
    keys.iter().map(KeyId::as_str).collect::<Vec<_>>().join(", ")
}

/// The keys that secrets are sealed with: `id:base64,…`. The first seals, all of them open. Clones share them.
#[derive(Clone, Default)]
pub struct Keyring(Arc<[Key]>);

struct Key {
    id: KeyId,
    cipher: RandomizedNonceKey,
}

impl Keyring {
    /// Seals a secret for its place. Every time it looks different.
    pub fn seal(&self, secret: &Secret, place: &Place) -> Result<Sealed, NoKey> {
        Ok(self.0.first().ok_or(NoKey)?.seal(secret, place))
    }

    /// Opens what was sealed for this place, with whichever key.
    pub fn open(&self, sealed: &Sealed, place: &Place) -> Result<Secret, OpenError> {
        let Place { column, .. } = *place;
        let Parts { key, nonce, ciphertext } = sealed.parts().ok_or(OpenError::DoesNotOpen(column))?;
        match self.0.iter().find(|candidate| candidate.id == key) {
            Some(key) => key.open(nonce, ciphertext, place).ok_or(OpenError::DoesNotOpen(column)),
            None => Err(OpenError::MissingKey { key, column }),
        }
    }

    /// The same secret sealed with the first key; nothing, if it is already. So a run over all rows that was interrupted
    /// is simply repeated.
    pub fn reseal(&self, sealed: &Sealed, place: &Place) -> Result<Option<Sealed>, OpenError> {
        let first = self.0.first();
        let current = sealed.parts().is_some_and(|parts| first.is_some_and(|first| first.id == parts.key));
        if current {
            return Ok(None);
        }
        let secret = self.open(sealed, place)?;
        Ok(first.map(|first| first.seal(&secret, place)))
    }

    /// Checks that the keys which stored secrets are sealed with are here: without one of them nothing should start.
    pub fn require(&self, in_use: impl IntoIterator<Item = KeyId>) -> Result<(), MissingKeys> {
        let missing: BTreeSet<_> = in_use.into_iter().filter(|id| !self.ids().any(|own| own == id)).collect();
        if missing.is_empty() { Ok(()) } else { Err(MissingKeys(missing)) }
    }

    /// The names of the keys, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.0.iter().map(|key| &key.id)
    }
}

impl Key {
    fn new(id: KeyId, bytes: &[u8]) -> Option<Self> {
        RandomizedNonceKey::new(&AES_256_GCM_SIV, bytes).ok().map(|cipher| Self { id, cipher })
    }

    fn seal(&self, secret: &Secret, place: &Place) -> Sealed {
        let mut text = Vec::with_capacity(secret.expose().len() + AES_256_GCM_SIV.tag_len());
        text.extend_from_slice(secret.expose().as_bytes());
        let authenticated = Aad::from(place.authenticated(&self.id));
        let nonce = self.cipher.seal_in_place_append_tag(authenticated, &mut text);
        let nonce = nonce.expect("a text in memory is shorter than 64 GiB, and AWS-LC has randomness or aborts");
        Sealed::new(&self.id, nonce.as_ref(), &text)
    }

    fn open(&self, nonce: [u8; NONCE], ciphertext: &[u8], place: &Place) -> Option<Secret> {
        let text = self.decrypt(nonce, ciphertext, &place.authenticated(&self.id))?;
        str::from_utf8(&text).ok().map(Secret::new)
    }

    fn decrypt(&self, nonce: [u8; NONCE], ciphertext: &[u8], authenticated: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let length = self.cipher.open_in_place(nonce, Aad::from(authenticated), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

impl FromStr for Keyring {
    /// Every problem, without a value: it may be a key.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut keys, mut problems) = (Vec::<Key>::new(), Vec::new());
        for (number, entry) in (1..).zip(text.split(',')) {
            match key(entry.trim()) {
                Ok(key) if keys.iter().any(|earlier| earlier.id == key.id) => {
                    problems.push(format!("entry {number} has the same id as an earlier one"));
                }
                Ok(key) => keys.push(key),
                Err(problem) => problems.push(format!("entry {number} {problem}")),
            }
        }
        if problems.is_empty() { Ok(Self(keys.into())) } else { Err(problems.join("; ")) }
    }
}

fn key(entry: &str) -> Result<Key, String> {
    let (id, encoded) = entry.split_once(':').ok_or("is not of the form id:key; entries are separated by commas")?;
    let id: KeyId = id.parse().map_err(|problem| format!("has an id that {problem}"))?;
    let bytes = STANDARD.decode(encoded).map(Zeroizing::new).ok();
    let key = bytes.and_then(|bytes| Key::new(id, &bytes));
    key.ok_or("has a key that is not 32 bytes in base64; make one: openssl rand -base64 32".to_owned())
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids().map(KeyId::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cipher_is_the_standards() {
        // <https://www.rfc-editor.org/rfc/rfc8452#appendix-C.2>
        let mut bytes = [0; 32];
        bytes[0] = 1;
        let key = Key::new(KeyId("rfc".to_owned()), &bytes).expect("32 bytes");
        let mut nonce = [0; NONCE];
        nonce[0] = 3;
        let opened = |result: u128, first: u64, authenticated: &[u8]| {
            let result = [&first.to_be_bytes()[..], &result.to_be_bytes()].concat();
            key.decrypt(nonce, &result, authenticated).map(|text| text.to_vec())
        };
        let plain = |first| Some([&[first][..], &[0; 7]].concat());
        assert_eq!(opened(0x8431_2213_0f73_64b7_61e0_b974_27e3_df28, 0xc2ef_328e_5c71_c83b, &[]), plain(1));
        assert_eq!(opened(0x9121_3f26_7e3b_452f_02d0_1ae3_3e4e_c854, 0x1de2_2967_237a_8132, &[1]), plain(2));
        assert_eq!(opened(0x9121_3f26_7e3b_452f_02d0_1ae3_3e4e_c854, 0x1de2_2967_237a_8132, &[2]), None);
    }
}

use std::path::Path;

use aws_lc_rs::{
    digest,
    encoding::AsDer,
    rsa::KeySize,
    signature::{KeyPair, RsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::files::{self, FileError};

/// A 2048-bit RSA key that signs session tokens.
pub struct SigningKey {
    pair: RsaKeyPair,
    kid: String,
}

/// Why a kept key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Something else is in the file.
    #[error("{path} does not hold an RSA key in PEM form (PKCS #8); delete the file and a new one is made")]
    NotAKey {
        /// Where it was read.
        path: String,
    },
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

const HEADER: &str = "-----BEGIN PRIVATE KEY-----";
const FOOTER: &str = "-----END PRIVATE KEY-----";

impl SigningKey {
    /// A new key, in memory.
    pub fn generate() -> Self {
        Self::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("AWS-LC makes keys of the sizes that it lists"))
    }

    /// The key in a file. When there is none, a new one is made and saved for the next time.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let pem = files::read_or_create(path, || Self::generate().to_pem())?;
        Self::from_pem(&pem).ok_or_else(|| KeyError::NotAKey { path: path.display().to_string() })
    }

    /// Reads a PEM document (RFC 7468) with a PKCS #8 key.
    pub fn from_pem(pem: &str) -> Option<Self> {
        let body: String = pem.trim().strip_prefix(HEADER)?.strip_suffix(FOOTER)?.split_whitespace().collect();
        RsaKeyPair::from_pkcs8(&STANDARD.decode(body).ok()?).ok().map(Self::new)
    }

    /// The key as a PEM document.
    pub fn to_pem(&self) -> String {
        let der = self.pair.as_der().expect("a key that was made or parsed has a DER form");
        let body = STANDARD.encode(der.as_ref());
        let lines = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>();
        format!("{HEADER}\n{}\n{FOOTER}\n", lines.join("\n"))
    }

    /// The key's name in tokens and in the JWKS. It follows from the key, and so stays the same between runs.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half as a JSON Web Key (RFC 7517).
    pub fn jwk(&self) -> Value {
        let public = self.pair.public_key();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "use": "sig", "kty": "RSA", "alg": "RS256", "kid": self.kid,
            "n": number(public.modulus().big_endian_without_leading_zero()),
            "e": number(public.exponent().big_endian_without_leading_zero()),
        })
    }

    pub(super) fn pair(&self) -> &RsaKeyPair {
        &self.pair
    }

    fn new(pair: RsaKeyPair) -> Self {
        let digest = digest::digest(&digest::SHA256, pair.public_key().as_ref());
        let name: String =
            URL_SAFE_NO_PAD.encode(digest).chars().filter(char::is_ascii_alphanumeric).take(27).collect();
        Self { pair, kid: format!("ins_{name}") }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The document that `/.well-known/jwks.json` serves.
pub fn jwks<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Value {
    json!({ "keys": keys.into_iter().map(SigningKey::jwk).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_being_saved() {
        let key = SigningKey::generate();
        let again = SigningKey::from_pem(&key.to_pem()).expect("it was just written");
        assert_eq!(key.jwk(), again.jwk());
        assert_eq!(key.jwk()["e"], "AQAB");
        assert!(SigningKey::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----").is_none());
    }
}

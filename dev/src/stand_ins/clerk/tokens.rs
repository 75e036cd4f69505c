use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use common::clock::Clock;
use serde_json::{Map, Value, json};

use super::SigningKey;

/// The issuer that follows from the publishable key of `cargo dev`.
pub(super) const ISSUER: &str = "https://clerk.localhost";
/// Says in the header that this is a session token and no other kind of Clerk's tokens.
const SESSION: &str = "cl_B7d4PD111AAA";

/// A Clerk session token in the making. By default it is what an honest Clerk would issue now to somebody without an
/// organization, valid for a minute, in version 2; everything can be changed, also into what no Clerk would issue.
#[derive(Debug, Clone)]
pub struct SessionToken {
    user: String,
    organization: Option<Organization>,
    version: u8,
    issuer: String,
    authorized_party: Option<String>,
    issued_at: Option<DateTime<Utc>>,
    ttl: TimeDelta,
    algorithm: Algorithm,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

#[derive(Debug, Clone)]
struct Organization {
    id: String,
    slug: String,
    role: String,
}

/// How a token is signed. Clerk only uses the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with PKCS #1 padding and SHA-256.
    Rs256,
    /// The same with SHA-384.
    Rs384,
    /// The same with SHA-512.
    Rs512,
    /// RSA with PSS padding and SHA-256.
    Ps256,
    /// HMAC with SHA-256, and the *public* key as its secret: fools those who believe the header.
    Hs256,
    /// No signature at all.
    None,
}

impl SessionToken {
    /// A token for a person, `user_…`.
    pub fn for_user(user: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            organization: None,
            version: 2,
            issuer: ISSUER.to_owned(),
            authorized_party: None,
            issued_at: None,
            ttl: TimeDelta::seconds(60),
            algorithm: Algorithm::Rs256,
            header: Map::new(),
            claims: Map::new(),
        }
    }

    /// The organization the session is active in; `role` in full, such as `org:admin`.
    #[must_use]
    pub fn organization(self, id: impl Into<String>, slug: impl Into<String>, role: impl Into<String>) -> Self {
        Self { organization: Some(Organization { id: id.into(), slug: slug.into(), role: role.into() }), ..self }
    }

    /// Claims in the older form: `org_id`, `org_role`, `org_slug`.
    #[must_use]
    pub fn v1(self) -> Self {
        Self { version: 1, ..self }
    }

    /// The claim `iss`.
    #[must_use]
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: issuer.into(), ..self }
    }

    /// The claim `azp`: the origin of the frontend.
    #[must_use]
    pub fn authorized_party(self, origin: impl Into<String>) -> Self {
        Self { authorized_party: Some(origin.into()), ..self }
    }

    /// The claims `iat` and `nbf`; without it, the moment of [`SessionToken::mint`].
    #[must_use]
    pub fn issued_at(self, moment: DateTime<Utc>) -> Self {
        Self { issued_at: Some(moment), ..self }
    }

    /// How long after its issue the token expires.
    #[must_use]
    pub fn ttl(self, ttl: TimeDelta) -> Self {
        Self { ttl, ..self }
    }

    /// Signs, and says so in the header, with another algorithm.
    #[must_use]
    pub fn algorithm(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    /// Adds or replaces a member of the header; null takes it away.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Adds or replaces a claim; null takes it away.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    pub fn mint(&self, key: &SigningKey) -> String {
        let header = json!({ "alg": self.algorithm.name(), "cat": SESSION, "kid": key.kid(), "typ": "JWT" });
        let header = overridden(header, &self.header).to_string();
        let claims = overridden(self.honest_claims(), &self.claims).to_string();
        sign(header.as_bytes(), claims.as_bytes(), self.algorithm, key)
    }

    fn honest_claims(&self) -> Value {
        let issued_at = self.issued_at.unwrap_or_else(|| Clock::system().now());
        let session = self.user.replacen("user_", "sess_", 1);
        let mut claims = json!({
            "iss": self.issuer, "sub": self.user, "sid": session,
            "iat": issued_at.timestamp(), "nbf": issued_at.timestamp(), "exp": (issued_at + self.ttl).timestamp(),
        });
        if let Some(origin) = &self.authorized_party {
            claims["azp"] = origin.as_str().into();
        }
        if self.version == 2 {
            claims["v"] = 2.into();
            claims["sts"] = "active".into();
        }
        match &self.organization {
            Some(Organization { id, slug, role }) if self.version == 2 => {
                claims["o"] = json!({ "id": id, "slg": slug, "rol": role.strip_prefix("org:").unwrap_or(role) });
            }
            Some(Organization { id, slug, role }) => {
                claims["org_id"] = id.as_str().into();
                claims["org_slug"] = slug.as_str().into();
                claims["org_role"] = role.as_str().into();
            }
            None => {}
        }
        claims
    }
}

/// Signs any header and claims, well-formed or not: `header.claims.signature`, each in base64url (RFC 7515).
pub fn sign(header: &[u8], claims: &[u8], algorithm: Algorithm, key: &SigningKey) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = match algorithm {
        Algorithm::Rs256 => rsa(&RSA_PKCS1_SHA256, key, &message),
        Algorithm::Rs384 => rsa(&RSA_PKCS1_SHA384, key, &message),
        Algorithm::Rs512 => rsa(&RSA_PKCS1_SHA512, key, &message),
        Algorithm::Ps256 => rsa(&RSA_PSS_SHA256, key, &message),
        Algorithm::Hs256 => {
            let public = key.jwk()["n"].as_str().unwrap_or_default().to_owned();
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, public.as_bytes()), message.as_bytes()).as_ref().to_vec()
        }
        Algorithm::None => Vec::new(),
    };
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn rsa(encoding: &'static dyn RsaEncoding, key: &SigningKey, message: &str) -> Vec<u8> {
    let mut signature = vec![0; key.pair().public_modulus_len()];
    key.pair()
        .sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature)
        .expect("the buffer is as long as the modulus");
    signature
}

fn overridden(mut members: Value, changes: &Map<String, Value>) -> Value {
    for (name, value) in changes {
        members[name] = value.clone();
    }
    if let Value::Object(members) = &mut members {
        members.retain(|name, value| !(value.is_null() && changes.contains_key(name)));
    }
    members
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Hs256 => "HS256",
            Self::None => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    fn part(token: &str, index: usize) -> Value {
        let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap_or_default()).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    #[test]
    fn an_honest_token_has_clerks_shape_and_a_valid_signature() {
        let key = SigningKey::generate();
        let at = DateTime::from_timestamp(1_800_000_000, 0).expect("in range");
        let token = SessionToken::for_user("user_1").organization("org_1", "one", "org:admin").issued_at(at).mint(&key);

        let (message, signature) = token.rsplit_once('.').expect("three parts");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.pair().public_key().as_ref())
            .verify(message.as_bytes(), &signature)
            .expect("it was signed with this key");
        assert_eq!(part(&token, 0)["kid"], key.kid());
        let expected = json!({
            "iss": ISSUER, "sub": "user_1", "sid": "sess_1", "iat": 1_800_000_000, "nbf": 1_800_000_000,
            "exp": 1_800_000_060, "v": 2, "sts": "active", "o": { "id": "org_1", "slg": "one", "rol": "admin" },
        });
        assert_eq!(part(&token, 1), expected);
    }

    #[test]
    fn the_older_form_and_any_change_can_be_had() {
        let key = SigningKey::generate();
        let token = SessionToken::for_user("user_1").organization("org_1", "one", "org:admin").v1();
        let token = token.claim("sid", Value::Null).claim("exp", "never").header("jku", "https://evil.example");
        let token = token.algorithm(Algorithm::None).mint(&key);
        assert!(token.ends_with('.'));
        assert_eq!((part(&token, 0)["alg"].as_str(), part(&token, 0)["jku"].is_string()), (Some("none"), true));
        let claims = part(&token, 1);
        assert_eq!((&claims["org_role"], &claims["exp"]), (&json!("org:admin"), &json!("never")));
        assert!(claims.get("sid").is_none() && claims.get("o").is_none());
    }
}

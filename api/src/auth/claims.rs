//! Clerk's session tokens, <https://clerk.com/docs/guides/sessions/session-tokens>: every rule that one must pass.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use common::{
    clock::Clock,
    config::ApiConfig,
    db::Identity,
    ids::{ClerkOrgId, ClerkUserId},
};
use jsonwebtoken::{Algorithm, crypto};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Value, value::RawValue};

use super::{
    jwks::{Jwks, JwksError},
    token_cache::{TokenCache, Validity, Verified},
};

/// No token of Clerk's comes near it; verifying one costs what its size costs.
const LONGEST: usize = 8 * 1024;
/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 5;
/// The end of the year 9999, in seconds. No honest time is later.
const END_OF_TIME: f64 = 253_402_300_800.0;
/// The categories, where one is given: of session tokens, and the one that says to ignore categories.
const CATEGORIES: [&str; 2] = ["cl_B7d4PD111AAA", "cl_I7d4PD111III"];

pub(crate) struct Verifier {
    issuer: String,
    authorized_parties: Vec<String>,
    jwks: Arc<Jwks>,
    token_cache: TokenCache,
    clock: Clock,
}

/// Why a token is refused. For the log, never for the bearer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("not a signed token: {0}")]
    Malformed(&'static str),
    #[error("header: {0}")]
    Header(&'static str),
    #[error("the signature is not valid")]
    Signature,
    #[error("claim exp is past")]
    Expired,
    #[error("claim {0}")]
    Claim(&'static str),
    #[error("the key cannot be had")]
    Key(#[from] JwksError),
}

impl TokenError {
    /// Its kind, as a label of a metric.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Header(_) => "header",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::Claim(_) => "claim",
            Self::Key(JwksError::UnknownKey) => "unknown_key",
            Self::Key(_) => "keys_unavailable",
        }
    }

    /// Whether the fault is on our side, so that the same token may do later.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Key(JwksError::Fetch(_) | JwksError::TooLarge | JwksError::NoKeys | JwksError::Waiting))
    }
}

impl Verifier {
    pub(crate) fn new(config: &ApiConfig, clock: Clock) -> reqwest::Result<Self> {
        Ok(Self {
            issuer: config.clerk.issuer.clone(),
            authorized_parties: config.authorized_parties.clone(),
            jwks: Arc::new(Jwks::new(&config.clerk.jwks_url, config.jwks_interval)?),
            token_cache: TokenCache::default(),
            clock,
        })
    }

    /// Who bears this token.
    pub(crate) async fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Malformed("too long"));
        }
        match self.token_cache.find(token) {
            Some(known) if Arc::ptr_eq(&known.key, &self.jwks.key(&known.kid).await?) => {
                known.valid.check(self.now())?;
                Ok(known.identity)
            }
            _ => {
                let verified = self.verify_anew(token).await?;
                // After the keys were waited for.
                let now = self.now();
                verified.valid.check(now)?;
                self.token_cache.keep(token, verified.clone(), now);
                Ok(verified.identity)
            }
        }
    }

    /// In seconds since 1970.
    fn now(&self) -> i64 {
        self.clock.now().timestamp()
    }

    async fn verify_anew(&self, token: &str) -> Result<Verified, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed("no signature"))?;
        let (header, claims) = message.split_once('.').ok_or(TokenError::Malformed("no claims"))?;
        let kid = decode::<Header>(header)?.key_id()?;
        let key = self.jwks.key(&kid).await?;
        let verified = crypto::verify(signature, message.as_bytes(), &key, Algorithm::RS256);
        if !verified.is_ok_and(|valid| valid) {
            return Err(TokenError::Signature);
        }
        let claims: Claims = decode(claims)?;
        Ok(Verified { valid: claims.validity()?, identity: self.identity(claims)?, kid, key })
    }

    fn identity(&self, claims: Claims) -> Result<Identity, TokenError> {
        if claims.iss.as_ref() != Some(&self.issuer) {
            return Err(TokenError::Claim(
                "iss is not our Clerk instance: compare CLERK_PUBLISHABLE_KEY, CLERK_ISSUER",
            ));
        }
        let azp = claims.azp.as_deref();
        if !self.authorized_parties.is_empty() && !self.authorized_parties.iter().any(|party| azp == Some(party)) {
            return Err(TokenError::Claim("azp is not in CLERK_AUTHORIZED_PARTIES"));
        }
        if claims.sid.as_deref().is_none_or(str::is_empty) {
            return Err(TokenError::Claim("sid is missing: not a session"));
        }
        if claims.sts.as_deref() == Some("pending") {
            return Err(TokenError::Claim("sts: the session is pending"));
        }
        let organization = claims.organization()?;
        let user = claims.sub.ok_or(TokenError::Claim("sub is missing"))?;
        Ok(Identity { user, organization, impersonator: claims.act.map(|act| act.sub) })
    }
}

impl Validity {
    /// Clocks may be apart by the leeway.
    fn check(self, now: i64) -> Result<(), TokenError> {
        if self.until <= now - LEEWAY {
            return Err(TokenError::Expired);
        }
        if self.from > now + LEEWAY {
            return Err(TokenError::Claim("nbf or iat is in the future"));
        }
        Ok(())
    }
}

/// A part of a token. Members that are read may not come twice, since two parsers could see two different tokens in it.
/// <https://www.rfc-editor.org/rfc/rfc7515#section-4>
fn decode<T: DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed("not base64url"))?;
    let text = str::from_utf8(&bytes).map_err(|_| TokenError::Malformed("not UTF-8"))?;
    // Serde would read a list as well, member by member.
    if !text.trim_start().starts_with('{') {
        return Err(TokenError::Malformed("not a JSON object"));
    }
    serde_json::from_str(text).map_err(|_| TokenError::Malformed("not JSON, or a member is of the wrong type or twice"))
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    cat: Option<String>,
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    jwk: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    jku: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    x5u: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    x5c: Option<IgnoredAny>,
}

/// A member that is there, whatever it holds: null as well.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IgnoredAny>, D::Error> {
    IgnoredAny::deserialize(deserializer).map(Some)
}

impl Header {
    /// Checks it and returns the id of the key. Keys come from the configured place only, whatever it says.
    fn key_id(self) -> Result<String, TokenError> {
        if self.alg != "RS256" {
            return Err(TokenError::Header("alg is not RS256"));
        }
        if self.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(TokenError::Header("typ is not JWT"));
        }
        if self.cat.is_some_and(|category| !CATEGORIES.contains(&category.as_str())) {
            return Err(TokenError::Header("cat is not that of a session"));
        }
        if [self.crit, self.jwk, self.jku, self.x5u, self.x5c].iter().any(Option::is_some) {
            return Err(TokenError::Header("crit or a key of its own"));
        }
        self.kid.filter(|kid| !kid.is_empty()).ok_or(TokenError::Header("kid is missing"))
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<ClerkUserId>,
    azp: Option<String>,
    sid: Option<String>,
    sts: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
    v: Option<Value>,
    /// The active organization in version 2.
    o: Option<Box<RawValue>>,
    /// The active organization in version 1.
    org_id: Option<Value>,
    /// Who acts as the user, if somebody does. <https://www.rfc-editor.org/rfc/rfc8693#section-4.1>
    act: Option<Actor>,
}

#[derive(Deserialize)]
struct Actor {
    sub: ClerkUserId,
}

#[derive(Deserialize)]
struct ActiveOrganization {
    id: Option<ClerkOrgId>,
}

impl Claims {
    /// When the token is valid: from the later of `nbf` and `iat`, as far as they are given. Parts of a second never make
    /// that longer.
    fn validity(&self) -> Result<Validity, TokenError> {
        let until = time(self.exp)?.ok_or(TokenError::Claim("exp is missing"))?.floor();
        let [nbf, iat] = [time(self.nbf)?, time(self.iat)?].map(|time| time.unwrap_or(0.0).ceil());
        #[expect(clippy::cast_possible_truncation, reason = "whole, and before the end of time")]
        Ok(Validity { from: nbf.max(iat) as i64, until: until as i64 })
    }

    /// Version 2 keeps it in `o`; any other version is version 1, where `o` means nothing.
    fn organization(&self) -> Result<Option<ClerkOrgId>, TokenError> {
        let no_id = TokenError::Claim("the organization is not an id");
        if self.v.as_ref().and_then(Value::as_i64) == Some(2) {
            let Some(raw) = &self.o else { return Ok(None) };
            let organization: Option<ActiveOrganization> = serde_json::from_str(raw.get()).map_err(|_| no_id)?;
            return Ok(organization.and_then(|organization| organization.id));
        }
        match &self.org_id {
            None => Ok(None),
            Some(id) => id.as_str().and_then(|id| id.parse().ok()).map(Some).ok_or(no_id),
        }
    }
}

/// A time in seconds, if the claim is there; not negative and within reason.
fn time(claim: Option<f64>) -> Result<Option<f64>, TokenError> {
    match claim {
        Some(time) if !(0.0..END_OF_TIME).contains(&time) => Err(TokenError::Claim("exp, nbf or iat is not a time")),
        time => Ok(time),
    }
}

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
use serde_json::Value;

use super::{
    jwks::{Jwks, JwksError},
    strict_json,
    token_cache::{TokenCache, Validity, Verified},
};

/// No token of Clerk's comes near it; verifying one costs what its size costs.
const LONGEST: usize = 8 * 1024;
/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 5;
/// The end of the year 9999, in seconds. No honest time is later.
const END_OF_TIME: i64 = 253_402_300_800;
/// The categories, where one is given: of session tokens, and the one that says to ignore categories.
const CATEGORIES: [&str; 2] = ["cl_B7d4PD111AAA", "cl_I7d4PD111III"];

/// Verifies session tokens.
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
        matches!(self, Self::Key(JwksError::Fetch(_) | JwksError::NoKeys | JwksError::Waiting))
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
        let kid = key_id(&decode(header)?)?;
        let key = self.jwks.key(&kid).await?;
        let verified = crypto::verify(signature, message.as_bytes(), &key, Algorithm::RS256);
        if !verified.is_ok_and(|valid| valid) {
            return Err(TokenError::Signature);
        }
        let claims = decode(claims)?;
        Ok(Verified { valid: validity(&claims)?, identity: self.identity(&claims)?, kid, key })
    }

    fn identity(&self, claims: &Value) -> Result<Identity, TokenError> {
        if claims["iss"].as_str() != Some(&self.issuer) {
            return Err(TokenError::Claim("iss is not our Clerk instance"));
        }
        let azp = claims["azp"].as_str();
        if !self.authorized_parties.is_empty() && !self.authorized_parties.iter().any(|party| azp == Some(party)) {
            return Err(TokenError::Claim("azp is not in CLERK_AUTHORIZED_PARTIES"));
        }
        if claims["sid"].as_str().is_none_or(str::is_empty) {
            return Err(TokenError::Claim("sid is missing: not a session"));
        }
        match &claims["sts"] {
            Value::Null => {}
            Value::String(status) if status != "pending" => {}
            _ => return Err(TokenError::Claim("sts: the session is pending")),
        }
        let user = claims["sub"].as_str().and_then(|sub| sub.parse().ok());
        Ok(Identity {
            user: user.ok_or(TokenError::Claim("sub is not a user"))?,
            organization: organization(claims)?,
            impersonator: impersonator(claims)?,
        })
    }
}

/// When a token is valid: from the later of `nbf` and `iat`, as far as they are given.
fn validity(claims: &Value) -> Result<Validity, TokenError> {
    let until = time(claims, "exp")?.ok_or(TokenError::Claim("exp is missing"))?;
    let from = time(claims, "nbf")?.max(time(claims, "iat")?).unwrap_or(0);
    Ok(Validity { from, until })
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

fn decode(part: &str) -> Result<Value, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed("not base64url"))?;
    let value = strict_json::parse(&bytes).map_err(|_| TokenError::Malformed("not plain JSON"))?;
    if value.is_object() { Ok(value) } else { Err(TokenError::Malformed("not a JSON object")) }
}

/// Checks the header and returns the id of the key. Keys come from the configured place only, whatever it says.
fn key_id(header: &Value) -> Result<String, TokenError> {
    if header["alg"].as_str() != Some("RS256") {
        return Err(TokenError::Header("alg is not RS256"));
    }
    match &header["typ"] {
        Value::Null => {}
        Value::String(typ) if typ.eq_ignore_ascii_case("JWT") => {}
        _ => return Err(TokenError::Header("typ is not JWT")),
    }
    match &header["cat"] {
        Value::Null => {}
        Value::String(category) if CATEGORIES.contains(&category.as_str()) => {}
        _ => return Err(TokenError::Header("cat is not that of a session")),
    }
    if ["crit", "jwk", "jku", "x5u", "x5c"].iter().any(|member| header.get(member).is_some()) {
        return Err(TokenError::Header("crit or a key of its own"));
    }
    let kid = header["kid"].as_str().filter(|kid| !kid.is_empty());
    kid.map(str::to_owned).ok_or(TokenError::Header("kid is missing"))
}

/// A time in seconds, if the claim is there; whole and within reason.
fn time(claims: &Value, name: &'static str) -> Result<Option<i64>, TokenError> {
    match &claims[name] {
        Value::Null => Ok(None),
        value => match value.as_i64() {
            Some(time) if (0..END_OF_TIME).contains(&time) => Ok(Some(time)),
            _ => Err(TokenError::Claim("exp, nbf or iat is not a time")),
        },
    }
}

/// The active organization. Version 2 keeps it in `o`; any other version is version 1, where `o` means nothing.
fn organization(claims: &Value) -> Result<Option<ClerkOrgId>, TokenError> {
    let id = if claims["v"].as_i64() == Some(2) { &claims["o"]["id"] } else { &claims["org_id"] };
    match id {
        Value::Null => Ok(None),
        Value::String(id) => id.parse().map(Some).map_err(|_| TokenError::Claim("the organization is not an id")),
        _ => Err(TokenError::Claim("the organization is not an id")),
    }
}

/// Who acts as the user, if somebody does. <https://www.rfc-editor.org/rfc/rfc8693#section-4.1>
fn impersonator(claims: &Value) -> Result<Option<ClerkUserId>, TokenError> {
    match &claims["act"] {
        Value::Null => Ok(None),
        act => {
            let sub = act["sub"].as_str().and_then(|sub| sub.parse().ok());
            sub.map(Some).ok_or(TokenError::Claim("act names nobody"))
        }
    }
}

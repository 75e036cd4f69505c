use std::{fmt, str::FromStr};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};

use super::Settings;
use crate::{ids::ClerkInstanceId, secrets::Secret};

/// Where an issuer's public keys are. <https://www.rfc-editor.org/rfc/rfc8615>
const WELL_KNOWN: &str = "/.well-known/jwks.json";

/// What a Clerk instance is for. Its keys say so in their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClerkEnvironment {
    /// `pk_test_…`, `sk_test_…`
    Development,
    /// `pk_live_…`, `sk_live_…`
    Production,
}

impl ClerkEnvironment {
    fn of(key: &str) -> Option<Self> {
        match key.split('_').nth(1)? {
            "test" => Some(Self::Development),
            "live" => Some(Self::Production),
            _ => None,
        }
    }
}

/// Where session tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClerkFrontend {
    /// The claim `iss` of every token.
    pub issuer: String,
    /// Where the public keys are.
    pub jwks_url: String,
    /// Of the publishable key, if there is one.
    pub environment: Option<ClerkEnvironment>,
}

impl ClerkFrontend {
    /// Issuer and keys follow from the publishable key. `CLERK_JWKS_URL` overrides where the keys are and `CLERK_ISSUER` who
    /// issues the tokens, as when Clerk's Frontend API is behind a proxy: <https://clerk.com/docs/guides/dashboard/dns-domains/proxy-fapi>.
    /// Without a publishable key, either tells the other.
    pub(super) fn read(settings: &mut Settings) -> Option<Self> {
        let remedy = "copy it from Clerk's dashboard, API keys (or set CLERK_JWKS_URL)";
        let jwks_url = settings.optional("CLERK_JWKS_URL", super::http_url);
        let issuer = settings.optional("CLERK_ISSUER", super::http_url);
        let key = match (&jwks_url, &issuer) {
            (None, None) => settings.required("CLERK_PUBLISHABLE_KEY", remedy, str::parse::<PublishableKey>),
            _ => settings.optional("CLERK_PUBLISHABLE_KEY", str::parse),
        };
        let environment = key.as_ref().map(|key| key.environment);
        let host = key.map(|key| format!("https://{}", key.host));
        let well_known = |url: &String| url.strip_suffix(WELL_KNOWN).map(str::to_owned);
        let Some(issuer) = issuer.clone().or_else(|| host.clone()).or_else(|| jwks_url.as_ref().and_then(well_known))
        else {
            if jwks_url.is_some() {
                settings.report(
                    "CLERK_JWKS_URL",
                    "does not tell the issuer; set CLERK_PUBLISHABLE_KEY or CLERK_ISSUER too",
                );
            }
            return None;
        };
        let jwks_url = jwks_url.unwrap_or_else(|| format!("{}{WELL_KNOWN}", host.as_ref().unwrap_or(&issuer)));
        Some(Self { issuer, jwks_url, environment })
    }
}

/// How Clerk's Backend API is reached.
#[derive(Debug, Clone)]
pub struct ClerkBackend {
    pub url: String,
    /// Lets us in, and says which instance is meant.
    pub secret_key: Secret,
    /// Which instance that has to be, if told.
    pub instance: Option<ClerkInstanceId>,
}

impl ClerkBackend {
    /// What the key's instance is for, as far as the key says so.
    pub fn environment(&self) -> Option<ClerkEnvironment> {
        ClerkEnvironment::of(self.secret_key.expose())
    }

    /// Nothing, without a secret key: that API is only used to repair what webhooks missed.
    pub(super) fn read(settings: &mut Settings, instance: Option<ClerkInstanceId>) -> Option<Self> {
        let secret_key = settings.optional("CLERK_SECRET_KEY", |key| match key.split_once('_') {
            Some(("sk", rest)) if rest.len() > 8 => Ok(Secret::new(key)),
            _ => Err("must be a secret key, sk_test_… or sk_live_…, from Clerk's dashboard, API keys"),
        });
        let url = settings.optional("CLERK_API_URL", super::http_url);
        let url = url.unwrap_or_else(|| "https://api.clerk.com".to_owned());
        Some(Self { url, secret_key: secret_key?, instance })
    }
}

/// Which Clerk instance is ours, if told.
pub(super) fn instance(settings: &mut Settings) -> Option<ClerkInstanceId> {
    settings.optional("CLERK_INSTANCE_ID", |id| match id.parse() {
        Ok(instance) if id.starts_with("ins_") => Ok(instance),
        _ => Err("must be the id of a Clerk instance, ins_…; norvalt doctor shows the key's"),
    })
}

/// Clerk leaves the padding out, others do not.
const KEY_ENCODING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `pk_test_…` or `pk_live_…`: base64 of the frontend API's host and a dollar sign.
/// <https://clerk.com/docs/guides/how-clerk-works/overview>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishableKey {
    /// The host of Clerk's frontend API for this application.
    pub host: String,
    /// What the instance is for.
    pub environment: ClerkEnvironment,
}

impl FromStr for PublishableKey {
    type Err = &'static str;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        let encoded = key.strip_prefix("pk_test_").or_else(|| key.strip_prefix("pk_live_"));
        let decoded =
            encoded.and_then(|text| KEY_ENCODING.decode(text).ok()).and_then(|bytes| String::from_utf8(bytes).ok());
        let environment = ClerkEnvironment::of(key);
        let is_host = |host: &&str| {
            host.contains('.') && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'))
        };
        decoded
            .as_deref()
            .and_then(|text| text.strip_suffix('$'))
            .filter(is_host)
            .zip(environment)
            .map(|(host, environment)| Self { host: host.to_owned(), environment })
            .ok_or("must be a publishable key, pk_test_… or pk_live_…, exactly as Clerk's dashboard shows it")
    }
}

/// The signing secrets of the webhook endpoint: one, or during a rotation several. Never empty.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecrets(Vec<Secret>);

impl WebhookSecrets {
    /// Each secret, as `whsec_…`.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }
}

impl FromStr for WebhookSecrets {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let secret = |secret: &str| {
            let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
            // Svix makes them 24 bytes long, and allows 24 to 64.
            (24..=64).contains(&key.len()).then(|| Secret::new(secret))
        };
        let secrets: Option<Vec<_>> = text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(secret).collect();
        match secrets {
            Some(secrets) if !secrets.is_empty() => Ok(Self(secrets)),
            _ => Err("must be one or more signing secrets, whsec_…, separated by commas"),
        }
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} secrets]", self.0.len())
    }
}

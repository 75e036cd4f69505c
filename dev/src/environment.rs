use std::{env, net::SocketAddr};

use base64::{Engine, engine::general_purpose::STANDARD};
use common::config::{ConfigError, Settings};
use dev::{
    clerk::INSTANCE_ID,
    files::{self, FileError},
    random,
};

use crate::{directory::DevDirectory, ports::Addresses};

/// `pk_test_` and, in base64, `clerk.localhost$`: tokens are issued by `https://clerk.localhost`.
const PUBLISHABLE_KEY: &str = "pk_test_Y2xlcmsubG9jYWxob3N0JA==";

/// Of the operators' pages, which only this host can reach.
pub(crate) const WORKER_ADMIN_PASSWORD: &str = "norvalt-operator";

/// What the person set, in the environment or in `.env`.
pub(crate) struct Wishes {
    /// A database to use instead of a private one.
    pub(crate) database_url: Option<String>,
    /// Where the API should listen.
    pub(crate) port: u16,
    /// Where the API should serve its metrics.
    pub(crate) api_admin: Option<SocketAddr>,
    /// Where the worker should.
    pub(crate) worker_admin: Option<SocketAddr>,
    /// The first frontend whose tokens the API accepts, if it does not accept all.
    pub(crate) authorized_party: Option<String>,
    /// Settings that suit a terminal, as far as the person has not chosen others.
    comforts: Vec<(&'static str, &'static str)>,
}

/// The output of the processes is a pipe, but a person reads it; they must have ended before they are killed;
/// and no balancer has to be told first.
const COMFORTS: [(&str, &str); 3] = [("LOG_FORMAT", "text"), ("SHUTDOWN_SECONDS", "10"), ("DRAIN_SECONDS", "0")];

impl Wishes {
    /// Reads them as the API and the worker will.
    pub(crate) fn read() -> Result<Self, ConfigError> {
        let mut settings = Settings::from_env();
        let wishes = Self {
            database_url: settings.optional("DATABASE_URL", str::parse),
            port: settings
                .optional("PORT", |port| port.parse().map_err(|_| "must be a port number, such as 8000"))
                .unwrap_or(8000),
            api_admin: settings.optional("API_ADMIN_ADDRESS", str::parse),
            worker_admin: settings.optional("WORKER_ADMIN_ADDRESS", str::parse),
            authorized_party: settings.optional("CLERK_AUTHORIZED_PARTIES", str::parse::<String>).and_then(|parties| {
                parties.split(',').map(str::trim).find(|party| !party.is_empty()).map(str::to_owned)
            }),
            comforts: COMFORTS
                .into_iter()
                .filter(|(name, _)| settings.optional(name, str::parse::<String>).is_none())
                .collect(),
        };
        settings.finish(Some(wishes))
    }

    /// What to do about a database that remembers a migration otherwise than it is now.
    pub(crate) fn remedy(&self) -> &'static str {
        if self.database_url.is_some() {
            "If you edited a migration that was applied already: undo that, or start with an empty database"
        } else {
            "If you edited a migration that was applied already: undo that, or run `cargo dev --reset`"
        }
    }
}

/// The stand-in's secrets: made once, so that what was noted or signed in an earlier run stays valid.
pub(crate) struct Secrets {
    pub(crate) clerk_secret_key: String,
    pub(crate) webhook_secret: String,
}

impl Secrets {
    pub(crate) fn keep(directory: &DevDirectory) -> Result<Self, FileError> {
        let secret_key = || format!("sk_test_{}", random::clerk_id("dev"));
        let webhook_secret = || format!("whsec_{}", STANDARD.encode(random::bytes::<24>()));
        Ok(Self {
            clerk_secret_key: files::read_or_create(&directory.join("clerk.secret-key"), secret_key)?,
            webhook_secret: files::read_or_create(&directory.join("clerk.webhook-secret"), webhook_secret)?,
        })
    }
}

/// What the processes get in addition to this process' own environment.
pub(crate) fn for_processes(
    wishes: &Wishes,
    secrets: &Secrets,
    database_url: &str,
    addresses: &Addresses,
    clerk_url: &str,
    binaries: &str,
) -> Vec<(String, String)> {
    let mut environment = vec![
        ("DATABASE_URL", database_url.to_owned()),
        ("PORT", addresses.port.to_string()),
        ("API_ADMIN_ADDRESS", addresses.api_admin.to_string()),
        ("WORKER_ADMIN_ADDRESS", addresses.worker_admin.to_string()),
        ("WORKER_ADMIN_PASSWORD", WORKER_ADMIN_PASSWORD.to_owned()),
        ("NORVALT_BIN", binaries.to_owned()),
        ("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY.to_owned()),
        ("CLERK_JWKS_URL", format!("{clerk_url}/.well-known/jwks.json")),
        ("CLERK_API_URL", clerk_url.to_owned()),
        ("CLERK_SECRET_KEY", secrets.clerk_secret_key.clone()),
        ("CLERK_INSTANCE_ID", INSTANCE_ID.to_owned()),
        ("CLERK_WEBHOOK_SECRET", secrets.webhook_secret.clone()),
    ];
    environment.extend(wishes.comforts.iter().map(|(name, value)| (*name, (*value).to_owned())));
    if let Some(exceptions) = around_proxies() {
        environment.extend([("NO_PROXY", exceptions.clone()), ("no_proxy", exceptions)]);
    }
    environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Behind a company's proxy, the way to this very host must not lead through it.
fn around_proxies() -> Option<String> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].into_iter().find_map(variable)?;
    let already = variable("NO_PROXY").or_else(|| variable("no_proxy"));
    Some(already.into_iter().chain(["127.0.0.1,localhost".to_owned()]).collect::<Vec<_>>().join(","))
}

use std::{env, io::IsTerminal};

use common::{
    config::{ConfigError, PublishableKey, Settings, WebhookSecrets},
    db::DatabaseUrl,
    secrets::Keyring,
};
use dev::{
    console::Console,
    files::{self, FileError},
    random,
    stand_ins::clerk::INSTANCE_ID,
};

use crate::{
    Clerk,
    directory::DevDirectory,
    outside::StandIns,
    ports::{Addresses, WantedAddresses},
    secrets::Secrets,
};

/// `pk_test_` and, in base64, `clerk.localhost$`: tokens are issued by `https://clerk.localhost`.
const PUBLISHABLE_KEY: &str = "pk_test_Y2xlcmsubG9jYWxob3N0JA==";

/// Of the addresses that customers' mails are forwarded to. RFC 2606 keeps it from ever receiving any.
pub(crate) const INBOUND_DOMAIN: &str = "inn.test";
/// Of the operators' pages, which only this host can reach.
pub(crate) const WORKER_ADMIN_PASSWORD: &str = "norvalt-operator";

/// What the person set, in the environment or in `.env`.
pub(crate) struct Overrides {
    /// Who says who people are.
    pub(crate) clerk: Clerk,
    /// A database to use instead of a private one.
    pub(crate) database_url: Option<String>,
    /// Where the processes should listen.
    pub(crate) addresses: WantedAddresses,
    /// Whether the operators' pages have a password of the person's.
    pub(crate) has_admin_password: bool,
    /// Whether stored secrets are sealed with keys of the person's.
    pub(crate) has_secrets_keys: bool,
    /// The first frontend whose tokens the API accepts, if it does not accept all.
    pub(crate) authorized_party: Option<String>,
    /// Of the Clerk instance that the person has, where it counts.
    publishable_key: Option<String>,
    /// Variables that have a value and do not count.
    ignored: Vec<String>,
    /// Settings that suit a terminal, as far as the person has not chosen others.
    comforts: Vec<(&'static str, &'static str)>,
}

/// The output of the processes is a pipe, but a person reads it; they must have ended before they are killed;
/// and no balancer has to be told first.
const COMFORTS: [(&str, &str); 4] = [
    ("LOG_FORMAT", "brief"),
    ("SHUTDOWN_SECONDS", "10"),
    ("DRAIN_SECONDS", "0"),
    // Where a dashboard that is being developed runs, and the next one while that port is taken.
    ("CORS_ORIGINS", "http://localhost:3000,http://localhost:3001,http://127.0.0.1:3000,http://127.0.0.1:3001"),
];

/// What of Clerk's settings counts for the stand-in too.
const ALSO_OF_THE_STAND_IN: [&str; 2] = ["CLERK_AUTHORIZED_PARTIES", "CLERK_SYNC_HOURS"];

impl Overrides {
    /// Reads them as the API and the worker will.
    pub(crate) fn read(clerk: Clerk) -> Result<Self, ConfigError> {
        let mut settings = Settings::from_env();
        let mut publishable_key = None;
        if clerk == Clerk::Real {
            let remedy = "copy it from Clerk's dashboard, API keys";
            settings.required("CLERK_PUBLISHABLE_KEY", remedy, str::parse::<PublishableKey>);
            publishable_key = settings.optional("CLERK_PUBLISHABLE_KEY", str::parse::<String>);
            let remedy = "copy the signing secret of the endpoint from Clerk's dashboard, Webhooks";
            settings.required("CLERK_WEBHOOK_SECRET", remedy, str::parse::<WebhookSecrets>);
        }
        let overrides = Self {
            clerk,
            database_url: database_url(clerk, &mut settings),
            addresses: WantedAddresses {
                port: settings
                    .optional("PORT", |port| port.parse().map_err(|_| "must be a port number, such as 8000"))
                    .unwrap_or(8000),
                api_admin: settings.optional("API_ADMIN_ADDRESS", str::parse),
                worker_admin: settings.optional("WORKER_ADMIN_ADDRESS", str::parse),
            },
            has_admin_password: settings.optional("WORKER_ADMIN_PASSWORD", str::parse::<String>).is_some(),
            has_secrets_keys: settings.optional("SECRETS_KEYS", str::parse::<Keyring>).is_some(),
            authorized_party: settings.optional("CLERK_AUTHORIZED_PARTIES", str::parse::<String>).and_then(|parties| {
                parties.split(',').map(str::trim).find(|party| !party.is_empty()).map(str::to_owned)
            }),
            publishable_key,
            ignored: ignored(clerk, &settings),
            comforts: COMFORTS
                .into_iter()
                .filter(|(name, _)| settings.optional(name, str::parse::<String>).is_none())
                .collect(),
        };
        settings.finish(Some(overrides))
    }

    /// Says which variables do not count, and how they would.
    pub(crate) fn report_ignored(&self, console: &Console) {
        for name in &self.ignored {
            let why = match self.clerk {
                Clerk::StandIn => "the stand-in for Clerk has its own; cargo dev --clerk real uses yours",
                Clerk::Real => "your Clerk gets a private database",
            };
            console.say("dev", &format!("ignoring {name}, which is set in {}: {why}", source(name)));
        }
    }

    /// The private database: what one Clerk tells must not meet what the other does.
    pub(crate) fn private_database(&self) -> &'static str {
        match self.clerk {
            Clerk::StandIn => "norvalt",
            Clerk::Real => "norvalt_clerk",
        }
    }

    /// Who `cargo dev` is here, in the mark of each database that it makes.
    pub(crate) fn owner(&self, directory: &DevDirectory) -> Result<String, FileError> {
        match &self.publishable_key {
            Some(key) => Ok(format!("the Clerk instance of {key}")),
            None => files::read_or_create(&directory.join("database.owner"), || random::clerk_id("dev")),
        }
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

/// Where a variable is set, for a person.
pub(crate) fn source(name: &str) -> &'static str {
    if env::var_os(name).is_some() { "the environment" } else { ".env" }
}

/// What the person's own Clerk says must not get into a database that anybody else uses.
fn database_url(clerk: Clerk, settings: &mut Settings) -> Option<String> {
    if clerk == Clerk::Real {
        return None;
    }
    // Its own parser knows what to advise.
    settings.optional("DATABASE_URL", str::parse::<DatabaseUrl>)?;
    let url = settings.optional("DATABASE_URL", str::parse::<String>)?;
    Some(url.replacen("postgresql+asyncpg://", "postgresql://", 1))
}

fn ignored(clerk: Clerk, settings: &Settings) -> Vec<String> {
    let is_ignored = |name: &&str| match clerk {
        Clerk::StandIn => name.starts_with("CLERK_") && !ALSO_OF_THE_STAND_IN.contains(name),
        Clerk::Real => *name == "DATABASE_URL",
    };
    let mut ignored: Vec<String> = settings.set().filter(is_ignored).map(str::to_owned).collect();
    ignored.sort();
    ignored
}

/// What the processes get in addition to this process' own environment.
pub(crate) fn for_processes(
    overrides: &Overrides,
    secrets: &Secrets,
    database_url: &str,
    addresses: &Addresses,
    stand_ins: &StandIns,
    binaries: &str,
) -> Vec<(String, String)> {
    let mut environment = vec![
        ("DATABASE_URL", database_url.to_owned()),
        ("PORT", addresses.port.to_string()),
        ("API_ADMIN_ADDRESS", addresses.api_admin.to_string()),
        ("WORKER_ADMIN_ADDRESS", addresses.worker_admin.to_string()),
        ("NORVALT_BIN", binaries.to_owned()),
    ];
    if !overrides.has_admin_password {
        environment.push(("WORKER_ADMIN_PASSWORD", WORKER_ADMIN_PASSWORD.to_owned()));
    }
    if !overrides.has_secrets_keys {
        environment.push(("SECRETS_KEYS", secrets.keys.clone()));
    }
    environment.extend([
        ("PUBLIC_URL", format!("http://127.0.0.1:{}", addresses.port)),
        ("INBOUND_DOMAIN", INBOUND_DOMAIN.to_owned()),
        ("FACEBOOK_APP_ID", stand_ins.facebook_app.clone()),
        ("FACEBOOK_APP_SECRETS", secrets.facebook.clone()),
        ("FACEBOOK_VERIFY_TOKEN", secrets.facebook.clone()),
        ("FACEBOOK_GRAPH_URL", stand_ins.facebook.api_url()),
        ("FACEBOOK_LOGIN_URL", stand_ins.facebook.login_url()),
        ("TURNSTILE_URL", stand_ins.turnstile.url()),
        ("DNS_URL", stand_ins.dns.query_url()),
    ]);
    environment.extend(for_messages(secrets, stand_ins));
    environment.extend(stand_ins.mailbox.report_settings());
    if let Some(stand_in) = &stand_ins.clerk {
        // An empty value counts as none, also over `.env`.
        environment.extend(overrides.ignored.iter().map(|name| (name.as_str(), String::new())));
        environment.extend([
            ("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY.to_owned()),
            ("CLERK_JWKS_URL", stand_in.jwks_url()),
            ("CLERK_API_URL", stand_in.url()),
            ("CLERK_SECRET_KEY", secrets.clerk_secret_key.clone()),
            ("CLERK_INSTANCE_ID", INSTANCE_ID.to_owned()),
            ("CLERK_WEBHOOK_SECRET", secrets.webhook_secret.clone()),
        ]);
    }
    if std::io::stdout().is_terminal() {
        environment.push(("CLICOLOR_FORCE", "1".to_owned()));
    }
    environment.extend(overrides.comforts.iter().map(|(name, value)| (*name, (*value).to_owned())));
    if let Some(exceptions) = around_proxies() {
        environment.extend([("NO_PROXY", exceptions.clone()), ("no_proxy", exceptions)]);
    }
    environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Nothing that a developer's customers shall get leaves this host, whatever `.env` says.
fn for_messages(secrets: &Secrets, stand_ins: &StandIns) -> [(&'static str, String); 14] {
    [
        ("EMAIL_PROVIDER", "smtp".to_owned()),
        ("EMAIL_FROM", "svar@norvalt.test".to_owned()),
        ("SMTP_URL", stand_ins.mailbox.smtp_url().to_owned()),
        ("INBOUND_MAIL_SECRETS", secrets.inbound_mail.clone()),
        ("SMS_PROVIDER", "twilio".to_owned()),
        ("SMS_FROM", "+4759440000".to_owned()),
        ("SMS_API_URL", stand_ins.mailbox.url()),
        ("OWN_ACCOUNTS_API_URL", stand_ins.mailbox.url()),
        ("OWN_ACCOUNTS_SMTP_URL", stand_ins.mailbox.smtp_url().to_owned()),
        ("TWILIO_ACCOUNT_SID", stand_ins.mailbox.account().sid.clone()),
        ("TWILIO_AUTH_TOKEN", secrets.twilio.clone()),
        ("ASSISTANT", "anthropic".to_owned()),
        ("ASSISTANT_API_KEY", secrets.assistant.clone()),
        ("ASSISTANT_URL", stand_ins.assistant.url()),
    ]
}

/// Behind a company's proxy, the way to this very host must not lead through it.
fn around_proxies() -> Option<String> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].into_iter().find_map(variable)?;
    let already = variable("NO_PROXY").or_else(|| variable("no_proxy"));
    Some(already.into_iter().chain(["127.0.0.1,localhost".to_owned()]).collect::<Vec<_>>().join(","))
}

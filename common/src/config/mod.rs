//! Configuration from the environment. Everything that is wrong is reported at start, all of it at once.

mod clerk;
mod clients;
mod env_file;
mod operators;
mod outgoing;
mod queues;
mod senders;
mod settings;
mod smtp_server;
mod telemetry;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

pub use clerk::{ClerkBackend, ClerkEnvironment, ClerkFrontend, PublishableKey, WebhookSecrets};
pub use clients::ClientLimits;
pub use operators::Operators;
pub use outgoing::{
    Access, AssistantProvider, AssistantSettings, EmailProvider, EmailSettings, HttpGateway, Outgoing, SmsProvider,
    SmsSettings,
};
pub(crate) use outgoing::{sms_sender, twilio_account};
pub use queues::{QueueLimit, Rate, default_concurrency, spares_others};
pub use senders::{MailSenders, MetaApp, MetaLogin, Outside, Senders};
pub use settings::{ConfigError, Settings};
pub use smtp_server::{SmtpLogin, SmtpSecurity, SmtpServer};

use reqwest::Url;

pub use crate::telemetry::TelemetryConfig;
use crate::{db::DatabaseUrl, ids::ClerkInstanceId, input::is_origin, secrets::Keyring};

const JWKS_INTERVAL: Duration = Duration::from_secs(10);

/// What the API needs.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Where the data is.
    pub database_url: DatabaseUrl,
    /// A hot standby that lists are read from while it shows everything, if there is one.
    pub read_database_url: Option<DatabaseUrl>,
    /// Connections to it, at most, and to the standby as many.
    pub database_connections: u32,
    /// The keys of stored secrets; none, if not told.
    pub keyring: Keyring,
    /// The TCP port to serve on.
    pub port: u16,
    /// Where to serve metrics, if anywhere.
    pub admin_address: Option<SocketAddr>,
    /// Who issues session tokens and where their keys are.
    pub clerk: ClerkFrontend,
    /// The keys are fetched at most once in this time: tokens with made-up key ids must not become traffic.
    pub jwks_interval: Duration,
    /// Frontends whose tokens are accepted (the claim `azp`); all, if empty.
    pub authorized_parties: Vec<String>,
    /// The secrets that webhooks may be signed with.
    pub webhook_secrets: WebhookSecrets,
    /// Whose events are applied, if told; those of another Clerk instance are kept apart.
    pub clerk_instance: Option<ClerkInstanceId>,
    /// Browser origins that may call the API; `*` in one stands for any run of letters, digits and hyphens.
    pub cors_origins: Vec<String>,
    /// Where browsers and senders reach this API, without a slash at the end: what forms and web hooks are addressed by.
    pub public_url: Option<String>,
    /// The domain of the addresses that customers' mails are forwarded to.
    pub inbound_domain: Option<String>,
    /// How whoever passes inquiries on shows that it is them.
    pub senders: Senders,
    /// Whether workers have an assistant that they can ask.
    pub has_assistant: bool,
    /// Proxies in front of this process, each of which adds to `X-Forwarded-For` where a request came from.
    pub trusted_proxies: u32,
    /// Bytes that a dealership may write in a day through this process.
    pub dealership_quota: u64,
    /// Bytes of forms, mails and ADF documents that are taken for a dealership in a day through this process.
    pub inbound_quota: u64,
    /// What clients may take up.
    pub clients: ClientLimits,
    /// How long to go on serving after SIGTERM, until balancers have seen that the process is not ready.
    pub drain: Duration,
    /// How long requests may take to finish after SIGTERM; includes `drain`.
    pub shutdown: Duration,
}

/// What the worker needs.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Where the data and the queue are.
    pub database_url: DatabaseUrl,
    /// The keys of stored secrets; none, if not told.
    pub keyring: Keyring,
    /// Connections for jobs, at most, two of which are for what the worker writes down about them.
    pub connections: u32,
    /// How many jobs of one queue run at once in this process, unless `queue_limits` says otherwise.
    pub concurrency: u32,
    /// What single queues may do.
    pub queue_limits: BTreeMap<String, QueueLimit>,
    /// How long a claim holds without renewal: a vanished worker's jobs are claimable again after it.
    pub lease: Duration,
    /// How often to look for work that was not announced.
    pub poll: Duration,
    /// Clerk's Backend API, when there is a secret key for it.
    pub clerk: Option<ClerkBackend>,
    /// Whom else jobs ask.
    pub outside: Outside,
    /// Through whom messages go out, and who writes them.
    pub outgoing: Outgoing,
    /// Where browsers and providers reach the API, without a slash at the end.
    pub public_url: Option<String>,
    /// How often to compare what is known with what that API says.
    pub sync_interval: Duration,
    /// How long jobs may take to finish after SIGTERM.
    pub shutdown: Duration,
    /// Where to serve metrics, health and the operators' pages, if anywhere.
    pub admin_address: Option<SocketAddr>,
    /// Who may see those pages; without any there are none.
    pub operators: Operators,
}

/// What the command line needs for every command that touches the database.
#[derive(Debug, Clone)]
pub struct CliConfig {
    /// Where the data is.
    pub database_url: DatabaseUrl,
    /// The keys of stored secrets; none, if not told.
    pub keyring: Keyring,
    /// Clerk's Backend API, when there is a secret key for it.
    pub clerk: Option<ClerkBackend>,
    /// Which Clerk instance the database has to belong to, if told.
    pub clerk_instance: Option<ClerkInstanceId>,
    /// The domain of the addresses that customers' mails are forwarded to.
    pub inbound_domain: Option<String>,
}

impl ApiConfig {
    /// Reads the API's settings.
    pub fn read(s: &mut Settings) -> Result<Self, ConfigError> {
        let database_url = database_url(s);
        let read_database_url = s.optional("READ_DATABASE_URL", str::parse);
        let keyring = keyring(s);
        let clerk = ClerkFrontend::read(s);
        let remedy = "copy the signing secret of the endpoint from Clerk's dashboard, Webhooks";
        let webhook_secrets = s.required("CLERK_WEBHOOK_SECRET", remedy, str::parse::<WebhookSecrets>);
        let clerk_instance = clerk::instance(s);
        let authorized_parties = s.optional("CLERK_AUTHORIZED_PARTIES", authorized_parties).unwrap_or_default();
        let cors_origins = s.optional("CORS_ORIGINS", origins).unwrap_or_default();
        let port = s.optional("PORT", port).unwrap_or(8000);
        let admin_address = s.optional("API_ADMIN_ADDRESS", address);
        let database_connections = s.number("DATABASE_CONNECTIONS", 8, 2..=500);
        let public_url = s.optional("PUBLIC_URL", http_url);
        let inbound_domain = s.optional("INBOUND_DOMAIN", domain);
        let senders = Senders::read(s);
        let has_assistant = outgoing::has_assistant(s);
        let trusted_proxies = s.number("TRUSTED_PROXIES", 0, 0..=10);
        let dealership_quota = u64::from(s.number("DEALERSHIP_QUOTA_MIB", 1024, 1..=1_000_000)) << 20;
        let inbound_quota = u64::from(s.number("INBOUND_QUOTA_MIB", 4096, 1..=1_000_000)) << 20;
        let shutdown = shutdown(s);
        let drain = drain(s, shutdown);
        let config =
            database_url.zip(clerk).zip(webhook_secrets).map(|((database_url, clerk), webhook_secrets)| Self {
                database_url,
                read_database_url,
                database_connections,
                keyring,
                port,
                admin_address,
                clerk,
                jwks_interval: JWKS_INTERVAL,
                authorized_parties,
                webhook_secrets,
                clerk_instance,
                cors_origins,
                public_url,
                inbound_domain,
                senders,
                has_assistant,
                trusted_proxies,
                dealership_quota,
                inbound_quota,
                clients: ClientLimits::default(),
                drain,
                shutdown,
            });
        s.finish(config)
    }
}

impl WorkerConfig {
    /// Reads the worker's settings.
    pub fn read(s: &mut Settings) -> Result<Self, ConfigError> {
        let database_url = database_url(s);
        let keyring = keyring(s);
        let concurrency = s.number("WORKER_CONCURRENCY", 10, 1..=200);
        let connections = s.number("WORKER_DATABASE_CONNECTIONS", concurrency + 2, 3..=500);
        let queue_limits = s.optional("WORKER_QUEUE_LIMITS", queues::queue_limits).unwrap_or_default();
        let lease = Duration::from_secs(s.number("WORKER_LEASE_SECONDS", 30, 2..=3600).into());
        let poll = Duration::from_secs(s.number("WORKER_POLL_SECONDS", 1, 1..=60).into());
        let clerk_instance = clerk::instance(s);
        let clerk = ClerkBackend::read(s, clerk_instance);
        let outside = Outside::read(s);
        let outgoing = Outgoing::read(s);
        let public_url = s.optional("PUBLIC_URL", http_url);
        let sync_interval = Duration::from_hours(s.number("CLERK_SYNC_HOURS", 6, 1..=720).into());
        let shutdown = shutdown(s);
        let admin_address = s.optional("WORKER_ADMIN_ADDRESS", address);
        let operators = Operators::read(s);
        let config = database_url.map(|database_url| Self {
            database_url,
            keyring,
            connections,
            concurrency,
            queue_limits,
            lease,
            poll,
            clerk,
            outside,
            outgoing,
            public_url,
            sync_interval,
            shutdown,
            admin_address,
            operators,
        });
        s.finish(config)
    }
}

impl CliConfig {
    /// Reads the command line's settings.
    pub fn read(s: &mut Settings) -> Result<Self, ConfigError> {
        let database_url = database_url(s);
        let keyring = keyring(s);
        let clerk_instance = clerk::instance(s);
        let clerk = ClerkBackend::read(s, clerk_instance.clone());
        let inbound_domain = s.optional("INBOUND_DOMAIN", domain);
        let config =
            database_url.map(|database_url| Self { database_url, keyring, clerk, clerk_instance, inbound_domain });
        s.finish(config)
    }
}

fn database_url(settings: &mut Settings) -> Option<DatabaseUrl> {
    let remedy = "give the URL of the PostgreSQL database; on Supabase: Connect, Direct connection or Session pooler";
    let url: Option<DatabaseUrl> = settings.required("DATABASE_URL", remedy, str::parse);
    let direct: Option<DatabaseUrl> = settings.optional("DIRECT_DATABASE_URL", str::parse);
    match (url, direct) {
        (Some(url), Some(direct)) => Some(url.with_direct(direct)),
        (url, _) => url,
    }
}

fn keyring(settings: &mut Settings) -> Keyring {
    settings.optional("SECRETS_KEYS", str::parse).unwrap_or_default()
}

fn shutdown(settings: &mut Settings) -> Duration {
    Duration::from_secs(settings.number("SHUTDOWN_SECONDS", 25, 1..=600).into())
}

/// By default a fifth of what stopping may take.
fn drain(settings: &mut Settings, shutdown: Duration) -> Duration {
    let most = u32::try_from(shutdown.as_secs()).unwrap_or(u32::MAX);
    let seconds = settings.number("DRAIN_SECONDS", most / 5, 0..=600);
    if seconds > 0 && seconds >= most {
        settings.report("DRAIN_SECONDS", "must be less than SHUTDOWN_SECONDS, which includes it");
    }
    Duration::from_secs(seconds.into())
}

fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().map_err(|_| "must be a port number, such as 8000")
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "must be an IP address with a port, such as 127.0.0.1:9000 or 0.0.0.0:9000")
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// The claim `azp` is compared as it is: nothing else than an origin can ever be equal to it.
fn authorized_parties(text: &str) -> Result<Vec<String>, &'static str> {
    let parties = list(text);
    if parties.iter().all(|party| is_origin(party)) {
        Ok(parties)
    } else {
        Err(
            "must be origins separated by commas, exactly as browsers write them: https://app.norvalt.no, with the scheme, \
             in lower case, without a path or a slash at the end",
        )
    }
}

fn origins(text: &str) -> Result<Vec<String>, &'static str> {
    let origins = list(text);
    // What `*` stands for is part of a host's name.
    if origins.iter().all(|origin| !origin.ends_with("//*") && is_origin(&origin.replacen('*', "x", 1))) {
        Ok(origins)
    } else {
        Err(
            "must be origins separated by commas, such as https://app.norvalt.no,https://*.vercel.app: with the scheme, in \
             lower case, without a path or a slash at the end",
        )
    }
}

fn domain(text: &str) -> Result<String, &'static str> {
    let domain = text.trim_start_matches('@').to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let is_domain = domain.contains('.') && domain.len() <= 253 && domain.bytes().all(plain);
    if is_domain {
        Ok(domain)
    } else {
        Err("must be a domain whose mail is handed over here, such as inbound.norvalt.no")
    }
}

fn http_url(text: &str) -> Result<String, &'static str> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err("must be a URL that starts with https://"),
    }
}

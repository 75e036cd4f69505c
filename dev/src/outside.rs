//! The services outside, each as a server on this host.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use common::clock::Clock;
use dev::{
    console::Console,
    random,
    stand_ins::{
        assistant,
        clerk::{self, Endpoint, INSTANCE_ID, Instance, SigningKey},
        dns, graph, mailbox, turnstile,
    },
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{directory::DevDirectory, failure::Failure, ports::free_port, secrets::Secrets};

/// Where they are looked for first.
const FACEBOOK_PORT: u16 = 8002;
const TURNSTILE_PORT: u16 = 8003;
const MAILBOX_PORT: u16 = 8004;
const ASSISTANT_PORT: u16 = 8005;
const DNS_PORT: u16 = 8006;
const SMTP_PORT: u16 = 1025;
/// Of our app at Facebook.
const FACEBOOK_APP: &str = "1234567890123456";
/// Ours at Twilio.
const TWILIO_ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
/// Domains that have all that it takes for sending mails; others have nothing.
const DOMAINS: [&str; 2] = ["tesla-oslo.example", "bilvest.example"];
/// About as long as a model takes to write a few sentences.
const ASSISTANT_LATENCY: Duration = Duration::from_secs(1);

pub(crate) struct StandIns {
    /// Unless a real Clerk says who people are.
    pub(crate) clerk: Option<clerk::StandIn>,
    pub(crate) facebook: graph::StandIn,
    pub(crate) facebook_app: String,
    pub(crate) turnstile: turnstile::StandIn,
    pub(crate) dns: dns::StandIn,
    pub(crate) mailbox: mailbox::StandIn,
    pub(crate) assistant: assistant::StandIn,
}

/// What it takes to start them.
pub(crate) struct Start<'a> {
    pub(crate) console: &'a Arc<Console>,
    pub(crate) directory: &'a DevDirectory,
    pub(crate) secrets: &'a Secrets,
    pub(crate) api_port: u16,
    /// Where the one for Clerk is wanted, if it is.
    pub(crate) clerk_port: Option<u16>,
    pub(crate) authorized_party: Option<String>,
}

impl StandIns {
    pub(crate) async fn start(start: &Start<'_>) -> Result<Self, Failure> {
        let clerk = match start.clerk_port {
            Some(port) => Some(start.clerk(port).await?),
            None => None,
        };
        let (facebook, turnstile) = (start.facebook().await?, start.turnstile().await?);
        let dns = start.dns().await?;
        let (mailbox, assistant) = (start.mailbox().await?, start.assistant().await?);
        Ok(Self { clerk, facebook, facebook_app: FACEBOOK_APP.to_owned(), turnstile, dns, mailbox, assistant })
    }

    /// Connects the page of the stand-in for Facebook to the first demo dealership, as its admin does.
    pub(crate) async fn connect_page(&self, api_port: u16) -> Result<(), Failure> {
        let Some(clerk) = &self.clerk else { return Ok(()) };
        let Ok(token) = clerk.session_token("user_demo_kari", None) else { return Ok(()) };
        let page = self.facebook.with(|state| state.pages.first().cloned());
        let Some(page) = page else { return Ok(()) };
        let client = reqwest::Client::builder().no_proxy().build();
        let client = client.expect("a client without certificates of its own can be built");
        let body = json!({ "page_id": page.id, "page_name": page.name, "page_token": page.token });
        let request = client.post(format!("http://127.0.0.1:{api_port}/api/v1/lead-sources/facebook/connect"));
        let answer = request.bearer_auth(token.mint(&clerk.key())).json(&body).send().await;
        match answer.and_then(reqwest::Response::error_for_status) {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::PageNotConnected(error)),
        }
    }

    pub(crate) async fn stop(self) {
        if let Some(clerk) = self.clerk {
            clerk.stop().await;
        }
        self.facebook.stop().await;
        self.turnstile.stop().await;
        self.dns.stop().await;
        self.mailbox.stop().await;
        self.assistant.stop().await;
    }
}

impl Start<'_> {
    async fn clerk(&self, wanted: u16) -> Result<clerk::StandIn, Failure> {
        let listener = self.listener(wanted, "the stand-in for Clerk").await?;
        let api = format!("http://127.0.0.1:{}", self.api_port);
        let console = Arc::clone(self.console);
        let options = clerk::Options {
            key: SigningKey::load_or_create(&self.directory.join("clerk.key.pem"))?,
            secret_key: self.secrets.clerk_secret_key.clone(),
            endpoint: Some(Endpoint {
                url: format!("{api}/webhooks/clerk"),
                secret: self.secrets.webhook_secret.clone(),
            }),
            api: Some(api),
            authorized_party: self.authorized_party.clone(),
            instance_id: INSTANCE_ID.to_owned(),
            initial: Instance::demo(),
            state_file: Some(self.directory.join("clerk.state.json")),
            clock: Clock::system(),
            tell: Box::new(move |line| console.say("clerk", line)),
        };
        Ok(clerk::StandIn::start(listener, options).await?)
    }

    async fn facebook(&self) -> Result<graph::StandIn, Failure> {
        let listener = self.listener(FACEBOOK_PORT, "the stand-in for Facebook").await?;
        let console = Arc::clone(self.console);
        let now = Clock::system().now().timestamp_millis();
        let options = graph::Options {
            app_id: FACEBOOK_APP.to_owned(),
            app_secret: self.secrets.facebook.clone(),
            webhook: Some(format!("http://127.0.0.1:{}/webhooks/facebook", self.api_port)),
            state: graph::State::demo()
                .skipping(u64::try_from(now).unwrap_or_default())
                .with_page_token(&self.secrets.facebook_page),
            clock: Clock::system(),
            tell: Box::new(move |line| console.say("facebook", line)),
        };
        Ok(graph::StandIn::start(listener, options).await)
    }

    async fn turnstile(&self) -> Result<turnstile::StandIn, Failure> {
        let listener = self.listener(TURNSTILE_PORT, "the stand-in for Turnstile").await?;
        Ok(turnstile::StandIn::start(listener, &random::clerk_id("turnstile"), Clock::system()).await)
    }

    async fn dns(&self) -> Result<dns::StandIn, Failure> {
        let listener = self.listener(DNS_PORT, "the stand-in for DNS").await?;
        let dns = dns::StandIn::start(listener).await;
        for domain in DOMAINS {
            dns.put_domain(domain);
        }
        Ok(dns)
    }

    async fn mailbox(&self) -> Result<mailbox::StandIn, Failure> {
        let page = self.listener(MAILBOX_PORT, "the mailbox").await?;
        let smtp = self.listener(SMTP_PORT, "the stand-in for a mail server").await?;
        let console = Arc::clone(self.console);
        let options = mailbox::Options {
            api: Some(format!("http://127.0.0.1:{}", self.api_port)),
            mail_secret: self.secrets.inbound_mail.clone(),
            account: mailbox::Account { sid: TWILIO_ACCOUNT.to_owned(), auth_token: self.secrets.twilio.clone() },
            reporters: mailbox::Reporters::generate(),
            clock: Clock::system(),
            tell: Box::new(move |line| console.say("mailbox", line)),
        };
        Ok(mailbox::StandIn::start(page, smtp, options).await)
    }

    async fn assistant(&self) -> Result<assistant::StandIn, Failure> {
        let listener = self.listener(ASSISTANT_PORT, "the stand-in for the assistant").await?;
        let options = assistant::Options { key: self.secrets.assistant.clone(), latency: ASSISTANT_LATENCY };
        Ok(assistant::StandIn::start(listener, options).await)
    }

    async fn listener(&self, wanted: u16, who: &'static str) -> Result<TcpListener, Failure> {
        let port = free_port(wanted, Some(self.api_port), who, self.console)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        listener.map_err(|source| Failure::Run { program: who.into(), source })
    }
}

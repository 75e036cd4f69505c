use std::{sync::Arc, time::Duration};

use axum::{Router, http::StatusCode, routing::post};
use common::clock::Clock;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{ActiveFault, Fault, Message, Reporters, faults::Faults, page, smtp, store::Store, twilio, web};
use crate::{
    random,
    serving::{self, Serving},
};

/// As long as providers wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// At Twilio.
pub struct Account {
    pub sid: String,
    pub auth_token: String,
}

/// What a stand-in starts with.
pub struct Options {
    /// Where customers' answers and reports go, if anywhere, such as `http://127.0.0.1:8000`.
    pub api: Option<String>,
    /// What shows the API that a mail is from us.
    pub mail_secret: String,
    pub account: Account,
    /// Sign what the providers of mails report.
    pub reporters: Reporters,
    pub clock: Clock,
    /// Hears of everything that is told to the API.
    pub tell: Box<dyn Fn(&str) + Send + Sync>,
}

impl Options {
    /// Nobody who receives answers.
    pub fn in_memory() -> Self {
        let account =
            Account { sid: format!("AC{}", common::hex(&random::bytes::<16>())), auth_token: random::password() };
        Self {
            api: None,
            mail_secret: random::password(),
            account,
            reporters: Reporters::generate(),
            clock: Clock::system(),
            tell: Box::new(|line| tracing::info!("{line}")),
        }
    }
}

/// A running stand-in. It ends when it is dropped.
pub struct StandIn {
    mailbox: Mailbox,
    serving: Serving,
    smtp: JoinHandle<()>,
    smtp_url: String,
}

/// What the request handlers share.
#[derive(Clone)]
pub(super) struct Mailbox(Arc<Shared>);

struct Shared {
    options: Options,
    store: Store,
    faults: Faults,
    client: reqwest::Client,
    /// That the pages which wait for something new need wait no longer.
    ends: tokio::sync::watch::Sender<bool>,
}

impl StandIn {
    /// Serves HTTP on the one listener and SMTP on the other until [`StandIn::stop`].
    pub async fn start(http: TcpListener, smtp: TcpListener, options: Options) -> Self {
        // A proxy has no way to this host.
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_WITHIN).build();
        let mailbox = Mailbox(Arc::new(Shared {
            options,
            store: Store::new(),
            faults: Faults::default(),
            client: client.expect("a client without certificates of its own can be built"),
            ends: tokio::sync::watch::Sender::new(false),
        }));
        let router = Router::new()
            .route("/2010-04-01/Accounts/{account}/Messages.json", post(twilio::send))
            .route("/v3/mail/send", post(web::sendgrid))
            .route("/emails", post(web::resend))
            .route("/email", post(web::postmark))
            .merge(page::router())
            .with_state(mailbox.clone());
        let smtp_url = format!("smtp+plain://{}", serving::address(&smtp));
        let smtp = tokio::spawn(smtp::serve(smtp, mailbox.clone()));
        Self { serving: Serving::start(http, router).await, mailbox, smtp, smtp_url }
    }

    /// Of the page, and of the providers that speak HTTP.
    pub fn url(&self) -> String {
        self.serving.url()
    }

    /// Such as `smtp+plain://127.0.0.1:1025`.
    pub fn smtp_url(&self) -> &str {
        &self.smtp_url
    }

    pub fn account(&self) -> &Account {
        self.mailbox.account()
    }

    /// What the API is told, so that it believes what is reported of mails.
    pub fn report_settings(&self) -> [(&'static str, String); 3] {
        self.mailbox.reporters().settings()
    }

    /// What came, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        self.mailbox.store().all()
    }

    /// The first message that is so, as soon as there is one.
    pub async fn wait_for(&self, is_so: impl Fn(&Message) -> bool) -> Message {
        let mut changes = self.mailbox.store().changes();
        loop {
            if let Some(message) = self.mailbox.store().find(&is_so) {
                return message;
            }
            changes.changed().await.expect("the sender lives as long as the mailbox");
        }
    }

    pub fn set_fault(&self, active: ActiveFault) {
        self.mailbox.faults().set(active);
        self.mailbox.store().changed();
    }

    /// All is well again.
    pub fn end_faults(&self) {
        self.mailbox.faults().end_all();
        self.mailbox.store().changed();
    }

    /// Sends what the customer answers, and returns how the API took it.
    pub async fn reply_as_customer(&self, message: &Message, text: &str) -> Result<StatusCode, String> {
        self.mailbox.reply(message, text).await
    }

    /// Tells that it has arrived.
    pub async fn deliver(&self, message: &Message) -> Result<StatusCode, String> {
        self.mailbox.deliver(message).await
    }

    /// Tells that it did not arrive.
    pub async fn bounce(&self, message: &Message) -> Result<StatusCode, String> {
        self.mailbox.bounce(message).await
    }

    /// Tells that the customer wants no such thing: calls the mail spam, or answers STOP.
    pub async fn complain(&self, message: &Message) -> Result<StatusCode, String> {
        self.mailbox.complain(message).await
    }

    /// Finishes the requests under way and ends.
    pub async fn stop(self) {
        self.mailbox.0.ends.send_replace(true);
        let Self { serving, smtp, .. } = self;
        smtp.abort();
        serving.stop().await;
    }
}

impl Mailbox {
    /// Puts a message into the mailbox; what an active fault asks for follows.
    pub(super) fn take(&self, message: Message, active: Option<ActiveFault>) -> Message {
        let message = self.0.store.add(message);
        self.follow(&message, active);
        message
    }

    /// What is wrong with the next message, after what the HTTP server itself does about it.
    pub(super) async fn fault_over_http(&self) -> Option<ActiveFault> {
        let active = self.0.faults.next()?;
        match active.fault {
            Fault::Down => hang_up(),
            Fault::Slow => tokio::time::sleep(active.duration()).await,
            _ => {}
        }
        Some(active)
    }

    /// Waits until something has changed since it was the `seen`-th time; not longer than browsers wait.
    pub(super) async fn changed_since(&self, seen: u64) -> u64 {
        let mut changes = self.0.store.changes();
        let mut ends = self.0.ends.subscribe();
        tokio::select! {
            _ = changes.wait_for(|count| *count != seen) => {}
            _ = ends.wait_for(|ends| *ends) => {}
            () = tokio::time::sleep(ANSWER_WITHIN) => {}
        }
        self.0.store.count()
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.0.faults
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.options.clock
    }

    pub(super) fn account(&self) -> &Account {
        &self.0.options.account
    }

    pub(super) fn reporters(&self) -> &Reporters {
        &self.0.options.reporters
    }

    pub(super) fn api(&self) -> Option<&str> {
        self.0.options.api.as_deref()
    }

    pub(super) fn mail_secret(&self) -> &str {
        &self.0.options.mail_secret
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.0.client
    }

    pub(super) fn tell(&self) -> &(dyn Fn(&str) + Send + Sync) {
        &*self.0.options.tell
    }
}

/// Closes the connection without an answer, which no response can: whatever unwinds ends the connection's task.
pub(super) fn hang_up() -> ! {
    std::panic::resume_unwind(Box::new("the connection is closed without an answer"))
}

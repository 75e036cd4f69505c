use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use common::clock::Clock;
use tokio::net::TcpListener;

use super::{Fault, NewLead, State, Unknown, api, control, faults::Faults, login, state::Login, webhook};
use crate::{
    random,
    serving::{self, Serving},
};

/// As long as Meta waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Meta tries for 36 hours; nobody at a keyboard does.
const RETRIES: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];

/// What a stand-in starts with.
pub struct Options {
    pub app_id: String,
    pub app_secret: String,
    /// Where webhooks go, if anywhere: the whole URL.
    pub webhook: Option<String>,
    pub state: State,
    pub clock: Clock,
    /// Hears of each attempt to deliver a webhook.
    pub tell: Box<dyn Fn(&str) + Send + Sync>,
}

impl Options {
    /// One page with one form, in memory, and nobody who receives webhooks.
    pub fn in_memory() -> Self {
        Self {
            app_id: "1234567890123456".to_owned(),
            app_secret: "stand-in-app-secret".to_owned(),
            webhook: None,
            state: State::demo(),
            clock: Clock::system(),
            tell: Box::new(|line| tracing::info!("{line}")),
        }
    }
}

/// A running stand-in. It ends when it is dropped.
pub struct StandIn {
    graph: Graph,
    serving: Serving,
}

/// What the request handlers share.
#[derive(Clone)]
pub(super) struct Graph(Arc<Shared>);

struct Shared {
    app_id: String,
    app_secret: String,
    webhook: Option<String>,
    state: Mutex<State>,
    faults: Faults,
    clock: Clock,
    client: reqwest::Client,
    url: String,
    tell: Box<dyn Fn(&str) + Send + Sync>,
}

impl StandIn {
    /// Serves on `listener` until [`StandIn::stop`].
    pub async fn start(listener: TcpListener, options: Options) -> Self {
        // A proxy has no way to this host.
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_WITHIN).build();
        let graph = Graph(Arc::new(Shared {
            app_id: options.app_id,
            app_secret: options.app_secret,
            webhook: options.webhook,
            state: Mutex::new(options.state),
            faults: Faults::default(),
            clock: options.clock,
            client: client.expect("a client without certificates of its own can be built"),
            url: format!("http://{}", serving::address(&listener)),
            tell: options.tell,
        }));
        let router = api::router(graph.clone()).merge(login::router(graph.clone())).merge(control::router());
        let router: Router = router.with_state(graph.clone());
        Self { serving: Serving::start(listener, router).await, graph }
    }

    /// Of the stand-in itself.
    pub fn url(&self) -> String {
        self.serving.url()
    }

    /// What the client takes as the address of the Graph API.
    pub fn api_url(&self) -> String {
        format!("{}/v26.0", self.url())
    }

    /// Looks at what it knows, or changes it.
    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        self.graph.with(work)
    }

    /// Lets somebody fill in a form, and tells nobody of it. Returns the lead's id.
    pub fn add_lead(&self, new: &NewLead) -> Result<String, Unknown> {
        self.graph.add_lead(new)
    }

    /// Tells of leads, in one webhook, and returns what became of the first attempt.
    pub async fn deliver(&self, lead_ids: &[String]) -> String {
        self.graph.deliver(lead_ids).await
    }

    /// Sends what Meta's dashboard does to try a webhook.
    pub async fn deliver_test(&self) -> String {
        self.graph.deliver_test().await
    }

    /// A code such as a login ends with.
    pub fn login(&self, redirect_uri: &str) -> String {
        self.graph.login(redirect_uri, &[])
    }

    /// Where people log in.
    pub fn login_url(&self) -> String {
        format!("{}/v26.0/dialog/oauth", self.url())
    }

    /// Answers the next `count` requests of the Graph API like this.
    pub fn fail(&self, fault: Fault, count: usize) {
        self.graph.faults().add(fault, count);
    }

    /// Finishes the requests under way and ends. Webhooks that were not delivered yet are forgotten.
    pub async fn stop(self) {
        self.serving.stop().await;
    }
}

impl Graph {
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add_lead(&self, new: &NewLead) -> Result<String, Unknown> {
        let now = self.0.clock.now();
        self.with(|state| state.add_lead(new, now))
    }

    pub(super) fn login(&self, redirect_uri: &str, refused: &[&str]) -> String {
        let code = format!("AQ{}", random::password());
        let refused = refused.iter().map(|&permission| permission.to_owned()).collect();
        let login = Login { redirect_uri: redirect_uri.to_owned(), refused, is_used: false };
        self.with(|state| state.codes.insert(code.clone(), login));
        code
    }

    pub(super) async fn deliver(&self, lead_ids: &[String]) -> String {
        let now = self.0.clock.now();
        let body = self.with(|state| webhook::body(state, lead_ids, now));
        self.send(body).await
    }

    pub(super) async fn deliver_test(&self) -> String {
        self.send(webhook::test_body(self.0.clock.now())).await
    }

    /// Makes the first attempt, and others later if it fails.
    async fn send(&self, body: String) -> String {
        let Some(url) = self.0.webhook.clone() else { return "no webhook is configured".to_owned() };
        let (delivered, outcome) = self.attempt(&url, &body).await;
        if !delivered {
            let graph = self.clone();
            tokio::spawn(async move {
                for pause in RETRIES {
                    tokio::time::sleep(pause).await;
                    if graph.attempt(&url, &body).await.0 {
                        return;
                    }
                }
            });
        }
        outcome
    }

    async fn attempt(&self, url: &str, body: &str) -> (bool, String) {
        let signature = webhook::signature(&self.0.app_secret, body.as_bytes());
        let request = self.0.client.post(url).header("content-type", "application/json");
        let request = request.header("x-hub-signature-256", signature).body(body.to_owned());
        let (delivered, outcome) = match request.send().await {
            // Meta asks for 200 and nothing else.
            Ok(answer) => (answer.status() == 200, answer.status().to_string()),
            Err(error) if error.is_connect() => (false, "nobody listens there".to_owned()),
            Err(error) => (false, error.without_url().to_string()),
        };
        (self.0.tell)(&format!("leadgen: {outcome}"));
        (delivered, outcome)
    }

    pub(super) fn app_id(&self) -> &str {
        &self.0.app_id
    }

    pub(super) fn app_secret(&self) -> &str {
        &self.0.app_secret
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.0.faults
    }

    pub(super) fn url(&self) -> &str {
        &self.0.url
    }
}

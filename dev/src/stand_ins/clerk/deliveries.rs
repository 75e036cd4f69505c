use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use common::clock::Clock;
use serde::Serialize;
use tokio::sync::watch;

use super::webhooks::{Endpoint, Event, signed_headers};
use crate::random::clerk_id;

/// Svix waits 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h; nobody at a keyboard does.
const RETRIES: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
];
/// As with Svix: an endpoint that has not answered by then has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Deliveries that are remembered, for people to look at and to resend.
const REMEMBERED: usize = 200;

/// One message on its way, or arrived.
#[derive(Debug, Clone, Serialize)]
pub struct Delivery {
    /// Counts the deliveries of this stand-in, from 1.
    pub number: usize,
    /// The same for every attempt, and when it is sent again.
    pub svix_id: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// What was tried so far.
    pub attempts: Vec<Attempt>,
    /// Whether it waits for an answer or for its next attempt.
    pub under_way: bool,
    #[serde(skip)]
    pub body: String,
}

/// One attempt to deliver.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    pub at: DateTime<Utc>,
    /// Whether the answer was a 2xx.
    pub delivered: bool,
    /// The answer, or why there was none.
    pub outcome: String,
}

/// Delivers messages at least once and in no order, as Svix does. Clones share everything.
#[derive(Clone)]
pub struct Webhooks(Arc<Shared>);

struct Shared {
    endpoint: Option<Endpoint>,
    clock: Clock,
    client: reqwest::Client,
    log: Mutex<Vec<Delivery>>,
    changed: watch::Sender<()>,
    tell: Box<dyn Fn(&str) + Send + Sync>,
}

impl Webhooks {
    /// Sends to `endpoint`, or to nobody; `tell` hears of every attempt.
    pub fn new(endpoint: Option<Endpoint>, clock: Clock, tell: Box<dyn Fn(&str) + Send + Sync>) -> Self {
        // A proxy has no way to this host.
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_WITHIN).build();
        let client = client.expect("a client without certificates of its own can be built");
        let (changed, _) = watch::channel(());
        Self(Arc::new(Shared { endpoint, clock, client, log: Mutex::default(), changed, tell }))
    }

    /// Starts to deliver an event; returns the number of the delivery.
    pub fn send(&self, event: &Event) -> usize {
        self.deliver(clerk_id("msg"), event.kind().to_owned(), event.body().to_string())
    }

    /// Delivers a remembered message once more, under the same id. Nothing if it is not remembered.
    pub fn resend(&self, number: usize) -> Option<usize> {
        let Delivery { svix_id, kind, body, .. } = self.delivery(number)?;
        Some(self.deliver(svix_id, kind, body))
    }

    /// Everything that is remembered, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.with_log(|log| log.clone())
    }

    /// One delivery as it stands.
    pub fn delivery(&self, number: usize) -> Option<Delivery> {
        self.with_log(|log| log.iter().find(|delivery| delivery.number == number).cloned())
    }

    /// Waits until the first attempt of a delivery has an outcome.
    pub async fn first_attempt(&self, number: usize) -> Option<Delivery> {
        let tried = || self.delivery(number).filter(|delivery| !delivery.attempts.is_empty() || !delivery.under_way);
        let mut changed = self.0.changed.subscribe();
        loop {
            if let Some(delivery) = tried() {
                return Some(delivery);
            }
            changed.changed().await.ok()?;
        }
    }

    /// Waits until no delivery is under way, be it for success or for lack of it.
    pub async fn settled(&self) {
        let mut changed = self.0.changed.subscribe();
        while self.with_log(|log| log.iter().any(|delivery| delivery.under_way)) {
            // The sender lives as long as `self`.
            let _ = changed.changed().await;
        }
    }

    fn deliver(&self, svix_id: String, kind: String, body: String) -> usize {
        let under_way = self.0.endpoint.is_some();
        let number = self.with_log(|log| {
            let number = log.last().map_or(1, |last| last.number + 1);
            if log.len() == REMEMBERED {
                log.remove(0);
            }
            log.push(Delivery { number, svix_id, kind, attempts: Vec::new(), under_way, body });
            number
        });
        if let Some(endpoint) = self.0.endpoint.clone() {
            let webhooks = self.clone();
            tokio::spawn(async move { webhooks.attempts(number, &endpoint).await });
        }
        number
    }

    async fn attempts(&self, number: usize, endpoint: &Endpoint) {
        for pause in RETRIES.map(Some).into_iter().chain([None]) {
            let Some(delivery) = self.delivery(number) else { return };
            let (delivered, outcome) = self.attempt(&delivery, endpoint).await;
            let next = if delivered { None } else { pause };
            let then = match next {
                Some(pause) => format!("; again in {pause:?}"),
                None if delivered => String::new(),
                None => "; given up".to_owned(),
            };
            (self.0.tell)(&format!("{} {}: {outcome}{then}", delivery.kind, delivery.svix_id));
            let at = self.0.clock.now();
            self.change(number, |delivery| {
                delivery.attempts.push(Attempt { at, delivered, outcome });
                delivery.under_way = next.is_some();
            });
            match next {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return,
            }
        }
    }

    /// Each attempt is signed anew, with the time of the attempt.
    async fn attempt(&self, delivery: &Delivery, endpoint: &Endpoint) -> (bool, String) {
        let body = delivery.body.clone();
        let headers = match signed_headers(&endpoint.secret, &delivery.svix_id, self.0.clock.now(), body.as_bytes()) {
            Ok(headers) => headers,
            Err(error) => return (false, format!("cannot be signed: {error}")),
        };
        let request = self.0.client.post(&endpoint.url).header("content-type", "application/json").body(body);
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        match request.send().await {
            Ok(answer) => (answer.status().is_success(), answer.status().to_string()),
            Err(error) if error.is_connect() => (false, "nobody listens there".to_owned()),
            Err(error) if error.is_timeout() => (false, format!("no answer within {ANSWER_WITHIN:?}")),
            Err(error) => (false, error.to_string()),
        }
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Delivery)) {
        self.with_log(|log| log.iter_mut().find(|delivery| delivery.number == number).map(change));
        self.0.changed.send_replace(());
    }

    fn with_log<T>(&self, work: impl FnOnce(&mut Vec<Delivery>) -> T) -> T {
        work(&mut self.0.log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

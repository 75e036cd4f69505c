//! Clerk under load: sends signed webhooks, each again until it is acknowledged, and remembers which were.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use common::clock::Clock;
use dev::clerk::signed_headers;
use reqwest::Client;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{app::WEBHOOK_SECRET, clerk_events};

/// How long Svix waits for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Between two webhooks of one sender, so that the load is one and not a flood.
const PAUSE: Duration = Duration::from_millis(100);
/// Before a webhook that was refused is sent again. Svix waits 5 s; nothing is gained by waiting as long.
const AGAIN: Duration = Duration::from_millis(200);
/// Any time: each organization is heard of once.
const CREATED_AT: i64 = 1_700_000_000_000;

/// A stream of webhooks, each of which creates an organization of its own. They are numbered from 0.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    senders: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    url: Mutex<String>,
    client: Client,
    next: AtomicU32,
    record: Mutex<Record>,
}

/// What became of the webhooks.
#[derive(Debug, Default, Clone)]
pub struct Record {
    /// The numbers of those that were answered with success.
    pub acknowledged: Vec<u32>,
    /// How often one was refused, by status, or by `no answer`.
    pub refused: BTreeMap<String, u32>,
}

impl Load {
    /// Starts sending to the API at this URL, so many webhooks at a time.
    pub fn start(url: &str, senders: usize) -> Self {
        let shared = Arc::new(Shared {
            url: Mutex::new(url.to_owned()),
            client: Client::builder().timeout(REQUEST_TIMEOUT).build().expect("there is nothing to refuse"),
            next: AtomicU32::new(0),
            record: Mutex::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for _ in 0..senders {
            tasks.spawn(send(shared.clone(), stopped.clone()));
        }
        Self { shared, stop, senders: tasks }
    }

    /// The API is somewhere else now.
    pub fn retarget(&self, url: &str) {
        url.clone_into(&mut self.shared.url.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The number of the webhook that is sent next.
    pub fn next(&self) -> u32 {
        self.shared.next.load(Ordering::SeqCst)
    }

    /// What has become of the webhooks so far.
    pub fn record(&self) -> Record {
        self.shared.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins no new webhook, and waits until the last one that was begun is acknowledged.
    ///
    /// # Panics
    /// When that takes more than a minute.
    pub async fn end(mut self) -> Record {
        self.stop.send_replace(true);
        let ended = async { while self.senders.join_next().await.is_some() {} };
        timeout(Duration::from_mins(1), ended).await.expect("the API acknowledges");
        self.record()
    }
}

async fn send(shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let number = shared.next.fetch_add(1, Ordering::SeqCst);
        while let Err(refusal) = shared.attempt(number).await {
            shared.note(|record| *record.refused.entry(refusal).or_default() += 1);
            sleep(AGAIN).await;
        }
        shared.note(|record| record.acknowledged.push(number));
        sleep(PAUSE).await;
    }
}

impl Shared {
    async fn attempt(&self, number: u32) -> Result<(), String> {
        let url = self.url.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (id, name) = (format!("org_{number:08}"), format!("Forhandler {number}"));
        let body = clerk_events::organization("organization.created", &id, &name, CREATED_AT).to_string();
        let svix_id = format!("msg_{number:08}");
        let headers = signed_headers(WEBHOOK_SECRET, &svix_id, Clock::system().now(), body.as_bytes()).expect("valid");
        let request = self.client.post(format!("{url}/webhooks/clerk")).body(body);
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(response.status().as_u16().to_string()),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    fn note(&self, what: impl FnOnce(&mut Record)) {
        what(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

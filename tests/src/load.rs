//! Senders under load: what they send is sent again until it is acknowledged, and which were is remembered.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use common::clock::Clock;
use dev::stand_ins::clerk::{SessionToken, SigningKey, signed_headers};
use reqwest::{Client, RequestBuilder};
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{app::WEBHOOK_SECRET, clerk_events};

/// How long Svix waits for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Between two of one sender, so that the load is one and not a flood.
const PAUSE: Duration = Duration::from_millis(100);
/// One client may send one form a second, and some at once before that.
const FORMS_PAUSE: Duration = Duration::from_millis(500);
/// Before what was refused is sent again. Svix waits 5 s; nothing is gained by waiting as long.
const AGAIN: Duration = Duration::from_millis(200);
/// Any time: each organization is heard of once.
const CREATED_AT: i64 = 1_700_000_000_000;

/// What is sent.
#[derive(Debug)]
pub enum What {
    /// Clerk's webhooks, each of which creates an organization of its own.
    Webhooks,
    /// Leads, by this person of this organization, whose tokens are signed with this key.
    Leads { user: &'static str, organization: &'static str, key: Arc<SigningKey> },
    /// The form of this key, filled in.
    Forms(String),
}

/// A stream of what is sent, numbered from 0.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    senders: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    what: What,
    url: Mutex<String>,
    client: Client,
    next: AtomicU32,
    record: Mutex<Record>,
}

/// What became of it.
#[derive(Debug, Default, Clone)]
pub struct Record {
    /// The numbers of those that were answered with success.
    pub acknowledged: Vec<u32>,
    /// How often one was refused, by status, or by `no answer`.
    pub refused: BTreeMap<String, u32>,
}

impl Load {
    /// Starts sending to the API at this URL, so many at a time.
    pub fn start(what: What, url: &str, senders: usize) -> Self {
        let shared = Arc::new(Shared {
            what,
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

    /// The number of what is sent next.
    pub fn next(&self) -> u32 {
        self.shared.next.load(Ordering::SeqCst)
    }

    /// What has become of it so far.
    pub fn record(&self) -> Record {
        self.shared.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins nothing new, and waits until the last that was begun is acknowledged.
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
            sleep(AGAIN.max(shared.what.pause() / 2)).await;
        }
        shared.note(|record| record.acknowledged.push(number));
        sleep(shared.what.pause()).await;
    }
}

impl What {
    fn pause(&self) -> Duration {
        match self {
            Self::Webhooks | Self::Leads { .. } => PAUSE,
            Self::Forms(_) => FORMS_PAUSE,
        }
    }
}

impl Shared {
    async fn attempt(&self, number: u32) -> Result<(), String> {
        let url = self.url.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match self.request(&url, number).send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(response.status().as_u16().to_string()),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    fn request(&self, url: &str, number: u32) -> RequestBuilder {
        match &self.what {
            What::Webhooks => {
                let (id, name) = (format!("org_{number:08}"), format!("Forhandler {number}"));
                let body = clerk_events::organization("organization.created", &id, &name, CREATED_AT).to_string();
                let (svix_id, now) = (format!("msg_{number:08}"), Clock::system().now());
                let headers = signed_headers(WEBHOOK_SECRET, &svix_id, now, body.as_bytes()).expect("valid");
                let request = self.client.post(format!("{url}/webhooks/clerk")).body(body);
                headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))
            }
            What::Leads { user, organization, key } => {
                let token = SessionToken::for_user(*user).organization(*organization, "slug", "org:admin").mint(key);
                let lead = json!({ "customer_name": "Kunde", "customer_email": format!("lead{number}@example.no") });
                let request = self.client.post(format!("{url}/api/v1/leads")).bearer_auth(token);
                request.header("Idempotency-Key", format!("lead-{number}")).json(&lead)
            }
            What::Forms(key) => {
                let email = format!("form{number}@example.no");
                let form = json!({ "email": email, "message": "Hei", "_nonce": number.to_string() });
                self.client.post(format!("{url}/webhooks/form/{key}")).json(&form)
            }
        }
    }

    fn note(&self, what: impl FnOnce(&mut Record)) {
        what(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

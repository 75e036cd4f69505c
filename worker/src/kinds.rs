//! The kinds of jobs, each a trait that leaves no room for the wrong thing.
//!
//! | kind | its transaction | example |
//! |---|---|---|
//! | [`SystemJob`] | one through the system door, which also completes the job | applying an event of Clerk |
//! | [`TenantJob`] | the same through the door of the job's dealership | reading an inquiry |
//! | [`NetworkJob`] | one before the call and one after it, none during it | sending a message |
//! | [`IdempotentJob`] | short ones of its own; completed afterwards | reconciling, pruning |

use std::{sync::Arc, time::Duration};

use common::{
    answers::Means,
    config::{ClerkBackend, Outgoing, WorkerConfig},
    db::{Db, SystemTx, TenantTx},
    deliveries::{Source, Status},
    queue::Job,
    secrets::Keyring,
};

use integrations::{
    assistant::Assistant,
    dns::{self, Dns, DnsError},
    email::{EmailSender, NoProvider},
    facebook::{self, Graph, GraphError},
    sms::SmsSender,
    turnstile::{self, Turnstile, Unavailable},
};

use crate::{job_error::JobError, metrics::Metrics, own_senders::OwnSenders, own_slots::OwnSlots, providers};

/// A job of no dealership whose effects are all in the database: they are there exactly once, however often it is run.
/// The job is marked done in the transaction that `perform` writes to. It is run again after a crash, from the start.
pub trait SystemJob: Job {
    /// How long one attempt may take. The attempt then fails and is tried again.
    const TIMEOUT: Duration;

    /// Does the work. What is not written through `tx` may happen again.
    fn perform(self, context: &JobContext, tx: &mut SystemTx) -> impl Future<Output = Result<(), JobError>> + Send;
}

/// A job of one dealership whose effects are all in that dealership's rows: as [`SystemJob`], through the tenant door.
/// It does not run while the dealership is closed, and is cancelled when the dealership is gone.
pub trait TenantJob: Job {
    /// How long one attempt may take. The attempt then fails and is tried again.
    const TIMEOUT: Duration;

    /// Does the work. What is not written through `tx` may happen again.
    fn perform(self, context: &JobContext, tx: &mut TenantTx) -> impl Future<Output = Result<(), JobError>> + Send;
}

/// A job of one dealership that talks to the outside: `load`, `call`, `save`, with no transaction open during the call.
/// What `load` writes is committed before the call, so that a crash in between is seen by the next attempt.
pub trait NetworkJob: Job {
    /// How long each of the three steps may take. The attempt then fails and is tried again.
    const TIMEOUT: Duration;
    /// What the call needs.
    type Loaded: Send + Sync;
    /// What the call brings back.
    type Answer: Send;

    /// Reads what the call needs. `None`: there is nothing left to do, and the job is done.
    fn load(
        &self,
        context: &JobContext,
        tx: &mut TenantTx,
    ) -> impl Future<Output = Result<Option<Self::Loaded>, JobError>> + Send;

    /// Talks to the outside. May happen again when the process dies before `save` has committed.
    fn call(
        &self,
        loaded: &Self::Loaded,
        services: &Services,
    ) -> impl Future<Output = Result<Self::Answer, JobError>> + Send;

    /// Writes the answer down, in the transaction that completes the job.
    fn save(
        &self,
        answer: Self::Answer,
        context: &JobContext,
        tx: &mut TenantTx,
    ) -> impl Future<Output = Result<(), JobError>> + Send;

    /// Writes down that it will not happen, in the transaction that buries the job. The payload's
    /// [`Job::BURIED_BY_WORKER`] must say so.
    fn dead(
        &self,
        reason: &str,
        context: &JobContext,
        tx: &mut TenantTx,
    ) -> impl Future<Output = Result<(), JobError>> + Send;
}

/// A job that may be repeated. It runs without a transaction, under a lease that is renewed meanwhile, and is marked done
/// afterwards. Whatever it does, it may do again: from the start after a crash, and even beside a worker that has lost its
/// lease without knowing it yet.
pub trait IdempotentJob: Job {
    /// How long one attempt may take. The attempt then fails and is tried again.
    const TIMEOUT: Duration;

    fn perform(
        self,
        context: &JobContext,
        db: &Db,
        services: &Services,
    ) -> impl Future<Output = Result<(), JobError>> + Send;
}

/// The world outside. A job that has a transaction open cannot get at it: `tests::must_not_compile` says so.
#[derive(Debug, Clone)]
pub struct Services {
    /// Clerk's Backend API, if there is a key for it.
    pub clerk: Option<ClerkBackend>,
    /// Facebook, if we have an app there.
    pub graph: Option<Graph>,
    /// What tells people who fill in forms from programs.
    pub turnstile: Turnstile,
    /// Knows what stands in DNS.
    pub dns: Dns,
    /// Takes mails of ours, if anybody does.
    pub email: Option<Arc<dyn EmailSender>>,
    /// Takes text messages of ours, if anybody does.
    pub sms: Option<Arc<dyn SmsSender>>,
    /// Take messages of dealerships that have accounts of their own.
    pub own: Arc<OwnSenders>,
    /// Writes for us, if anybody does.
    pub assistant: Option<Arc<dyn Assistant>>,
}

/// A client of an outside service cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NoServices {
    #[error("cannot make a client of Facebook; check FACEBOOK_GRAPH_URL")]
    Graph(#[from] GraphError),
    #[error("cannot make a client of Turnstile; check TURNSTILE_URL")]
    Turnstile(#[from] Unavailable),
    #[error("cannot make a client of the resolver; check DNS_URL")]
    Dns(#[from] DnsError),
    #[error("cannot make a client of the mail provider; check the settings beside EMAIL_PROVIDER")]
    Email(#[source] NoProvider),
    #[error("cannot make a client of the provider of text messages; check the settings beside SMS_PROVIDER")]
    Sms(#[source] NoProvider),
    #[error("cannot make a client of the assistant; check the settings beside ASSISTANT")]
    Assistant(#[source] NoProvider),
}

impl Services {
    /// As configured. Nothing is asked yet.
    pub fn new(config: &WorkerConfig) -> Result<Self, NoServices> {
        let graph = config.outside.meta.as_ref().map(|app| {
            let settings = facebook::Settings::new(app.id.clone(), app.secret.clone());
            let url = app.graph_url.clone().unwrap_or_else(|| settings.url.clone());
            Graph::new(&facebook::Settings { url, ..settings })
        });
        let turnstile = config.outside.turnstile_url.as_deref().unwrap_or(turnstile::DEFAULT_URL);
        let outgoing = &config.outgoing;
        let sms = outgoing.sms.as_ref().map(|sms| providers::sms(sms, config.public_url.as_deref()));
        Ok(Self {
            clerk: config.clerk.clone(),
            graph: graph.transpose()?,
            turnstile: Turnstile::new(turnstile)?,
            dns: Dns::new(config.outside.dns_url.as_deref().unwrap_or(dns::DEFAULT_URL))?,
            email: outgoing.email.as_ref().map(providers::email).transpose().map_err(NoServices::Email)?,
            sms: sms.transpose().map_err(NoServices::Sms)?,
            own: Arc::new(OwnSenders::new(outgoing)),
            assistant: outgoing
                .assistant
                .as_ref()
                .map(providers::assistant)
                .transpose()
                .map_err(NoServices::Assistant)?,
        })
    }
}

/// What a job may know of itself besides its payload.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// `jobs.id`.
    pub job_id: i64,
    /// Which attempt this is, from 1.
    pub attempt: i16,
    /// After how many the job is dead.
    pub max_attempts: i16,
    /// Opens what dealerships gave us to keep.
    pub keyring: Keyring,
    /// Through whom messages go out.
    pub outgoing: Arc<Outgoing>,
    /// Of the API, without a slash at the end, if it is known.
    pub public_url: Option<Arc<str>>,
    /// What own accounts may take up of the sending of mails.
    pub(crate) own_slots: Arc<OwnSlots>,
    pub(crate) metrics: Arc<Metrics>,
}

impl JobContext {
    /// Counts a delivery that was settled.
    pub(crate) fn count(&self, source: Source, status: Status) {
        self.metrics.delivery(source, String::new(), status.as_str());
    }

    /// Whether there is an assistant to ask.
    pub(crate) fn has_assistant(&self) -> bool {
        self.outgoing.assistant.is_some()
    }

    /// With what leads can be answered automatically.
    pub(crate) fn means(&self) -> Means<'_> {
        let Outgoing { email, sms, assistant, .. } = &*self.outgoing;
        let model = assistant.as_ref().map(|assistant| assistant.model.as_str());
        Means { email: email.is_some(), sms: sms.is_some(), model }
    }
}

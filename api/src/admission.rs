//! Who may use the database now. As many requests as it has connections do; some wait, for a short time; the rest is told
//! at once to come back, so that what is admitted stays fast. One person, one dealership and all people together have
//! bounds of their own, so that nobody's requests keep out those of others, nor Clerk's webhooks.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{
    db::{Db, Identity},
    ids::{ClerkOrgId, ClerkUserId},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::problem::Problem;

/// How many requests may wait for each connection: about as many as one serves in half a second.
const WAITING_PER_CONNECTION: usize = 128;
/// Requests of one person, and of one dealership, that are under way or wait. A page of a dashboard makes about ten.
const MAX_OF_PERSON: usize = 64;
const MAX_OF_DEALERSHIP: usize = 256;
/// How long a request waits in a rush, which passes.
const RUSH: Duration = Duration::from_secs(2);
/// How long it waits when nobody has found a free connection for as long as [`RUSH`]. There is then always somebody who
/// waits, and nothing is gained by more of them than keep connections busy.
/// <https://queue.acm.org/detail.cfm?id=2839461>, “Adaptive LIFO and controlled delay”
const OVERLOADED: Duration = Duration::from_millis(100);

/// The way to the database for requests. A request passes the gate of its person, of its dealership, of all people, and
/// the last one, in this order: at most so many of one dealership stand before the gate of all, whatever it sends.
#[derive(Clone)]
pub(crate) struct Admission {
    db: Db,
    people: Gates<ClerkUserId>,
    dealerships: Gates<ClerkOrgId>,
    members: Arc<Gate>,
    webhooks: Arc<Gate>,
    visitors: Arc<Gate>,
    all: Arc<Gate>,
}

/// Permission to use one connection.
pub(crate) struct Permit {
    db: Db,
    _passed: Vec<Passed>,
}

impl Permit {
    /// The database, to be used for one transaction at a time.
    pub(crate) fn db(&self) -> &Db {
        &self.db
    }
}

impl Admission {
    /// As many at once as the pool of `db` has `connections`.
    pub(crate) fn new(db: Db, connections: u32) -> Self {
        let connections = usize::try_from(connections).expect("it has at least 32 bits");
        // What the other one cannot take: a few webhooks need little, and people are not kept out by many of them.
        let reserved = (connections / 8).max(1);
        let others = connections.saturating_sub(reserved).max(1);
        Self {
            db,
            people: Gates::new((connections / 4).max(1), MAX_OF_PERSON),
            dealerships: Gates::new((connections / 2).max(1), MAX_OF_DEALERSHIP),
            members: Gate::of_everybody(others),
            webhooks: Gate::of_everybody(others),
            visitors: Gate::of_everybody((connections / 2).max(1)),
            all: Gate::of_everybody(connections),
        }
    }

    /// Waits for a permit for a person's request, which lasts until the value is dropped.
    pub(crate) async fn member(&self, identity: &Identity) -> Result<Permit, Problem> {
        let since = Instant::now();
        let dealership = identity.organization.as_ref().map(|organization| self.dealerships.of(organization));
        let own: Vec<_> = [Some(self.people.of(&identity.user)), dealership].into_iter().flatten().collect();
        let mut passed = pass(&own, since).await.map_err(|refused| match refused {
            // Whoever waits for their own requests waits for those of all when those stand still.
            Refused::Waited if self.members.free.available_permits() == 0 => Problem::overloaded(),
            _ => Problem::too_much_at_once(),
        })?;
        let shared = [self.members.clone(), self.all.clone()];
        passed.extend(pass(&shared, since).await.map_err(|_| Problem::overloaded())?);
        Ok(self.permit(passed))
    }

    /// Waits for a permit for an authentic webhook.
    pub(crate) async fn webhook(&self) -> Result<Permit, Problem> {
        let shared = [self.webhooks.clone(), self.all.clone()];
        pass(&shared, Instant::now()).await.map(|passed| self.permit(passed)).map_err(|_| Problem::overloaded())
    }

    /// Waits for a permit for somebody whom nobody knows: a customer with a form. All of them together leave connections to
    /// people and to webhooks.
    pub(crate) async fn visitor(&self) -> Result<Permit, Problem> {
        let shared = [self.visitors.clone(), self.all.clone()];
        pass(&shared, Instant::now()).await.map(|passed| self.permit(passed)).map_err(|_| Problem::overloaded())
    }

    fn permit(&self, passed: Vec<Passed>) -> Permit {
        Permit { db: self.db.clone(), _passed: passed }
    }
}

/// Passes one gate after the other.
async fn pass(gates: &[Arc<Gate>], since: Instant) -> Result<Vec<Passed>, Refused> {
    let places: Result<Vec<_>, Refused> = gates.iter().map(|gate| gate.place()).collect();
    let mut passed = Vec::with_capacity(gates.len());
    for (gate, place) in gates.iter().zip(places?) {
        passed.push(Passed { _place: place, _free: gate.enter(since).await?, _gate: gate.clone() });
    }
    Ok(passed)
}

/// A gate for each of many, for as long as somebody stands before it or is behind it.
#[derive(Clone)]
struct Gates<K> {
    free: usize,
    places: usize,
    in_use: Arc<Mutex<HashMap<K, Weak<Gate>>>>,
}

impl<K: Hash + Eq + Clone> Gates<K> {
    fn new(free: usize, places: usize) -> Self {
        Self { free, places, in_use: Arc::default() }
    }

    fn of(&self, key: &K) -> Arc<Gate> {
        let mut gates = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(key).and_then(Weak::upgrade) {
            return gate;
        }
        // Amortized: after it, there is room for as many again as are in use.
        if gates.len() == gates.capacity() {
            gates.retain(|_, gate| gate.strong_count() > 0);
        }
        let gate = Arc::new(Gate::new(self.free, self.places));
        gates.insert(key.clone(), Arc::downgrade(&gate));
        gate
    }
}

/// Lets so many through at once, in the order in which they came.
struct Gate {
    /// For whoever is through or waits.
    places: Arc<Semaphore>,
    free: Arc<Semaphore>,
    last_free: Mutex<Instant>,
    /// Whether the log was told of an overload, of a gate that is everybody's.
    logged: Option<AtomicBool>,
}

/// A gate that was passed, until this is dropped.
struct Passed {
    _place: OwnedSemaphorePermit,
    _free: OwnedSemaphorePermit,
    /// That of a person or a dealership lasts for as long as somebody needs it.
    _gate: Arc<Gate>,
}

/// Why somebody was not let through.
#[derive(Debug, Clone, Copy)]
enum Refused {
    /// So many wait that waiting is of no use.
    NoPlace,
    /// They have waited for long enough.
    Waited,
}

impl Gate {
    fn new(free: usize, places: usize) -> Self {
        let (places, free) = (Arc::new(Semaphore::new(places)), Arc::new(Semaphore::new(free)));
        Self { places, free, last_free: Mutex::new(Instant::now()), logged: None }
    }

    fn of_everybody(free: usize) -> Arc<Self> {
        let gate = Self::new(free, free * (1 + WAITING_PER_CONNECTION));
        Arc::new(Self { logged: Some(AtomicBool::new(false)), ..gate })
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Refused> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refused::NoPlace)
    }

    async fn enter(&self, since: Instant) -> Result<OwnedSemaphorePermit, Refused> {
        // Not to be had while somebody waits: permits go to them first.
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            self.found_free();
            return Ok(permit);
        }
        match timeout_at(since + self.patience(), Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Refused::Waited),
        }
    }

    fn found_free(&self) {
        *self.last_free.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        if self.logged.as_ref().is_some_and(|logged| logged.swap(false, Ordering::Relaxed)) {
            tracing::info!("there are free connections again");
        }
    }

    fn patience(&self) -> Duration {
        // What one person or dealership has in flight is bounded in number, and hurts nobody else by waiting.
        if self.logged.is_none() || self.last_free.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < RUSH {
            return RUSH;
        }
        if self.logged.as_ref().is_some_and(|logged| !logged.swap(true, Ordering::Relaxed)) {
            tracing::warn!("overloaded: every connection to the database is in use; answering 503 to some");
        }
        OVERLOADED
    }
}

#[cfg(test)]
mod tests {
    use common::db::{Db, Identity};
    use tokio::{
        task::{JoinSet, yield_now},
        time::{Duration, timeout},
    };

    use super::{Admission, MAX_OF_DEALERSHIP, MAX_OF_PERSON, Permit};
    use crate::problem::Problem;

    fn admission(connections: u32) -> Admission {
        let nowhere = "postgres://localhost/nowhere".parse().expect("a URL");
        Admission::new(Db::new(&nowhere, connections, "tests"), connections)
    }

    fn identity(user: usize, organization: &str) -> Identity {
        let user = format!("user_{user}").parse().expect("printable");
        Identity { user, organization: organization.parse().ok(), impersonator: None }
    }

    async fn at_once(admission: &Admission, identity: &Identity) -> Option<Result<Permit, Problem>> {
        timeout(Duration::ZERO, admission.member(identity)).await.ok()
    }

    /// So many requests that each want to be admitted, and have begun to wait where they have to.
    async fn ask(admission: &Admission, people: impl Iterator<Item = Identity>) -> JoinSet<Result<Permit, Problem>> {
        let mut asking = JoinSet::new();
        for identity in people {
            let admission = admission.clone();
            asking.spawn(async move { admission.member(&identity).await });
        }
        for _ in 0..100 {
            yield_now().await;
        }
        asking
    }

    #[tokio::test]
    async fn one_person_and_one_dealership_leave_room_for_others() {
        let admission = admission(8);
        let flood = ask(&admission, (0..MAX_OF_PERSON).map(|_| identity(0, "org_hostile"))).await;
        let refused = at_once(&admission, &identity(0, "org_hostile")).await.expect("without waiting");
        assert!(refused.is_err_and(|problem| problem.status() == 429));
        let others = ask(&admission, (MAX_OF_PERSON..MAX_OF_DEALERSHIP).map(|n| identity(n, "org_hostile"))).await;
        let refused = at_once(&admission, &identity(9_999, "org_hostile")).await.expect("without waiting");
        assert!(refused.is_err_and(|problem| problem.status() == 429));

        let admitted =
            at_once(&admission, &identity(10_000, "org_1")).await.expect("without waiting").expect("a permit");
        let webhook = timeout(Duration::ZERO, admission.webhook()).await.expect("without waiting").expect("a permit");
        drop((admitted, webhook, flood, others));
        yield_now().await;
        assert_eq!(admission.all.free.available_permits(), 8, "nobody holds a permit");
    }

    #[tokio::test]
    async fn people_and_webhooks_leave_room_for_each_other() {
        for connections in [2, 3, 8, 100] {
            let admission = admission(connections);
            let people = ask(&admission, (0..1_000).map(|n| identity(n, &format!("org_{n}")))).await;
            let webhook =
                timeout(Duration::ZERO, admission.webhook()).await.expect("without waiting").expect("a permit");
            drop((people, webhook));
            yield_now().await;
            let mut webhooks = JoinSet::new();
            for _ in 0..1_000 {
                let admission = admission.clone();
                webhooks.spawn(async move { admission.webhook().await });
            }
            for _ in 0..100 {
                yield_now().await;
            }
            at_once(&admission, &identity(1, "org_1")).await.expect("without waiting").expect("a permit");
        }
    }

    #[tokio::test]
    async fn whoever_waits_has_their_turn() {
        let admission = admission(2);
        let first = admission.member(&identity(0, "org_1")).await.expect("nobody else is there");
        let mut asking = JoinSet::new();
        for n in 1..100 {
            let admission = admission.clone();
            asking.spawn(async move { admission.member(&identity(n, "org_1")).await.map(drop) });
        }
        yield_now().await;
        drop(first);
        assert!(asking.join_all().await.iter().all(Result::is_ok));
        assert_eq!(admission.all.free.available_permits(), 2, "nobody holds a permit");
    }
}

//! A limit for each client on what it may do without being known: what is public, tokens that are refused, webhooks
//! whose signature is not valid. Authenticated requests are never limited, even from the same address.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use tokio::time::Instant;

use crate::{
    client::{Client, TrustedProxies},
    problem::Problem,
};

/// What is given back to a client: one request in this time.
const INTERVAL: Duration = Duration::from_millis(100);
/// A client's forms: so many at once, as from an exhibition stand, and then one in this time.
const FORMS_OF_CLIENT: (u32, Duration) = (100, Duration::from_secs(1));
/// The same of one form, whoever fills it in.
const FORMS_OF_FORM: (u32, Duration) = (1000, Duration::from_millis(50));
/// Clients that are kept, twice: some 10 MB. With more at once, the oldest are forgotten, and begin anew.
const MAX_CLIENTS: usize = 65_536;

/// A bucket of tokens for each client, as the generic cell rate algorithm has it: all that is to be known of a bucket is
/// when it will be full again. <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>
pub(crate) struct RateLimiter<K = Client> {
    burst: Duration,
    interval: Duration,
    buckets: Mutex<Buckets<K>>,
}

/// Two generations: when one is full or old enough for all its buckets to be full again, the one before it is dropped.
struct Buckets<K> {
    full_at: HashMap<K, Instant>,
    before: HashMap<K, Instant>,
    since: Instant,
}

impl RateLimiter {
    /// `burst` requests at once, and then ten a second.
    pub(crate) fn new(burst: u32) -> Self {
        Self::every((burst, INTERVAL))
    }

    /// What to answer this client, who is not known: `problem`, unless they caused too many.
    pub(crate) fn refuse(&self, client: Client, problem: Problem) -> Problem {
        self.check(client).err().unwrap_or(problem)
    }
}

impl<K: Eq + Hash + Copy> RateLimiter<K> {
    /// So many requests at once, and then one in each interval.
    fn every((burst, interval): (u32, Duration)) -> Self {
        let buckets = Buckets { full_at: HashMap::new(), before: HashMap::new(), since: Instant::now() };
        Self { burst: interval * burst, interval, buckets: Mutex::new(buckets) }
    }

    /// Lets a client do something once.
    pub(crate) fn check(&self, client: K) -> Result<(), Problem> {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let after = self.after(&buckets, client, now)?;
        buckets.remember(client, after, now, self.burst);
        Ok(())
    }

    /// Takes back that a client did something once: it was somebody authentic.
    pub(crate) fn forgive(&self, client: K) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let before = buckets.full_at(client).and_then(|full_at| full_at.checked_sub(self.interval));
        if let Some(before) = before {
            buckets.remember(client, before, Instant::now(), self.burst);
        }
    }

    /// Whether a client is below its limit, without counting the request: it may yet turn out to be authentic.
    pub(crate) fn allows(&self, client: K) -> Result<(), Problem> {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        self.after(&buckets, client, Instant::now()).map(drop)
    }

    /// When a client's bucket will be full again, should they do something now.
    fn after(&self, buckets: &Buckets<K>, client: K, now: Instant) -> Result<Instant, Problem> {
        let after = buckets.full_at(client).map_or(now, |full_at| full_at.max(now)) + self.interval;
        let missing = after.saturating_duration_since(now + self.burst);
        if missing.is_zero() { Ok(after) } else { Err(Problem::too_many_requests(missing)) }
    }
}

impl<K: Eq + Hash + Copy> Buckets<K> {
    fn full_at(&self, client: K) -> Option<Instant> {
        self.full_at.get(&client).or_else(|| self.before.get(&client)).copied()
    }

    fn remember(&mut self, client: K, full_at: Instant, now: Instant, burst: Duration) {
        if self.full_at.len() >= MAX_CLIENTS || now.duration_since(self.since) > burst {
            self.before = mem::take(&mut self.full_at);
            self.since = now;
        }
        self.full_at.insert(client, full_at);
    }
}

/// How many forms are taken: far more than people send, and fewer than fill a database.
pub(crate) struct FormLimits {
    clients: RateLimiter,
    /// By a hash of the key: made-up ones must not take up memory.
    forms: RateLimiter<u64>,
    hasher: RandomState,
}

impl FormLimits {
    pub(crate) fn new() -> Self {
        let (clients, forms) = (RateLimiter::every(FORMS_OF_CLIENT), RateLimiter::every(FORMS_OF_FORM));
        Self { clients, forms, hasher: RandomState::new() }
    }

    /// Lets a client send a form once.
    pub(crate) fn check(&self, client: Client, key: &str) -> Result<(), Problem> {
        self.clients.check(client)?;
        self.forms.check(self.hasher.hash_one(key))
    }
}

/// What a handler takes that anybody may call.
pub(crate) struct RateLimited;

impl<S: Send + Sync> FromRequestParts<S> for RateLimited
where
    Arc<RateLimiter>: FromRef<S>,
    TrustedProxies: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let client = Client::of(parts, TrustedProxies::from_ref(state));
        Arc::<RateLimiter>::from_ref(state).check(client).map(|()| Self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::RateLimiter;

    #[test]
    fn what_is_forgiven_does_not_count() {
        let limiter = RateLimiter::<u8>::every((2, Duration::from_hours(1)));
        for _ in 0..10 {
            assert!(limiter.check(1).is_ok());
            limiter.forgive(1);
        }
        limiter.forgive(2);
        for client in [1, 2] {
            assert!(limiter.check(client).is_ok() && limiter.check(client).is_ok() && limiter.check(client).is_err());
        }
    }
}

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use common::db::Identity;
use jsonwebtoken::DecodingKey;

/// How many tokens are kept at most.
const LIMIT: usize = 4_096;
/// How long those are at most, in bytes. Clerk's have about 1,000.
const LONGEST: usize = 2_048;

/// Tokens whose signature and claims were found right, so that a token is verified once and not at each of its requests.
/// What may change is asked each time all the same: whether its time has come or is over, whether its key is still
/// published, and of our own database what its bearer may see.
#[derive(Default)]
pub(super) struct TokenCache(Mutex<HashMap<Box<str>, Verified>>);

/// What a token said that was found right.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) identity: Identity,
    pub(super) valid: Validity,
    pub(super) kid: String,
    /// The very key: one that was fetched since is another one.
    pub(super) key: Arc<DecodingKey>,
}

/// From when until when a token is valid, in seconds since 1970, as its issuer's clock has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    pub(super) from: i64,
    pub(super) until: i64,
}

impl TokenCache {
    pub(super) fn find(&self, token: &str) -> Option<Verified> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Makes room, when there is none, by forgetting what is over at this time, and everything if that is less than half.
    pub(super) fn keep(&self, token: &str, verified: Verified, now: i64) {
        if token.len() > LONGEST {
            return;
        }
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= LIMIT {
            tokens.retain(|_, verified| verified.valid.until > now);
            if tokens.len() > LIMIT / 2 {
                tokens.clear();
            }
        }
        tokens.insert(token.into(), verified);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(until: i64) -> Verified {
        let user = "user_1".parse().expect("printable");
        Verified {
            identity: Identity { user, organization: None, impersonator: None },
            valid: Validity { from: 0, until },
            kid: "kid".to_owned(),
            key: Arc::new(DecodingKey::from_secret(b"")),
        }
    }

    #[test]
    fn memory_is_bounded_and_what_is_over_goes_first() {
        let cache = TokenCache::default();
        let count = || cache.0.lock().expect("nobody panicked").len();
        for n in 0..LIMIT {
            cache.keep(&n.to_string(), verified(if n % 2 == 0 { 10 } else { 20 }), 5);
        }
        assert_eq!(count(), LIMIT);
        cache.keep("one more", verified(20), 15);
        assert_eq!(count(), LIMIT / 2 + 1);
        assert!(cache.find("0").is_none() && cache.find("1").is_some());
        for n in 0..=LIMIT {
            cache.keep(&format!("another {n}"), verified(20), 15);
        }
        assert!(count() <= LIMIT && cache.find(&format!("another {LIMIT}")).is_some());
        cache.keep(&"x".repeat(LONGEST + 1), verified(20), 15);
        assert!(cache.find(&"x".repeat(LONGEST + 1)).is_none());
    }
}

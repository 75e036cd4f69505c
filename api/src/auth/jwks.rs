//! Clerk's public keys: fetched when needed, kept, and kept through an outage.
//! <https://www.rfc-editor.org/rfc/rfc7517>

use std::{collections::HashMap, sync::Arc, time::Duration};

use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use reqwest::{Response, redirect::Policy};
use tokio::{
    sync::{Mutex, OwnedMutexGuard, RwLock},
    time::Instant,
};

/// Known keys are looked up anew after this time, so that a withdrawn one stops working.
const MAX_AGE: Duration = Duration::from_hours(1);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// In bytes. Clerk's answer has about one thousand.
const MAX_ANSWER: usize = 256 * 1024;
const MAX_REDIRECTS: usize = 3;

type Keys = HashMap<String, Arc<DecodingKey>>;

/// The keys of one issuer.
pub(super) struct Jwks {
    url: String,
    /// At most one fetch in this time.
    interval: Duration,
    http: reqwest::Client,
    known: RwLock<Option<(Keys, Instant)>>,
    /// Locked while a fetch is under way, so that concurrent misses share it.
    last_fetch: Arc<Mutex<Option<Fetch>>>,
}

#[derive(Clone, Copy)]
struct Fetch {
    began: Instant,
    succeeded: bool,
}

/// Why there is no key for a token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JwksError {
    #[error("no key has this id")]
    UnknownKey,
    #[error("the keys cannot be fetched; check CLERK_JWKS_URL and that Clerk can be reached")]
    Fetch(#[source] reqwest::Error),
    #[error("the answer is larger than any set of keys; check CLERK_JWKS_URL")]
    TooLarge,
    #[error("the answer holds no usable key; check CLERK_JWKS_URL")]
    NoKeys,
    #[error("the keys could not be fetched a moment ago")]
    Waiting,
}

impl Jwks {
    pub(super) fn new(url: &str, interval: Duration) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder().timeout(FETCH_TIMEOUT).redirect(same_origin()).build()?;
        Ok(Self { url: url.to_owned(), interval, http, known: RwLock::default(), last_fetch: Arc::default() })
    }

    pub(super) async fn key(self: &Arc<Self>, kid: &str) -> Result<Arc<DecodingKey>, JwksError> {
        let Some((key, age)) = self.lookup(kid).await else {
            self.refresh(kid).await?;
            return self.lookup(kid).await.map(|(key, _)| key).ok_or(JwksError::UnknownKey);
        };
        if age > MAX_AGE {
            self.refresh_in_background();
        }
        Ok(key)
    }

    async fn lookup(&self, kid: &str) -> Option<(Arc<DecodingKey>, Duration)> {
        let known = self.known.read().await;
        let (keys, since) = known.as_ref()?;
        keys.get(kid).map(|key| (key.clone(), since.elapsed()))
    }

    /// Fetches for the sake of a key that is not known, unless somebody just did.
    async fn refresh(self: &Arc<Self>, missing: &str) -> Result<(), JwksError> {
        let last = self.last_fetch.clone().lock_owned().await;
        if self.lookup(missing).await.is_some() {
            return Ok(());
        }
        match *last {
            Some(fetch) if fetch.began.elapsed() < self.interval => {
                if fetch.succeeded {
                    Ok(())
                } else {
                    Err(JwksError::Waiting)
                }
            }
            _ => self.fetch(last).await,
        }
    }

    /// Nobody waits for it, and an outage changes nothing: known keys go on working.
    fn refresh_in_background(self: &Arc<Self>) {
        let Ok(last) = self.last_fetch.clone().try_lock_owned() else { return };
        if last.is_some_and(|fetch| fetch.began.elapsed() < self.interval) {
            return;
        }
        let jwks = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = jwks.fetch(last).await {
                tracing::warn!(error = common::telemetry::error_chain(&error), "known keys stay in use");
            }
        });
    }

    /// Goes on when its caller is gone: a stranger who hangs up must not use up the one fetch of the interval.
    async fn fetch(self: &Arc<Self>, mut last: OwnedMutexGuard<Option<Fetch>>) -> Result<(), JwksError> {
        let jwks = Arc::clone(self);
        let fetching = tokio::spawn(async move {
            let began = Instant::now();
            *last = Some(Fetch { began, succeeded: false });
            let keys = jwks.download().await?;
            tracing::info!(keys = keys.len(), "fetched Clerk's public keys");
            *jwks.known.write().await = Some((keys, Instant::now()));
            *last = Some(Fetch { began, succeeded: true });
            Ok(())
        });
        fetching.await.unwrap_or(Err(JwksError::Waiting))
    }

    /// An answer without a usable key is no answer: some proxy's, perhaps.
    async fn download(&self) -> Result<Keys, JwksError> {
        let answer = self.http.get(&self.url).send().await.and_then(Response::error_for_status);
        let mut answer = answer.map_err(JwksError::Fetch)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(JwksError::Fetch)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(JwksError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let set = serde_json::from_slice(&body).map_err(|_| JwksError::NoKeys)?;
        Some(usable(&set)).filter(|keys| !keys.is_empty()).ok_or(JwksError::NoKeys)
    }
}

/// Whoever can answer for our issuer may move its keys, but nobody may name another one who can.
fn same_origin() -> Policy {
    Policy::custom(|attempt| {
        let elsewhere = attempt.previous().first().is_none_or(|first| first.origin() != attempt.url().origin());
        if elsewhere || attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error("redirected elsewhere, which is not followed");
        }
        attempt.follow()
    })
}

/// The RSA signing keys among them. One that we cannot read must not cost us the others.
fn usable(set: &serde_json::Value) -> Keys {
    let keys = set["keys"].as_array().into_iter().flatten();
    let parsed = JwkSet { keys: keys.filter_map(|key| serde_json::from_value(key.clone()).ok()).collect() };
    parsed.keys.iter().filter(|key| is_for_rs256(key)).filter_map(named).collect()
}

fn named(key: &Jwk) -> Option<(String, Arc<DecodingKey>)> {
    let id = key.common.key_id.clone()?;
    Some((id, Arc::new(DecodingKey::from_jwk(key).ok()?)))
}

fn is_for_rs256(key: &Jwk) -> bool {
    matches!(key.algorithm, AlgorithmParameters::RSA(_))
        && matches!(key.common.key_algorithm, None | Some(KeyAlgorithm::RS256))
        && matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature))
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, http::StatusCode, response::Redirect, routing::get};
    use serde_json::{Value, json};
    use tokio::{net::TcpListener, sync::watch};

    use super::*;

    /// The keys of an issuer that publishes what it is told to, and is away as long as that is nothing.
    async fn issuer(keys: Value) -> (Arc<Jwks>, watch::Sender<Option<Value>>) {
        let (publish, published) = watch::channel(Some(keys));
        let answer = async move || {
            let keys = published.borrow().clone();
            keys.map(|keys| Json(json!({ "keys": keys }))).ok_or(StatusCode::SERVICE_UNAVAILABLE)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/", get(answer))).await });
        (Arc::new(Jwks::new(&url, Duration::ZERO).expect("TLS is there")), publish)
    }

    fn published(kid: &str) -> Value {
        json!({ "kty": "RSA", "kid": kid, "n": "AQAB", "e": "AQAB" })
    }

    #[tokio::test]
    async fn old_keys_work_until_clerk_withdraws_them() {
        let (jwks, publish) = issuer(json!([published("old")])).await;
        jwks.key("old").await.expect("it is published");
        let long_ago = Instant::now().checked_sub(MAX_AGE * 2);
        jwks.known.write().await.as_mut().expect("they were fetched").1 = long_ago.expect("clocks reach back");

        publish.send_replace(None);
        jwks.key("old").await.expect("an outage takes nothing away");
        assert!(jwks.last_fetch.lock().await.is_some_and(|fetch| !fetch.succeeded), "Clerk was asked");
        publish.send_replace(Some(json!([published("new")])));
        jwks.key("old").await.expect("nobody waits for the answer");
        drop(jwks.last_fetch.lock().await);
        assert!(matches!(jwks.key("old").await, Err(JwksError::UnknownKey)));
        jwks.key("new").await.expect("it is published");
    }

    #[tokio::test]
    async fn keys_come_from_their_own_place_and_in_a_reasonable_size() {
        let (elsewhere, _publish) = issuer(json!([published("foreign")])).await;
        let foreign = elsewhere.url.clone();
        let redirecting = Router::new()
            .route("/moved", get(|| async { Redirect::temporary("/keys") }))
            .route("/foreign", get(async move || Redirect::temporary(&foreign)))
            .route("/loop", get(|| async { Redirect::temporary("/loop") }))
            .route("/keys", get(|| async { Json(json!({ "keys": [published("ours")] })) }))
            .route(
                "/huge",
                get(|| async { Json(json!({ "keys": [published("ours")], "padding": "x".repeat(MAX_ANSWER) })) }),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move { axum::serve(listener, redirecting).await });
        let key = async |path: &str, kid: &str| {
            let jwks =
                Jwks::new(&format!("http://{address}{path}"), Duration::ZERO).expect("the system has what TLS needs");
            Arc::new(jwks).key(kid).await
        };
        key("/moved", "ours").await.expect("its own host may move them");
        assert!(matches!(key("/foreign", "foreign").await, Err(JwksError::Fetch(error)) if error.is_redirect()));
        assert!(matches!(key("/loop", "ours").await, Err(JwksError::Fetch(error)) if error.is_redirect()));
        assert!(matches!(key("/huge", "ours").await, Err(JwksError::TooLarge)));
    }

    #[tokio::test]
    async fn only_keys_for_this_are_used() {
        let with = |kid: &str, member: &str, value: &str| {
            let mut key = published(kid);
            key[member] = value.into();
            key
        };
        let others =
            [with("encrypts", "use", "enc"), with("longer", "alg", "RS512"), with("odd", "kty", "?"), json!(7)];
        let keys = others.into_iter().chain([published("ours")]).collect();
        let (jwks, _publish) = issuer(keys).await;
        jwks.key("ours").await.expect("the others do not cost us this one");
        for kid in ["encrypts", "longer", "odd"] {
            assert!(matches!(jwks.key(kid).await, Err(JwksError::UnknownKey)), "{kid}");
        }
    }
}

//! Which web sites' scripts may call the API.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::idempotency::REPLAYED;

/// How long a browser may remember what it may do.
const MAX_AGE: Duration = Duration::from_hours(1);
/// At most one refusal is logged in this time: a site that nobody allowed may be visited by many.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Characters of an origin that are logged.
const MAX_LOGGED: usize = 100;

/// Permits browsers of these origins to call the routes that it is laid over. Every request header is permitted: what
/// tracing and retrying libraries add grants nothing, and no cookie is read.
pub(crate) fn layer(origins: &[String]) -> CorsLayer {
    let (patterns, refusals) = (origins.to_vec(), Refusals::default());
    let allowed = move |origin: &HeaderValue, _: &_| {
        let allowed = origin.to_str().is_ok_and(|origin| patterns.iter().any(|pattern| matches(pattern, origin)));
        if !allowed {
            refusals.log(origin);
        }
        allowed
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            header::ETAG,
            header::WWW_AUTHENTICATE,
            HeaderName::from_static("x-request-id"),
            REPLAYED,
        ])
        .max_age(MAX_AGE)
}

/// Logs refused origins, since the browser that is refused is told nothing that helps.
#[derive(Default)]
struct Refusals(Mutex<(Option<Instant>, u64)>);

impl Refusals {
    fn log(&self, origin: &HeaderValue) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, unlogged) = &mut *state;
        if last.is_some_and(|last| last.elapsed() < LOG_INTERVAL) {
            *unlogged += 1;
            return;
        }
        let origin: String = String::from_utf8_lossy(origin.as_bytes()).chars().take(MAX_LOGGED).collect();
        let others = std::mem::take(unlogged);
        *last = Some(Instant::now());
        tracing::warn!(origin, others, "browser origin refused; is it missing in CORS_ORIGINS?");
    }
}

/// `*` stands for one or more letters, digits and hyphens: never for a dot, so `https://*.vercel.app` is one level deep.
fn matches(pattern: &str, origin: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == origin };
    let Some(rest) = origin.strip_prefix(before) else { return false };
    let run = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'-').count();
    (1..=run).any(|len| matches(after, &rest[len..]))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_pattern_is_one_level_deep_and_anchored() {
        for origin in ["https://norvalt.vercel.app", "https://norvalt-git-main-7.vercel.app"] {
            assert!(matches("https://*.vercel.app", origin), "{origin}");
        }
        for origin in [
            "https://.vercel.app",
            "https://a.b.vercel.app",
            "http://norvalt.vercel.app",
            "https://norvalt.vercel.app.evil.example",
            "https://norvalt.vercel.app:8443",
            "https://evil.example/.vercel.app",
        ] {
            assert!(!matches("https://*.vercel.app", origin), "{origin}");
        }
        assert!(matches("https://norvalt-*-team.vercel.app", "https://norvalt-pr-1-team.vercel.app"));
        assert!(matches("http://localhost:3000", "http://localhost:3000"));
    }
}

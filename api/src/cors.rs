use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Lets browsers of the configured origins call the API.
pub(crate) fn layer(origins: &[String]) -> CorsLayer {
    let patterns = origins.to_vec();
    let allowed = move |origin: &HeaderValue, _: &_| {
        origin.to_str().is_ok_and(|origin| patterns.iter().any(|pattern| matches(pattern, origin)))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, HeaderName::from_static("x-request-id")])
        .expose_headers([header::LOCATION, header::RETRY_AFTER, HeaderName::from_static("x-request-id")])
        .max_age(std::time::Duration::from_hours(1))
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

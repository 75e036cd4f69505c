//! Headers that tell browsers and caches to be careful with what is answered.
//! <https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html#security-headers>

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Response, header},
    middleware::Next,
};

use crate::client::TrustedProxies;

/// Of answers that are data: they load nothing and stand in no frame.
const DATA_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// Of the page at `/docs`, which has everything from here, and images and styles within its script.
const DOCS_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// A year, in seconds.
const TRANSPORT_SECURITY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds them to every answer. What a dealership has is for nobody's cache.
pub(crate) async fn add(
    State(TrustedProxies(trusted_proxies)): State<TrustedProxies>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let secure = trusted_proxies > 0 && is_https(request.headers());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    set(headers);
    if secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, TRANSPORT_SECURITY);
    }
    response
}

/// Those that do not depend on how the request came.
pub(crate) fn set(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(DATA_POLICY);
}

/// Lets the page at `/docs` run, and browsers ask whether it is still the same.
pub(crate) async fn add_for_docs(request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, DOCS_POLICY);
    response
}

/// Whether the proxy that ends TLS was called by HTTPS. Without one we are called by plain HTTP ourselves, where the
/// header would mean nothing.
fn is_https(headers: &HeaderMap) -> bool {
    let proto = headers.get_all("x-forwarded-proto").into_iter().next_back().and_then(|value| value.to_str().ok());
    proto.and_then(|proto| proto.rsplit(',').next()).is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}

use std::{net::SocketAddr, sync::Arc, time::Instant};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use common::{
    audit::{Operator, Via},
    config::Operators,
};

use super::guesses::Guesses;

/// What the pages may do in a browser: show themselves, and send their forms back here.
const CONTENT_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Lets operators in, each by name and password, and only from pages of our own. Handlers find the [`Operator`] in the
/// request's extensions. <https://www.rfc-editor.org/rfc/rfc7617>
pub(super) async fn operators_only(
    State(operators): State<Operators>,
    State(guesses): State<Arc<Guesses>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    if operators.is_empty() {
        let remedy = "Set WORKER_ADMIN_PASSWORD or WORKER_ADMIN_USERS to see the queue here.\n";
        return (StatusCode::NOT_FOUND, remedy).into_response();
    }
    let Some((name, password)) = credentials(request.headers()) else { return challenge() };
    if let Err(wait) = guesses.check(peer.ip(), Instant::now()) {
        tracing::warn!(address = %peer.ip(), "too many wrong passwords on the operators' pages: refused unseen");
        let wait = wait.as_secs().max(1);
        let said = format!("Too many wrong passwords from your address. Try again in {wait} s.\n");
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, wait.to_string())], said).into_response();
    }
    let Some(name) = authenticate(&operators, &name, &password) else {
        guesses.wrong(peer.ip(), Instant::now());
        tracing::warn!(address = %peer.ip(), "a wrong name or password on the operators' pages");
        return challenge();
    };
    if !is_from_our_page(request.method(), request.headers()) {
        tracing::warn!(operator = name, address = %peer.ip(), "a page of somebody else sent a form in an operator's name");
        return (StatusCode::FORBIDDEN, "This was sent by a page of somebody else.\n").into_response();
    }
    request.extensions_mut().insert(Operator::new(name, Via::Page));
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With none at all, a browser would not say whose page it is either.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    (headers, next.run(request).await).into_response()
}

fn challenge() -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"Norvalt operators\", charset=\"UTF-8\"")];
    let said = "Sign in as admin with WORKER_ADMIN_PASSWORD, or as one of WORKER_ADMIN_USERS.\n";
    (StatusCode::UNAUTHORIZED, challenge, said).into_response()
}

fn credentials(headers: &HeaderMap) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

/// The operator whose name and password these are. Takes the same time whoever it is and however much of it is right:
/// every operator is compared, and hashes have one length.
fn authenticate<'a>(operators: &'a Operators, name: &[u8], password: &[u8]) -> Option<&'a str> {
    let same = |one: &[u8], other: &[u8]| {
        verify_slices_are_equal(digest(&SHA256, one).as_ref(), digest(&SHA256, other).as_ref()).is_ok()
    };
    operators.iter().fold(None, |found, (known, secret)| {
        let right = same(name, known.as_bytes()) & same(password, secret.expose().as_bytes());
        if right { Some(known) } else { found }
    })
}

/// A browser sends the password along with the form of any page, and says whose page it was.
/// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Origin>,
/// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site>
fn is_from_our_page(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let ours = match text(header::ORIGIN) {
        Some(origin) => origin.split_once("://").map(|(_, host)| host) == text(header::HOST),
        None => true,
    };
    let site = text(header::HeaderName::from_static("sec-fetch-site"));
    ours && (method.is_safe() || site.is_none_or(|site| matches!(site, "same-origin" | "none")))
}

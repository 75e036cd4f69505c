use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use common::secret::Secret;

/// What the pages may do in a browser: show themselves, and send their forms back here.
const CONTENT_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Lets operators in: by HTTP Basic authentication with any name and the one password, and only from pages of our own.
/// <https://www.rfc-editor.org/rfc/rfc7617>
pub(super) async fn operators_only(State(password): State<Option<Secret>>, request: Request, next: Next) -> Response {
    let Some(password) = password else {
        return (StatusCode::NOT_FOUND, "Set WORKER_ADMIN_PASSWORD to see the queue here.\n").into_response();
    };
    if !given(request.headers()).is_some_and(|given| same(&given, &password)) {
        tracing::warn!("somebody without the password asked for the operators' pages");
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"Norvalt operators\", charset=\"UTF-8\"")];
        return (StatusCode::UNAUTHORIZED, challenge, "The password is WORKER_ADMIN_PASSWORD.\n").into_response();
    }
    if !of_ours(request.headers()) {
        return (StatusCode::FORBIDDEN, "This was sent by a page of somebody else.\n").into_response();
    }
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::CACHE_CONTROL, "no-store"),
        // With none at all, a browser would not say whose page it is either.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    (headers, next.run(request).await).into_response()
}

fn given(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    Some(decoded[colon + 1..].to_vec())
}

/// In the same time, however much of it is right.
fn same(given: &[u8], password: &Secret) -> bool {
    verify_slices_are_equal(given, password.expose().as_bytes()).is_ok()
}

/// A browser sends the password along with the form of any page, and tells whose page it was.
/// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Origin>
fn of_ours(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match text(header::ORIGIN) {
        Some(origin) => origin.split_once("://").map(|(_, host)| host) == text(header::HOST),
        None => !headers.contains_key(header::ORIGIN),
    }
}

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::Markup;
use reqwest::Url;

/// Where the script and the frame of Turnstile come from.
/// <https://developers.cloudflare.com/turnstile/reference/content-security-policy>
const TURNSTILE: &str = "https://challenges.cloudflare.com";
/// A page of ours is told where its form was, and by that its `Origin`; with `no-referrer` browsers send `null` for it.
/// <https://fetch.spec.whatwg.org/#append-a-request-origin-header>
const REFERRER: HeaderValue = HeaderValue::from_static("same-origin");

/// A page without a form.
pub fn page(status: StatusCode, markup: Markup) -> Response {
    respond(status, markup, "form-action 'none'")
}

/// A page with a form, after which the visitor is sent to `next`: browsers ask the page that had the form whether they may
/// go there. <https://github.com/w3c/webappsec-csp/issues/8>
pub(super) fn form_page(status: StatusCode, markup: Markup, turnstile: bool, next: Option<&str>) -> Response {
    let after = next.and_then(origin).map(|origin| format!(" {origin}")).unwrap_or_default();
    let (scripts, frames) =
        if turnstile { (format!(" {TURNSTILE}"), format!("; frame-src {TURNSTILE}")) } else { Default::default() };
    respond(status, markup, &format!("script-src 'self'{scripts}{frames}; form-action 'self'{after}"))
}

/// Any site may show our pages in a frame: there is nobody signed in whose click could be stolen.
fn respond(status: StatusCode, markup: Markup, policy: &str) -> Response {
    let policy = format!("default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors *; {policy}");
    let policy = HeaderValue::from_str(&policy).expect("an origin is ASCII without blanks");
    let headers: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, REFERRER),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let mut response = (status, headers, markup).into_response();
    response.extensions_mut().insert(ForPeople);
    response
}

/// Marks a page that stays as it is, whatever its status: a person reads it, not a program.
#[derive(Debug, Clone, Copy)]
pub struct ForPeople;

/// Of an address on the web.
fn origin(address: &str) -> Option<String> {
    let address = Url::parse(address).ok().filter(|address| matches!(address.scheme(), "https" | "http"))?;
    Some(address.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use maud::html;

    use super::*;

    fn policy(turnstile: bool, next: Option<&str>) -> String {
        let response = form_page(StatusCode::OK, html! {}, turnstile, next);
        response.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("text").to_owned()
    }

    #[test]
    fn a_page_may_go_where_its_form_leads_and_nowhere_else() {
        for (next, action) in [
            (None, "form-action 'self'"),
            (Some("https://www.fjordbil.no/takk?kilde=skjema"), "form-action 'self' https://www.fjordbil.no"),
            (Some("http://localhost:3000/takk"), "form-action 'self' http://localhost:3000"),
            (Some("https://bjørns-bil.no/"), "form-action 'self' https://xn--bjrns-bil-m8a.no"),
            (Some("https://a.no; script-src *"), "form-action 'self'"),
            (Some("javascript:alert(1)"), "form-action 'self'"),
            (Some("/takk"), "form-action 'self'"),
        ] {
            assert!(policy(false, next).ends_with(action), "{}", policy(false, next));
            assert!(policy(false, next).contains("script-src 'self';"), "{}", policy(false, next));
        }
        let turnstile = policy(true, None);
        assert!(
            turnstile.contains("script-src 'self' https://challenges.cloudflare.com; frame-src https://challenges")
        );
        assert!(!turnstile.contains("unsafe"), "{turnstile}");
    }
}

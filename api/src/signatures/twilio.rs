//! Twilio's webhooks. <https://www.twilio.com/docs/usage/security#validating-requests>

use aws_lc_rs::hmac;
use axum::http::HeaderMap;
use base64::{Engine, engine::general_purpose::STANDARD};
use common::secrets::Secret;

const BYTES: usize = 20;

/// Whether a form was posted to `url` by Twilio. What Twilio was told counts, with or without the port: behind a proxy we are
/// asked under another name.
pub(crate) fn is_authentic(token: &Secret, headers: &HeaderMap, url: &str, body: &[u8]) -> bool {
    let Some(tag) = signature(headers) else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.expose().as_bytes());
    let parameters = parameters(body);
    let urls = [Some(url.to_owned()), without_port(url), with_port(url)];
    urls.into_iter().flatten().any(|url| hmac::verify(&key, (url + &parameters).as_bytes(), &tag).is_ok())
}

/// Whether a form with these headers can be posted by Twilio.
pub(crate) fn is_plausible(headers: &HeaderMap) -> bool {
    signature(headers).is_some_and(|tag| tag.len() == BYTES)
}

fn signature(headers: &HeaderMap) -> Option<Vec<u8>> {
    STANDARD.decode(headers.get("x-twilio-signature")?.to_str().ok()?).ok()
}

/// Names and values, sorted, and each pair once.
fn parameters(body: &[u8]) -> String {
    let mut pairs: Vec<_> = form_urlencoded::parse(body).collect();
    pairs.sort();
    pairs.dedup();
    pairs.iter().flat_map(|(name, value)| [name.as_ref(), value.as_ref()]).collect()
}

fn split(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    Some((scheme, host, path))
}

fn without_port(url: &str) -> Option<String> {
    let (scheme, host, path) = split(url)?;
    let (host, _) = host.rsplit_once(':')?;
    Some(format!("{scheme}://{host}{path}"))
}

fn with_port(url: &str) -> Option<String> {
    let (scheme, host, path) = split(url)?;
    let port = if scheme == "https" { 443 } else { 80 };
    (!host.contains(':')).then(|| format!("{scheme}://{host}:{port}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Twilio's documentation.
    #[test]
    fn the_signature_is_of_the_address_and_the_sorted_form() {
        let token = Secret::new("12345");
        let body = b"CallSid=CA1234567890ABCDE&Caller=%2B14158675310&Digits=1234&From=%2B14158675310&To=%2B18005551212";
        let url = "https://example.com/myapp.php?foo=1&bar=2";
        let headers = |signature: &str| {
            HeaderMap::from_iter([("x-twilio-signature".parse().expect("a name"), signature.parse().expect("a value"))])
        };
        let signed = headers("L/OH5YylLD5NRKLltdqwSvS0BnU=");
        assert!(is_authentic(&token, &signed, url, body));
        assert!(is_authentic(&token, &signed, "https://example.com:443/myapp.php?foo=1&bar=2", body));
        assert!(!is_authentic(&token, &signed, "https://example.com/myapp.php?foo=1", body));
        assert!(!is_authentic(&token, &signed, url, b"Digits=1"));
        assert!(!is_authentic(&token, &headers("?"), url, body));
        assert!(!is_authentic(&token, &HeaderMap::new(), url, body));
    }
}

//! Meta's webhooks. <https://developers.facebook.com/docs/graph-api/webhooks/getting-started>

use axum::http::HeaderMap;
use common::secrets::Secret;

use super::{is_hmac, is_secret};

/// Of a signature in hexadecimal.
const DIGITS: usize = 64;

/// Whether the body is signed with one of the app's secrets, of which several are live during a rotation. The raw bytes
/// count, in which other letters than those of ASCII are escaped already.
pub(crate) fn is_authentic(secrets: &[Secret], headers: &HeaderMap, body: &[u8]) -> bool {
    signature(headers).is_some_and(|signature| secrets.iter().any(|secret| is_hmac(signature, secret, &[body])))
}

/// Whether a body with these headers can be signed.
pub(crate) fn is_plausible(headers: &HeaderMap) -> bool {
    signature(headers).is_some_and(|signature| signature.len() == DIGITS)
}

fn signature(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-hub-signature-256")?.to_str().ok()?.strip_prefix("sha256=")
}

/// What to answer when Meta asks whether the address is ours: the challenge, if it is one that can be repeated.
pub(crate) fn challenge<'q>(token: &Secret, query: &'q [(String, String)]) -> Option<&'q str> {
    let value = |name: &str| query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    let asked = value("hub.mode") == Some("subscribe") && is_secret(value("hub.verify_token")?, token);
    let plain = |text: &&str| text.len() <= 100 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    value("hub.challenge").filter(plain).filter(|_| asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_authentic_by_any_live_secret() {
        let secrets = [Secret::new("new"), Secret::new("old")];
        let signed = |signature: &str| {
            HeaderMap::from_iter([(
                "x-hub-signature-256".parse().expect("a name"),
                signature.parse().expect("a value"),
            )])
        };
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"old");
        let tag = aws_lc_rs::hmac::sign(&key, b"{}");
        let hex = common::hex(tag.as_ref());
        assert!(is_authentic(&secrets, &signed(&format!("sha256={hex}")), b"{}"));
        assert!(!is_authentic(&secrets, &signed(&format!("sha256={hex}")), b"{} "));
        assert!(!is_authentic(&secrets, &HeaderMap::new(), b"{}"));
        for odd in ["", "sha256=", "sha256=å", "sha256=0", "sha1=00"] {
            let Ok(value) = odd.parse() else { continue };
            assert!(!is_authentic(
                &secrets,
                &HeaderMap::from_iter([("x-hub-signature-256".parse().expect("a name"), value)]),
                b"{}"
            ));
        }
    }

    #[test]
    fn only_a_plain_challenge_is_repeated() {
        let asked = |token: &str, challenge: &str| {
            let pairs = [("hub.mode", "subscribe"), ("hub.verify_token", token), ("hub.challenge", challenge)];
            let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            super::challenge(&Secret::new("right"), &pairs).map(str::to_owned)
        };
        assert_eq!(asked("right", "1158201444").as_deref(), Some("1158201444"));
        assert_eq!(asked("wrong", "1158201444"), None);
        assert_eq!(asked("right", "<script>"), None);
    }
}

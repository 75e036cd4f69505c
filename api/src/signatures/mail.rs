//! How those who receive mails for us show that it is them.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use common::{
    config::MailSenders,
    inquiry::email::{MailgunSignature, Provider},
    secrets::Secret,
};

use super::{is_hmac, is_secret};

/// Whether a mail was handed over by somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authenticity {
    Authentic,
    /// Only the body tells.
    Plausible,
    Forged,
    /// We are not told how to tell.
    NotConfigured,
}

impl Authenticity {
    pub(crate) fn of(is_authentic: Option<bool>) -> Self {
        match is_authentic {
            Some(true) => Self::Authentic,
            Some(false) => Self::Forged,
            None => Self::NotConfigured,
        }
    }

    /// Before the body is read, which may show that it is not.
    pub(crate) fn can_be(can_be_authentic: Option<bool>) -> Self {
        match Self::of(can_be_authentic) {
            Self::Authentic => Self::Plausible,
            other => other,
        }
    }
}

/// Whether the provider has sent this. How old it is does not matter: a mail is delivered again for days, and what came
/// before is known by its content.
pub(crate) fn authenticity(
    senders: &MailSenders,
    provider: Provider,
    headers: &HeaderMap,
    body: &[u8],
) -> Authenticity {
    Authenticity::of(match provider {
        Provider::Sendgrid => senders.sendgrid_key.as_ref().map(|key| is_sendgrids(key, headers, body)),
        Provider::Mailgun => senders.mailgun_key.as_ref().map(|key| is_mailguns(key, headers, body)),
        Provider::Postmark => senders.postmark_login.as_ref().map(|login| has_login(login, headers)),
        Provider::Raw => (!senders.raw_secrets.is_empty()).then(|| is_ours(&senders.raw_secrets, headers, body)),
    })
}

/// Whether something with these headers can be from the provider, before its body is read.
pub(crate) fn before_the_body(senders: &MailSenders, provider: Provider, headers: &HeaderMap) -> Authenticity {
    match provider {
        Provider::Sendgrid => {
            Authenticity::can_be(senders.sendgrid_key.as_ref().map(|_| has_sendgrids_header(headers)))
        }
        Provider::Mailgun => Authenticity::can_be(senders.mailgun_key.as_ref().map(|_| true)),
        Provider::Postmark => Authenticity::of(senders.postmark_login.as_ref().map(|login| has_login(login, headers))),
        Provider::Raw if headers.contains_key("x-norvalt-signature") => {
            Authenticity::can_be((!senders.raw_secrets.is_empty()).then_some(true))
        }
        Provider::Raw => authenticity(senders, provider, headers, &[]),
    }
}

/// Whether a body with these headers can be signed by `SendGrid`.
pub(crate) fn has_sendgrids_header(headers: &HeaderMap) -> bool {
    headers.contains_key("x-twilio-email-event-webhook-signature")
}

/// <https://www.twilio.com/docs/sendgrid/for-developers/parsing-email/securing-your-parse-webhooks>
pub(crate) fn is_sendgrids(key: &[u8], headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signature = text("x-twilio-email-event-webhook-signature").and_then(|text| STANDARD.decode(text).ok());
    let (Some(signature), Some(timestamp)) = (signature, text("x-twilio-email-event-webhook-timestamp")) else {
        return false;
    };
    let signed = [timestamp.as_bytes(), body].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(&signed, &signature).is_ok()
}

/// Says nothing of the content: whoever has seen one such signature can send anything with it.
/// <https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks>
fn is_mailguns(key: &Secret, headers: &HeaderMap, body: &[u8]) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    MailgunSignature::read(content_type, body).is_some_and(|MailgunSignature { timestamp, token, signature }| {
        is_hmac(&signature, key, &[timestamp.as_bytes(), token.as_bytes()])
    })
}

/// <https://www.rfc-editor.org/rfc/rfc7617>
pub(crate) fn has_login(login: &Secret, headers: &HeaderMap) -> bool {
    let given = authorization(headers, "basic").and_then(|encoded| STANDARD.decode(encoded).ok());
    given.and_then(|given| String::from_utf8(given).ok()).is_some_and(|given| is_secret(&given, login))
}

/// The secret itself, or a signature made with it.
fn is_ours(secrets: &[Secret], headers: &HeaderMap, body: &[u8]) -> bool {
    let signature = headers.get("x-norvalt-signature").and_then(|value| value.to_str().ok());
    let signature = signature.and_then(|value| value.strip_prefix("sha256="));
    let bearer = authorization(headers, "bearer");
    secrets.iter().any(|secret| {
        bearer.is_some_and(|given| is_secret(given, secret))
            || signature.is_some_and(|signature| is_hmac(signature, secret, &[body]))
    })
}

fn authorization<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let (given, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| value.trim())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
    };

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn sendgrid_signs_the_timestamp_and_the_raw_bytes() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("randomness");
        let body = b"--xYzZY\r\nBl\xe5b\xe6r";
        let signed = [&b"1700000000"[..], body].concat();
        let signature = STANDARD.encode(pair.sign(&SystemRandom::new(), &signed).expect("it signs"));
        let key = pair.public_key().as_ref().to_vec();
        let senders = MailSenders { sendgrid_key: Some(key), ..MailSenders::default() };
        let given = headers(&[
            ("x-twilio-email-event-webhook-signature", &signature),
            ("x-twilio-email-event-webhook-timestamp", "1700000000"),
        ]);
        let check = |headers: &HeaderMap, body: &[u8]| authenticity(&senders, Provider::Sendgrid, headers, body);
        assert_eq!(check(&given, body), Authenticity::Authentic);
        assert_eq!(check(&given, b"other"), Authenticity::Forged);
        assert_eq!(check(&HeaderMap::new(), body), Authenticity::Forged);
        let nothing = MailSenders::default();
        assert_eq!(authenticity(&nothing, Provider::Sendgrid, &given, body), Authenticity::NotConfigured);
    }

    #[test]
    fn the_others_show_a_secret() {
        let senders = MailSenders {
            postmark_login: Some(Secret::new("norvalt:hemmelig")),
            raw_secrets: vec![Secret::new("ny"), Secret::new("gammel")],
            ..MailSenders::default()
        };
        let check =
            |provider, pairs: &[(&'static str, &str)]| authenticity(&senders, provider, &headers(pairs), b"mail");
        let basic = format!("Basic {}", STANDARD.encode("norvalt:hemmelig"));
        assert_eq!(check(Provider::Postmark, &[("authorization", &basic)]), Authenticity::Authentic);
        assert_eq!(check(Provider::Postmark, &[("authorization", "Basic bm9yOmZlaWw=")]), Authenticity::Forged);
        assert_eq!(check(Provider::Raw, &[("authorization", "Bearer gammel")]), Authenticity::Authentic);
        assert_eq!(check(Provider::Raw, &[("authorization", "Bearer feil")]), Authenticity::Forged);
        let tag = aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"ny"), b"mail");
        let hex = common::hex(tag.as_ref());
        assert_eq!(check(Provider::Raw, &[("x-norvalt-signature", &format!("sha256={hex}"))]), Authenticity::Authentic);
        assert_eq!(check(Provider::Raw, &[]), Authenticity::Forged);
    }
}

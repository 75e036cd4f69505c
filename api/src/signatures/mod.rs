//! Whether what comes in is from whom it says: one file for each way of signing. Secrets are compared in constant time.

pub(crate) mod mail;
pub(crate) mod meta;
pub(crate) mod svix;
pub(crate) mod twilio;

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use common::secrets::Secret;

/// Whether a text is a secret, without telling by its time how much of it is.
fn is_secret(given: &str, secret: &Secret) -> bool {
    let hash = |text: &str| digest(&SHA256, text.as_bytes());
    aws_lc_rs::constant_time::verify_slices_are_equal(hash(given).as_ref(), hash(secret.expose()).as_ref()).is_ok()
}

/// Whether this is the HMAC-SHA256 of the parts, in hexadecimal digits.
fn is_hmac(signature: &str, secret: &Secret, parts: &[&[u8]]) -> bool {
    let Some(tag) = from_hex(signature) else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    hmac::verify(&key, &parts.concat(), &tag).is_ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

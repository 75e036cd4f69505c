//! Randomness for keys, passwords and made-up ids.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// `N` bytes from the operating system's generator.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("AWS-LC aborts rather than return without randomness");
    bytes
}

/// A password of 144 bits that needs no escaping in a URL.
pub fn password() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<18>())
}

/// An id such as Clerk makes them: the prefix, an underscore and 27 letters and digits.
pub fn clerk_id(prefix: &str) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letters = bytes::<27>().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    format!("{prefix}_{}", String::from_iter(letters))
}

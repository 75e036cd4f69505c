//! Short names for long things.

use aws_lc_rs::digest;

/// Eight hexadecimal digits that follow from the text.
pub fn fingerprint(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let start = digest.as_ref().iter().take(4).fold(0, |number: u32, byte| number << 8 | u32::from(*byte));
    format!("{start:08x}")
}

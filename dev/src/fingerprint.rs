//! Short names for long things.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use aws_lc_rs::digest::{self, Context, Digest, SHA256};

/// Eight hexadecimal digits that follow from the text.
pub fn fingerprint(text: &str) -> String {
    short(&digest::digest(&SHA256, text.as_bytes()))
}

/// Eight hexadecimal digits that follow from what a file holds.
pub fn of_file(path: &Path) -> io::Result<String> {
    let (mut file, mut context) = (File::open(path)?, Context::new(&SHA256));
    let mut part = vec![0; 1 << 20];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(short(&context.finish())),
            length => context.update(&part[..length]),
        }
    }
}

fn short(digest: &Digest) -> String {
    let start = digest.as_ref().iter().take(4).fold(0, |number: u32, byte| number << 8 | u32::from(*byte));
    format!("{start:08x}")
}

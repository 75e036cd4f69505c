//! Where a mail's headers end, where its parts begin, and what they are before they were encoded for the way.
//!
//! The headers are read by `mail-parser`. The parts are not: it follows messages within messages without bound, and some
//! kilobytes of them overflow the stack of the thread that reads or drops them.

use std::borrow::Cow;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::headers::Headers;

/// As tolerant as those who decode mail must be.
static BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Headers and what follows the empty line after them.
pub(super) fn split_head(raw: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        if matches!(line, b"\n" | b"\r\n") {
            return (&raw[..end], &raw[end + line.len()..]);
        }
        end += line.len();
    }
    (raw, &[])
}

/// The parts between the lines of a boundary, at most `limit`; what follows a missing last line belongs to the last part.
pub(super) fn split_parts<'x>(body: &'x [u8], boundary: &str, limit: usize) -> Vec<&'x [u8]> {
    let boundary = [b"--", boundary.trim_end().as_bytes()].concat();
    let mut parts = Vec::new();
    let mut start = None;
    let mut at = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let after = line.strip_prefix(boundary.as_slice()).map(<[u8]>::trim_ascii_end);
        if let Some(after @ (b"" | b"--")) = after {
            parts.extend(start.map(|start| without_line_end(&body[start..at])));
            start = Some(at + line.len()).filter(|_| after.is_empty());
            if start.is_none() || parts.len() >= limit {
                return parts;
            }
        }
        at += line.len();
    }
    parts.extend(start.map(|start| &body[start..]));
    parts
}

fn without_line_end(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

/// A part as it was before it was encoded for the way. What is wrongly encoded is taken as far as it goes.
pub(super) fn decoded<'x>(headers: &Headers<'_>, body: &'x [u8]) -> Cow<'x, [u8]> {
    let encoding = headers.text("Content-Transfer-Encoding").unwrap_or_default();
    if encoding.eq_ignore_ascii_case("base64") {
        from_base64(body).into()
    } else if encoding.eq_ignore_ascii_case("quoted-printable") {
        from_quoted_printable(body).into()
    } else {
        body.into()
    }
}

/// Letters that are decoded at a time: whole groups of four.
const LETTERS: usize = 4 * 1024;

/// Reads base64 with anything between its letters.
pub(super) fn from_base64(text: &[u8]) -> Vec<u8> {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let mut letters = text.iter().copied().filter(is_letter);
    // No more than that is needed beside the result, which may be long.
    let mut some = Vec::with_capacity(LETTERS);
    let mut result = Vec::with_capacity(text.len() / 4 * 3 + LETTERS);
    loop {
        some.extend(letters.by_ref().take(LETTERS));
        let is_last = some.len() < LETTERS;
        if some.len() % 4 == 1 {
            some.pop();
        }
        BASE64.decode_vec(&some, &mut result).expect("only its letters, and no single one at the end");
        if is_last {
            return result;
        }
        some.clear();
    }
}

fn from_quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'=') {
        result.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match rest {
            [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] => rest = after,
            [high, low, after @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    result.push((high << 4) | low);
                    rest = after;
                }
                _ => result.push(b'='),
            },
            [] => {}
            _ => result.push(b'='),
        }
    }
    result.extend_from_slice(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_between_whole_lines() {
        let body = b"preamble\r\n--b\r\none\r\n--bb\r\n\r\n--b  \r\ntwo\n--b--\r\n--b\r\nthree";
        assert_eq!(split_parts(body, "b", 9), [b"one\r\n--bb\r\n".as_slice(), b"two"]);
        assert_eq!(split_parts(body, "b", 1), [b"one\r\n--bb\r\n"]);
        assert_eq!(split_parts(b"--b\none\n--b\ntwo", "b", 9), [b"one", b"two"]);
        assert!(split_parts(body, "c", 9).is_empty());
    }

    #[test]
    fn what_is_wrongly_encoded_is_read_as_far_as_it_goes() {
        for (encoded, text) in [("S2FyaSDDpQ==", "Kari å"), ("S2Fy\r\naSDD*pQ", "Kari å"), ("S2Fya", "Kar"), ("=", "")]
        {
            assert_eq!(from_base64(encoded.as_bytes()), text.as_bytes(), "{encoded}");
        }
        // More than is decoded at a time, and not a whole number of that.
        let long = [b"S2Fy\r\n".repeat(LETTERS / 2), b"aSDDpQ".to_vec()].concat();
        assert_eq!(from_base64(&long), [b"Kar".repeat(LETTERS / 2), "i å".as_bytes().to_vec()].concat());
        for (encoded, text) in [
            ("bl=C3=A5=\r\nb=c3=a6r=", "blåbær"),
            ("a=b=20c =zz", "a=b c =zz"),
            ("a =\nb\r\nc", "a b\r\nc"),
            ("a=3", "a=3"),
        ] {
            assert_eq!(from_quoted_printable(encoded.as_bytes()), text.as_bytes(), "{encoded}");
        }
    }
}

//! Numbers of JSON as they were written. [`Value`] has doubles: a customer number of more digits becomes another one, and what is
//! larger than any double cannot be read at all.

use std::borrow::Cow;

use serde_json::{Number, value::RawValue};

/// A number of no more bytes has all its digits in a [`Value`], if it has digits only.
const SHORT: usize = 15;

/// The same JSON, in which numbers that [`Value`](serde_json::Value) would write otherwise are texts. What is no JSON stays none.
pub(super) fn as_written(json: &str) -> Cow<'_, str> {
    let mut written = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(&byte) = json.as_bytes().get(at) {
        match byte {
            b'"' => at = end_of_text(json, at),
            b'-' | b'0'..=b'9' => {
                let end = end_of_number(json, at);
                let number = &json[at..end];
                if is_changed(number) {
                    written.extend([&json[kept..at], "\"", number, "\""]);
                    kept = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if kept == 0 {
        return Cow::Borrowed(json);
    }
    written.push_str(&json[kept..]);
    Cow::Owned(written)
}

/// After the quotation mark that ends it, if there is one.
fn end_of_text(json: &str, begin: usize) -> usize {
    let mut is_escaped = false;
    let rest = json.as_bytes().iter().enumerate().skip(begin + 1);
    for (at, byte) in rest {
        match byte {
            b'"' if !is_escaped => return at + 1,
            b'\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    json.len()
}

fn end_of_number(json: &str, begin: usize) -> usize {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    begin + json.as_bytes()[begin..].iter().take_while(|byte| is_part(byte)).count()
}

fn is_changed(number: &str) -> bool {
    let is_short =
        number.len() <= SHORT && !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
    if is_short {
        return false;
    }
    let is_number = serde_json::from_str::<&RawValue>(number).is_ok();
    is_number && serde_json::from_str::<Number>(number).map_or(true, |read| read.to_string() != number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_be_changed_is_a_text() {
        for (json, kept) in [
            (r#"{"a":1,"b":-2.5,"c":[0,12345678901234567890],"d":"1e400 \" 1.50"}"#, None),
            (r#"{"a":12345678901234567890123}"#, Some(r#"{"a":"12345678901234567890123"}"#)),
            (r#"{"a":1e400,"b":[-1e400, 1.50 ]}"#, Some(r#"{"a":"1e400","b":["-1e400", "1.50" ]}"#)),
            (r#"{"a\\":1.10,"\"2.20":"x"}"#, Some(r#"{"a\\":"1.10","\"2.20":"x"}"#)),
            ("-0", Some("\"-0\"")),
            // None of these is JSON, and must not become it.
            (r#"{"a":01}"#, None),
            (r#"{"a":--5}"#, None),
            (r#"{"a":1.}"#, None),
            (r#"{"a":"1e400"#, None),
            (r#"{"å":1e5e5}"#, None),
        ] {
            let written = as_written(json);
            assert_eq!(written, kept.unwrap_or(json), "{json}");
            assert_eq!(matches!(written, Cow::Borrowed(_)), kept.is_none(), "{json}");
        }
    }
}

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// A text in the character set that it says, if that is one. Else it is UTF-8 if it can be, and what browsers and old programs
/// call ISO-8859-1 if not. <https://encoding.spec.whatwg.org/#names-and-labels>
pub fn decode(bytes: &[u8], declared: Option<&str>) -> String {
    if let Some(encoding) = declared.and_then(|label| Encoding::for_label(label.trim().as_bytes())) {
        // What says UTF-8 and is not was written by somebody who does not know.
        let (text, _, had_errors) = encoding.decode(bytes);
        if !had_errors || encoding != UTF_8 {
            return text.into_owned();
        }
    }
    match str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
        Err(_) => WINDOWS_1252.decode(bytes).0.into_owned(),
    }
}

/// A parameter of a header's value, such as `charset`. <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.6>
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let mut parameters = value.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, value) = parameters.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norwegian_letters_survive_whatever_they_were_said_to_be() {
        for (bytes, declared) in [
            (&b"Bl\xe5b\xe6r"[..], Some("ISO-8859-1")),
            (b"Bl\xe5b\xe6r", None),
            (b"Bl\xe5b\xe6r", Some("utf-8")),
            ("Blåbær".as_bytes(), None),
            ("\u{feff}Blåbær".as_bytes(), None),
            ("Blåbær".as_bytes(), Some("unheard-of")),
        ] {
            assert_eq!(decode(bytes, declared), "Blåbær", "{declared:?}");
        }
        assert_eq!(parameter("text/plain; Charset=\"latin1\"; x=y", "charset"), Some("latin1"));
    }
}

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use mail_parser::decoders::charsets::map::charset_decoder;

/// Reads bytes that claim to be in a character set. Senders are often wrong about it: what is UTF-8 is read as such though
/// it be declared Latin-1, and the other way round.
pub fn decode(bytes: &[u8], charset: Option<&str>) -> String {
    let claimed = charset.map(str::trim).filter(|charset| !charset.is_empty());
    let encoding = claimed.and_then(|charset| Encoding::for_label(charset.as_bytes()));
    match (claimed, encoding) {
        (Some(charset), None) => match charset_decoder(charset.as_bytes()) {
            Some(decoder) => decoder(bytes),
            None => western(bytes),
        },
        (_, Some(encoding)) if encoding != UTF_8 && encoding != WINDOWS_1252 => encoding.decode(bytes).0.into_owned(),
        _ => western(bytes),
    }
}

/// Reads UTF-8 or Windows-1252, whichever it is; a text in UTF-8 that was cut within a letter is still UTF-8.
fn western(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let wrong = text.chars().filter(|c| *c == char::REPLACEMENT_CHARACTER).count();
    let right = text.chars().filter(|c| !c.is_ascii()).count() - wrong;
    if wrong > right { WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned() } else { text.into_owned() }
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

    #[test]
    fn what_is_declared_wrongly_is_read_all_the_same() {
        for (bytes, charset, text) in [
            ("Blåbær".as_bytes(), Some("utf-8"), "Blåbær"),
            ("Blåbær".as_bytes(), None, "Blåbær"),
            ("Blåbær".as_bytes(), Some("iso-8859-1"), "Blåbær"),
            ("Blåbær".as_bytes(), Some("us-ascii"), "Blåbær"),
            (b"Bl\xe5b\xe6r", Some("iso-8859-1"), "Blåbær"),
            (b"Bl\xe5b\xe6r \x80 100", Some("ISO-8859-1"), "Blåbær € 100"),
            (b"Bl\xe5b\xe6r", Some("utf-8"), "Blåbær"),
            (b"Bl\xe5b\xe6r", Some("x-unknown"), "Blåbær"),
            (b"Bl\x86b\x91r", Some("ibm850"), "Blåbær"),
            (b"Bl+AOU-b+AOY-r", Some("utf-7"), "Blåbær"),
            (b"B\0l\0\xe5\0", Some("utf-16le"), "Blå"),
            (b"\xef\xbb\xbfBl\xc3\xa5b\xc3\xa6r \xc3", None, "Blåbær \u{fffd}"),
        ] {
            assert_eq!(decode(bytes, charset), text, "{charset:?} {bytes:?}");
        }
    }
}

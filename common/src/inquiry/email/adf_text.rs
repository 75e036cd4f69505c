//! Where a mail has ADF, which others read.

use encoding_rs::Encoding;

use crate::inquiry::charset;

/// Bytes of one document that are handed out.
const LIMIT: usize = 1024 * 1024;
/// Bytes that may precede it in its own file: declarations, comments, a document type.
const PROLOGUE: usize = 4096;

/// The ADF document within a text, with the declarations before it.
pub(super) fn find(text: &str) -> Option<&str> {
    let element = text.match_indices('<').map(|(at, _)| at).find(|at| is_root(&text.as_bytes()[*at..]))?;
    let before = &text[text.floor_char_boundary(element.saturating_sub(PROLOGUE))..element];
    let declaration = before.find("<?").map_or(element, |at| element - before.len() + at);
    let document = &text[declaration..text.floor_char_boundary(declaration.saturating_add(LIMIT))];
    let end = document.rmatch_indices("</").map(|(at, _)| at).find(|at| is_end(&document.as_bytes()[*at..]));
    Some(end.map_or(document, |end| &document[..end + "</adf>".len()]).trim())
}

fn is_root(text: &[u8]) -> bool {
    text.get(1..4).is_some_and(|name| name.eq_ignore_ascii_case(b"adf"))
        && text.get(4).is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b'>')
}

fn is_end(text: &[u8]) -> bool {
    text.get(2..6).is_some_and(|name| name.eq_ignore_ascii_case(b"adf>"))
}

/// The document in a file, if it is one; in the character set that it declares, unless it is another.
pub(super) fn in_file(bytes: &[u8]) -> Option<String> {
    let start = &bytes[..bytes.len().min(PROLOGUE + LIMIT)];
    let head = String::from_utf8_lossy(&start[..start.len().min(200)]);
    let declared = head.split_once("encoding").and_then(|(_, rest)| rest.split(['"', '\'']).nth(1));
    let charset = match bytes {
        [0xff, 0xfe, ..] => Some("utf-16le"),
        [0xfe, 0xff, ..] => Some("utf-16be"),
        // A declaration that could be read bytewise declares no wider letters.
        _ => declared
            .filter(|charset| Encoding::for_label(charset.as_bytes()).is_some_and(Encoding::is_ascii_compatible)),
    };
    find(&charset::decode(start, charset)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_wherever_it_stands() {
        for (text, adf) in [
            ("<adf></adf>", Some("<adf></adf>")),
            ("  <?xml version=\"1.0\"?>\n<adf>x</adf>  ", Some("<?xml version=\"1.0\"?>\n<adf>x</adf>")),
            ("<?ADF VERSION=\"1.0\"?><ADF ><x/></ADF>", Some("<?ADF VERSION=\"1.0\"?><ADF ><x/></ADF>")),
            ("Ny lead:\n\n<adf>å</adf>\n-- \nPortalen", Some("<adf>å</adf>")),
            ("<adf>cut", Some("<adf>cut")),
            ("<adfs></adfs>", None),
            ("adf", None),
            ("<", None),
        ] {
            assert_eq!(find(text), adf, "{text}");
        }
        let latin = b"<?xml version='1.0' encoding='iso-8859-1'?><adf>\xe5</adf>";
        assert!(in_file(latin).is_some_and(|text| text.contains("<adf>å</adf>")));
        let wide: Vec<u8> = "\u{feff}<adf>å</adf>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(in_file(&wide).as_deref(), Some("<adf>å</adf>"));
        assert_eq!(in_file(b"<html>"), None);
    }
}

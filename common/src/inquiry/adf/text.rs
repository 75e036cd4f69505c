use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use mail_parser::decoders::html::add_html_token;

use super::{AdfError, MAX_BYTES};

/// How often a document may have been escaped to be put into HTML.
const MAX_ESCAPES: usize = 2;
/// Bytes that the name of an entity or an element may have.
const MAX_NAME: usize = 64;
/// Bytes at the beginning among which a document may say its charset.
const DECLARATION: usize = 512;

/// The document as a text that begins with its first element, and that a reader of XML can follow to its end.
pub(super) fn document(bytes: &[u8], declared_charset: Option<&str>) -> Result<String, AdfError> {
    let mut text = decode(bytes, declared_charset).into_owned();
    let mut escapes = 0;
    let start = loop {
        match first_element(&text) {
            Some(start) => break start,
            None if escapes < MAX_ESCAPES && text.contains('&') => text = unescape(&without_tags(&text)),
            None => return Err(AdfError::NotAdf),
        }
        escapes += 1;
    };
    let (prolog, document) = text.split_at(start);
    if prolog.to_ascii_lowercase().contains("<!doctype") {
        return Err(AdfError::Doctype);
    }
    // Decoding may have made three bytes of one.
    if document.len() > 3 * MAX_BYTES { Err(AdfError::TooLarge) } else { repair(document) }
}

/// Many documents say UTF-8 and are not, or say nothing. Text that is valid UTF-8 by chance is next to impossible.
fn decode<'a>(bytes: &'a [u8], declared_charset: Option<&str>) -> Cow<'a, str> {
    if let Some((encoding, length)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[length..]).0;
    }
    match bytes.trim_ascii_start() {
        [b'<', 0, ..] => return UTF_16LE.decode_without_bom_handling(bytes).0,
        [0, b'<', ..] => return UTF_16BE.decode_without_bom_handling(bytes).0,
        _ => {}
    }
    if let Ok(text) = str::from_utf8(bytes) {
        return text.into();
    }
    let known = |label: &[u8]| Encoding::for_label(label).filter(|encoding| *encoding != UTF_8);
    let encoding = declared_charset.and_then(|label| known(label.as_bytes())).or_else(|| known(own_charset(bytes)?));
    encoding.unwrap_or(WINDOWS_1252).decode_without_bom_handling(bytes).0
}

/// What follows `encoding=` at the beginning.
fn own_charset(bytes: &[u8]) -> Option<&[u8]> {
    let start = &bytes[..bytes.len().min(DECLARATION)];
    let at = start.windows(8).position(|word| word.eq_ignore_ascii_case(b"encoding"))?;
    let value = start[at + 8..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, value) = value.split_first().filter(|(quote, _)| matches!(**quote, b'"' | b'\''))?;
    value.split(|byte| byte == quote).next()
}

/// Where `<adf` or `<prospect` begins, in any case and with any prefix.
fn first_element(text: &str) -> Option<usize> {
    text.match_indices('<').map(|(at, _)| at).find(|at| {
        let rest = &text[at + 1..];
        let end = rest.bytes().take(MAX_NAME).position(|byte| !byte.is_ascii_alphanumeric() && byte != b':');
        let (name, after) = rest.split_at(end.unwrap_or(0));
        let name = name.rsplit(':').next().unwrap_or_default();
        (name.eq_ignore_ascii_case("adf") || name.eq_ignore_ascii_case("prospect"))
            && after.starts_with(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/'))
    })
}

/// The text of a page, with its line breaks.
fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        let Some((tag, after)) = tag.split_once('>') else { return text + "<" + tag };
        let name = tag.trim_start_matches('/').get(..1).unwrap_or_default();
        // `br`, `p`, `div`, `tr` and others of their first letters: a line break too many does no harm.
        if name.contains(['b', 'B', 'p', 'P', 'd', 'D', 't', 'T']) {
            text.push('\n');
        }
        rest = after;
    }
    text + rest
}

/// The text with characters for its entities, HTML's included. What is none stays.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        let mut name = rest[at + 1..].bytes().take(MAX_NAME);
        let length = match name.position(|byte| !byte.is_ascii_alphanumeric() && byte != b'#') {
            Some(end) if rest.as_bytes()[at + 1 + end] == b';' => end + 2,
            _ => 1,
        };
        add_html_token(&mut plain, &rest.as_bytes()[at..at + length], false);
        rest = &rest[at + length..];
    }
    plain + rest
}

/// Escapes or leaves out what would end the reading of XML: `<` in a text, instructions and sections without an end.
fn repair(text: &str) -> Result<String, AdfError> {
    let last = |end: &str| text.rfind(end).unwrap_or(0);
    // Looked for once: to search for an end that is not there, from each beginning, would take forever.
    let (last_section, last_comment, last_tag) = (last("]]>"), last("-->"), last(">"));
    let mut repaired = String::with_capacity(text.len() + 64);
    let mut at = 0;
    while let Some(start) = text[at..].find('<').map(|offset| at + offset) {
        repaired.push_str(&text[at..start]);
        let markup = &text[start..];
        let through = |end: &str| start + markup.find(end).map_or(markup.len(), |offset| offset + end.len());
        at = if markup.starts_with("<![CDATA[") {
            if start < last_section {
                let end = through("]]>");
                repaired.push_str(&text[start..end]);
                end
            } else {
                start + "<![CDATA[".len()
            }
        } else if markup.starts_with("<!--") {
            if start + 4 <= last_comment { through("-->") } else { start + 4 }
        } else if markup.get(..9).is_some_and(|word| word.eq_ignore_ascii_case("<!doctype")) {
            return Err(AdfError::Doctype);
        } else if markup.starts_with("<?") {
            start + instruction_length(markup)
        } else {
            repaired.push_str(if start < last_tag && is_tag(&markup[1..]) { "<" } else { "&lt;" });
            start + 1
        };
    }
    repaired.push_str(&text[at..]);
    Ok(repaired)
}

/// Whether this is a name and what may come after one: no `kari@example.no>`, and no ` 300 000 kr`.
fn is_tag(text: &str) -> bool {
    let name = text.strip_prefix('/').unwrap_or(text);
    let end = name.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.' | ':')).unwrap_or(name.len());
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name[end..].starts_with(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))
}

/// Through `?>` or `>`, or else to the end of its line: whatever comes first.
fn instruction_length(markup: &str) -> usize {
    let end = markup[2..].find(['<', '>', '\n']).map_or(markup.len(), |offset| offset + 2);
    if markup[end..].starts_with('>') { end + 1 } else { end }
}

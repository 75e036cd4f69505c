//! The text of an HTML page, as a person reads it: what stands in one row of a table stays on one line, so that a label
//! keeps its value.

use std::mem;

use mail_parser::decoders::html::add_html_token;

/// Bytes of text and number of links that are kept of one page.
const TEXT_LIMIT: usize = 200_000;
const LINK_LIMIT: usize = 100;
const LINK_LENGTH: usize = 2000;
/// Elements whose content nobody sees. Unclosed they hide the rest, as in a browser.
const HIDDEN: [&str; 5] = ["script", "style", "title", "template", "noscript"];
/// Elements that stand on lines of their own.
const BLOCKS: [&str; 22] = [
    "address",
    "article",
    "blockquote",
    "body",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "footer",
    "form",
    "header",
    "hr",
    "li",
    "main",
    "ol",
    "pre",
    "section",
    "table",
    "tbody",
    "ul",
    "option",
];
const PARAGRAPHS: [&str; 7] = ["p", "h1", "h2", "h3", "h4", "h5", "h6"];

#[derive(Debug, Default, PartialEq)]
pub(super) struct Page {
    /// Rows of two cells read `label: value`; the cells of longer rows are separated by tabs.
    pub(super) text: String,
    /// Where its links lead: web, mail and telephone.
    pub(super) links: Vec<String>,
}

/// Reads a page in time proportional to its length, whatever is wrong with it.
pub(super) fn read(html: &str) -> Page {
    let mut writer = Writer::default();
    let mut rest = html;
    let mut quotes_close = true;
    while writer.text.len() < TEXT_LIMIT {
        let Some(open) = rest.find('<') else { break };
        writer.entities(&rest[..open]);
        rest = &rest[open..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        if !rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
            writer.word("<");
            rest = &rest[1..];
            continue;
        }
        // Where one quote is never closed, none is believed from there on: each tag is looked through once.
        let mut end = quotes_close.then(|| tag_end(rest)).flatten();
        if end.is_none() {
            quotes_close = false;
            end = rest.find('>');
        }
        let Some(end) = end else { break };
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        let name = name(tag);
        if let Some(hidden) = HIDDEN.iter().find(|hidden| name.eq_ignore_ascii_case(hidden)) {
            rest = after_closing(rest, hidden);
        } else {
            writer.tag(name, tag);
        }
    }
    if !rest.contains('<') {
        writer.entities(rest);
    }
    let mut text = rows(&writer.text);
    text.truncate(text.floor_char_boundary(TEXT_LIMIT));
    Page { text, links: writer.links }
}

/// Where the tag ends that the text begins with, outside of quotes.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    text.bytes().position(|byte| {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            _ => {}
        }
        quote.is_none() && byte == b'>'
    })
}

/// The name of a tag, with the slash of a closing one.
fn name(tag: &str) -> &str {
    let end = tag.char_indices().skip(1).find(|(_, c)| !c.is_ascii_alphanumeric()).map_or(tag.len(), |(at, _)| at);
    &tag[..end]
}

fn after_closing<'t>(text: &'t str, name: &str) -> &'t str {
    let closing = text
        .match_indices("</")
        .find(|(at, _)| text.get(at + 2..at + 2 + name.len()).is_some_and(|closed| closed.eq_ignore_ascii_case(name)));
    closing.map_or("", |(at, _)| text[at..].split_once('>').map_or("", |(_, rest)| rest))
}

/// The value of an attribute.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let at = tag.as_bytes().windows(name.len()).position(|window| window.eq_ignore_ascii_case(name.as_bytes()))?;
    let value = tag[at + name.len()..].trim_start().strip_prefix('=')?.trim_start();
    match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next(),
        _ => value.split([' ', '\t', '\r', '\n']).next(),
    }
}

/// What separates the next word from the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Gap {
    #[default]
    None,
    Space,
    Cell,
    Line,
    Paragraph,
}

/// What the cell that is open has so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Cell {
    #[default]
    Empty,
    OneLine,
    Lines,
}

#[derive(Debug, Default)]
struct Writer {
    text: String,
    links: Vec<String>,
    gap: Gap,
    cell: Cell,
    /// Where the text of the link began that is open, and the address it would write to or call.
    contact: Option<(usize, String)>,
}

impl Writer {
    fn tag(&mut self, name: &str, tag: &str) {
        let closing = name.starts_with('/');
        let name = name.trim_start_matches('/').to_ascii_lowercase();
        match name.as_str() {
            "br" => self.widen(if self.gap >= Gap::Line { Gap::Paragraph } else { Gap::Line }),
            "tr" => {
                self.gap = self.gap.max(Gap::Line);
                self.cell = Cell::Empty;
            }
            "td" | "th" if !closing => self.open_cell(),
            "a" if closing => self.close_link(),
            "a" => self.open_link(tag),
            name if PARAGRAPHS.contains(&name) => self.widen(Gap::Paragraph),
            name if BLOCKS.contains(&name) => self.widen(Gap::Line),
            _ => {}
        }
    }

    /// What a cell begins with does not separate it from the one before.
    fn widen(&mut self, gap: Gap) {
        if self.gap != Gap::Cell {
            self.gap = self.gap.max(gap);
        }
    }

    /// A cell after one of a single line goes on in that line, though there be a paragraph in each, as Outlook has it.
    fn open_cell(&mut self) {
        match self.cell {
            Cell::OneLine => self.gap = Gap::Cell,
            Cell::Empty | Cell::Lines => self.widen(Gap::Line),
        }
        if self.cell == Cell::Lines {
            self.cell = Cell::Empty;
        }
    }

    fn open_link(&mut self, tag: &str) {
        let Some(target) = attribute(tag, "href").filter(|target| target.len() <= LINK_LENGTH) else { return };
        let target = unescaped(target.trim());
        let Some((scheme, rest)) = target.split_once(':') else { return };
        let scheme = scheme.to_ascii_lowercase();
        if matches!(scheme.as_str(), "mailto" | "tel") {
            let address = rest.split('?').next().unwrap_or_default();
            self.contact = Some((self.text.len(), address.to_owned()));
        }
        if matches!(scheme.as_str(), "http" | "https" | "mailto" | "tel") && self.links.len() < LINK_LIMIT {
            self.links.push(target);
        }
    }

    /// Writes the address behind a link that shows something else.
    fn close_link(&mut self) {
        let Some((start, address)) = self.contact.take() else { return };
        let shown = self.text.get(start..).unwrap_or_default();
        if !address.is_empty() && !shown.contains(|c: char| c == '@' || c.is_ascii_digit()) {
            self.widen(Gap::Space);
            self.word(&format!("<{address}>"));
        }
    }

    /// Writes text that may have character references.
    fn entities(&mut self, text: &str) {
        if text.contains('&') { self.words(&unescaped(text)) } else { self.words(text) }
    }

    fn words(&mut self, text: &str) {
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| !is_blank(c)) {
            if start > 0 {
                self.widen(Gap::Space);
            }
            let end = rest[start..].find(is_blank).map_or(rest.len(), |end| start + end);
            self.word(&rest[start..end]);
            rest = &rest[end..];
        }
        if !rest.is_empty() {
            self.widen(Gap::Space);
        }
    }

    fn word(&mut self, word: &str) {
        // Such fills the preview of a mail and is never seen.
        if word.chars().all(is_invisible) {
            return;
        }
        let gap = mem::take(&mut self.gap);
        if !self.text.is_empty() {
            self.text.push_str(match gap {
                Gap::None => "",
                Gap::Space => " ",
                Gap::Cell => "\t",
                Gap::Line => "\n",
                Gap::Paragraph => "\n\n",
            });
        }
        self.cell = match self.cell {
            Cell::OneLine | Cell::Lines if gap >= Gap::Line => Cell::Lines,
            Cell::Empty => Cell::OneLine,
            cell => cell,
        };
        if word.contains(is_invisible) {
            self.text.extend(word.chars().filter(|c| !is_invisible(*c)));
        } else {
            self.text.push_str(word);
        }
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// With character references replaced.
fn unescaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        result.push_str(&rest[..start]);
        rest = &rest[start..];
        // The longest name has 31 letters.
        let end = rest.bytes().take(34).position(|byte| byte == b';');
        let reference = end.map_or("&", |end| &rest[..=end]);
        add_html_token(&mut result, reference.as_bytes(), false);
        rest = &rest[reference.len()..];
    }
    result.push_str(rest);
    result
}

/// Writes rows of two cells as label and value.
fn rows(text: &str) -> String {
    let mut result = String::with_capacity(text.len() + 64);
    for line in text.split('\n') {
        match line.split_once('\t') {
            Some((label, value)) if !value.contains('\t') => {
                let separator = if label.ends_with([':', '?', '=', '.', '!']) { " " } else { ": " };
                result.extend([label, separator, value]);
            }
            _ => result.push_str(line),
        }
        result.push('\n');
    }
    result.pop();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_as_a_person_sees_it() {
        for (html, text) in [
            ("<p>Hei,</p><p>er bilen <b>ledig</b>?</p>", "Hei,\n\ner bilen ledig?"),
            ("Hei,<br>er bilen<br/><br>ledig?", "Hei,\ner bilen\n\nledig?"),
            ("<style>p{color:red}</style><title>x</title>a <!-- > b --> c<script>if (1<2) d()</script>", "a c"),
            ("p&aring; vei &amp; i dag&nbsp;&#8211; 3 &lt; 4 &ukjent; &", "på vei & i dag – 3 < 4 &ukjent; &"),
            ("3 < 4 og 5 > 4", "3 < 4 og 5 > 4"),
            (
                "<table><tr><td>Navn</td><td>Kari</td></tr><tr><th>Tlf:</th><td>912</td></tr></table>",
                "Navn: Kari\nTlf: 912",
            ),
            (
                "<tr><td><p>Navn<o:p></o:p></p></td>\r\n <td><p class=\"a>b\">Kari</p></td></tr><tr><td><p>Tlf</p></td><td><p>912</p></td></tr>",
                "Navn: Kari\n\nTlf: 912",
            ),
            ("<tr><td>Navn</td><td>Tlf</td><td>Bil</td></tr>", "Navn\tTlf\tBil"),
            (
                "<table><tr><td>Kunde<table><tr><td>Navn</td><td>Kari</td></tr></table></td><td>x</td></tr></table>",
                "Kunde\nNavn: Kari\nx",
            ),
            ("<a href=\"mailto:kari@example.no?subject=Bil\">Svar kunden</a>", "Svar kunden <kari@example.no>"),
            ("<a href='mailto:kari@example.no'>kari@example.no</a>", "kari@example.no"),
            ("<div>a</div><div><div>b</div></div>", "a\nb"),
            ("&#8203;&zwnj;\u{34f} Hei", "Hei"),
            ("a <b", "a"),
        ] {
            assert_eq!(read(html).text, text, "{html}");
        }
    }

    #[test]
    fn links_are_kept_beside_the_text() {
        let html = r#"<A HREF="https://www.finn.no/car/used/ad.html?a=1&amp;finnkode=312345678">Annonsen</A>
            <a href=javascript:alert(1)>x</a> <a href=tel:+4791234567>Ring</a> <a name=x>y</a>"#;
        let page = read(html);
        assert_eq!(page.links, ["https://www.finn.no/car/used/ad.html?a=1&finnkode=312345678", "tel:+4791234567"]);
        assert_eq!(page.text, "Annonsen x Ring <+4791234567> y");
    }

    #[test]
    fn what_is_broken_costs_no_more_than_what_is_whole() {
        for broken in [
            "<a '",
            "<!--",
            "<style>",
            "<",
            "<a href=\"x",
            "&",
            "&amp",
            "<td>",
            "<table><tr><td>",
            "</p",
            "<a href=mailto:a>",
        ] {
            let text = read(&broken.repeat(50_000)).text;
            assert!(text.len() <= TEXT_LIMIT, "{broken}");
        }
    }
}

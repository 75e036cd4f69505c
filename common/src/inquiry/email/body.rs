//! What is in a mail: the text that its reader sees, files, and messages within it.

use aws_lc_rs::digest::{SHA256, digest};

use super::{
    adf_text,
    headers::{ContentType, Headers},
    html,
    mime::{decoded, split_head, split_parts},
    report::{self, Report},
};
use crate::{
    hex,
    inquiry::{charset, clean},
};

/// Parts of one message, and how deep they may lie within one another.
const PART_LIMIT: usize = 200;
const DEPTH_LIMIT: usize = 8;
/// Bytes of one text or page that are read.
const PAGE_LIMIT: usize = 2 * 1024 * 1024;
/// Bytes of the text that is kept of a mail: some hundred pages.
const TEXT_LIMIT: usize = 200_000;
/// Characters of a plain text that may stand in for a page that says much more, such as "your program shows no HTML".
const STUB: usize = 300;

/// A file that came with a mail. Its content is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    pub name: Option<String>,
    /// Such as `image/jpeg`, as its sender says.
    pub content_type: String,
    /// In bytes.
    pub size: usize,
    /// In hexadecimal digits.
    pub sha256: String,
}

/// What the parts of a mail come to.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) text: String,
    /// Where the links of its pages lead.
    pub(super) links: Vec<String>,
    pub(super) attachments: Vec<Attachment>,
    /// The first message within it.
    pub(super) message: Option<Vec<u8>>,
    pub(super) adf: Option<String>,
    pub(super) report: Option<Report>,
}

/// What one part shows.
#[derive(Debug)]
enum Shown {
    Plain(String),
    Page(String),
}

impl Shown {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Page(text) => text,
        }
    }
}

impl Contents {
    /// Reads the parts of a message.
    pub(super) fn read(headers: &Headers<'_>, body: &[u8]) -> Self {
        let mut reader = Reader { contents: Self::default(), parts: PART_LIMIT };
        let shown = reader.part(headers, body, DEPTH_LIMIT);
        reader.contents.text = shown.map_or_else(String::new, |shown| bounded(shown.text()));
        reader.contents
    }

    /// Takes the same text in two forms, as providers give it who have read the parts themselves.
    pub(super) fn show(&mut self, plain: Option<&str>, page: Option<&str>) {
        let plain = plain.map(|text| self.plain(text));
        let page = page.map(|text| self.page(text));
        let shown = preferred(plain.into_iter().chain(page));
        self.text = shown.map_or_else(String::new, |shown| bounded(shown.text()));
    }

    fn plain(&mut self, text: &str) -> Shown {
        self.adf = self.adf.take().or_else(|| adf_text::find(text).map(str::to_owned));
        Shown::Plain(clean(text).trim().to_owned())
    }

    fn page(&mut self, source: &str) -> Shown {
        let source = &source[..source.floor_char_boundary(PAGE_LIMIT)];
        let page = html::read(source);
        // As text it may stand in a page escaped, or as it is by somebody's mistake.
        let adf = adf_text::find(source).or_else(|| adf_text::find(&page.text)).map(str::to_owned);
        self.adf = self.adf.take().or(adf);
        self.links.extend(page.links);
        Shown::Page(clean(&page.text))
    }

    /// Notes a file, and keeps what is of use in it.
    pub(super) fn attach(&mut self, name: Option<&str>, content_type: &str, bytes: &[u8]) {
        let of_type = |kinds: &[&str]| kinds.contains(&content_type);
        if of_type(&["message/delivery-status", "message/global-delivery-status", "message/feedback-report"]) {
            report::read_status(self.report.get_or_insert_default(), bytes);
        } else if of_type(&["text/rfc822-headers", "message/rfc822-headers"]) {
            report::read_original(self.report.get_or_insert_default(), bytes);
        } else if of_type(&["message/rfc822", "message/global"]) {
            report::read_original(self.report.get_or_insert_default(), bytes);
            self.message.get_or_insert_with(|| bytes.to_vec());
        } else {
            self.adf = self.adf.take().or_else(|| adf_text::in_file(bytes));
        }
        if self.attachments.len() < PART_LIMIT {
            self.attachments.push(Attachment {
                name: name.map(|name| clean(name).trim().chars().take(255).collect()),
                content_type: clean(content_type).chars().take(255).collect(),
                size: bytes.len(),
                sha256: hex(digest(&SHA256, bytes).as_ref()),
            });
        }
    }
}

fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_LIMIT)].trim().to_owned()
}

/// The form of a text that shows most of it: the plain one, unless it only stands in for the page.
fn preferred(forms: impl Iterator<Item = Shown>) -> Option<Shown> {
    let (mut plain, mut page) = (None, None);
    for form in forms.filter(|form| !form.text().trim().is_empty()) {
        let best = if matches!(form, Shown::Plain(_)) { &mut plain } else { &mut page };
        best.get_or_insert(form);
    }
    let length = |form: &Option<Shown>| form.as_ref().map_or(0, |form| form.text().len());
    if length(&plain) < STUB && length(&page) > 3 * length(&plain) { page } else { plain.or(page) }
}

struct Reader {
    contents: Contents,
    /// How many more parts are read.
    parts: usize,
}

impl Reader {
    fn part(&mut self, headers: &Headers<'_>, body: &[u8], depth: usize) -> Option<Shown> {
        let content_type = headers.content_type();
        if content_type.essence.starts_with("multipart/") && depth > 0 {
            let boundary = content_type.boundary.as_deref();
            let parts = boundary.map(|boundary| split_parts(body, boundary, self.parts)).unwrap_or_default();
            self.parts -= parts.len();
            if !parts.is_empty() {
                return self.parts(&content_type.essence, &parts, depth - 1);
            }
        }
        self.leaf(headers, &content_type, body)
    }

    fn parts(&mut self, essence: &str, parts: &[&[u8]], depth: usize) -> Option<Shown> {
        let shown = parts.iter().filter_map(|part| {
            let (head, body) = split_head(part);
            self.part(&Headers::read(head), body, depth)
        });
        if essence == "multipart/alternative" {
            return preferred(shown.collect::<Vec<_>>().into_iter());
        }
        let mut all: Option<Shown> = None;
        for one in shown.filter(|one| !one.text().trim().is_empty()) {
            match &mut all {
                None => all = Some(one),
                Some(Shown::Plain(text) | Shown::Page(text)) if text.len() < TEXT_LIMIT => {
                    text.extend(["\n\n", one.text().trim()]);
                }
                Some(_) => {}
            }
        }
        all
    }

    fn leaf(&mut self, headers: &Headers<'_>, content_type: &ContentType, body: &[u8]) -> Option<Shown> {
        let name = headers.file_name();
        let bytes = decoded(headers, body);
        let essence = content_type.essence.as_str();
        let is_shown = name.is_none() && !headers.is_attachment();
        let text = || {
            let bytes = &bytes[..bytes.len().min(PAGE_LIMIT)];
            charset::decode(bytes, content_type.charset.as_deref())
        };
        match essence {
            "text/html" if is_shown => Some(self.contents.page(&text())),
            // Also several parts that do not say how they are divided.
            _ if is_shown && (essence == "text/plain" || essence.starts_with("multipart/")) => {
                Some(self.contents.plain(&text()))
            }
            _ => {
                self.contents.attach(name.as_deref(), essence, &bytes);
                None
            }
        }
    }
}

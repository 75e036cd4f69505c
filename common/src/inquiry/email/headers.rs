//! The headers of a mail or of one of its parts.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use mail_parser::{Address, Header, HeaderValue, MessageParser};

use crate::inquiry::clean;

/// Bytes of headers that are read of one part; no real mail has a tenth of them.
const LIMIT: usize = 256 * 1024;
/// Longest name of a person and longest address that are kept, in characters.
const NAME_LIMIT: usize = 200;
const ADDRESS_LIMIT: usize = 320;
/// Message-IDs that are kept of one header, and the bytes of each.
const ID_COUNT: usize = 100;
const ID_LIMIT: usize = 998;

/// Somebody who writes mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    pub name: Option<String>,
    /// As written; not necessarily one that exists.
    pub address: String,
}

impl Mailbox {
    /// One with an address that has two sides of an `@`.
    pub(super) fn new(name: Option<&str>, address: &str) -> Option<Self> {
        let address = clean(address.trim_matches(|c: char| c.is_whitespace() || "<>'\"".contains(c)));
        let (local, domain) = address.rsplit_once('@')?;
        if local.is_empty() || domain.is_empty() || address.chars().count() > ADDRESS_LIMIT {
            return None;
        }
        let name = name.map(|name| clean(name).replace('\n', " "));
        let name = name.map(|name| name.trim_matches(|c: char| c.is_whitespace() || "'\"*<([".contains(c)).to_owned());
        let name = name.map(|name| name.chars().take(NAME_LIMIT).collect::<String>());
        let name = name.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(&address));
        Some(Self { name, address })
    }
}

/// The lines of headers that somebody has taken apart.
pub(super) fn lines<'t>(headers: impl Iterator<Item = (&'t str, &'t str)>) -> String {
    headers.fold(String::new(), |mut lines, (name, value)| {
        lines.extend([name, ": ", &value.replace(['\r', '\n'], " "), "\n"]);
        lines
    })
}

/// What a part says that it is.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ContentType {
    /// Such as `text/plain`, in small letters.
    pub(super) essence: String,
    pub(super) charset: Option<String>,
    pub(super) boundary: Option<String>,
    pub(super) report_type: Option<String>,
}

#[derive(Debug)]
pub(super) struct Headers<'x>(Vec<Header<'x>>);

impl<'x> Headers<'x> {
    /// Reads the lines before the first empty one.
    pub(super) fn read(head: &'x [u8]) -> Self {
        let mut head = head;
        if head.len() > LIMIT {
            let line_end = head[..LIMIT].iter().rposition(|byte| *byte == b'\n');
            head = &head[..line_end.map_or(LIMIT, |end| end + 1)];
        }
        let message = MessageParser::default().parse_headers(head);
        Self(message.and_then(|message| message.parts.into_iter().next()).map_or_else(Vec::new, |part| part.headers))
    }

    fn get(&self, name: &str) -> Option<&HeaderValue<'x>> {
        self.0.iter().find(|header| header.name.as_str().eq_ignore_ascii_case(name)).map(|header| &header.value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A header that is there and says nothing.
    pub(super) fn is_empty(&self, name: &str) -> bool {
        matches!(self.get(name), Some(HeaderValue::Empty))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(HeaderValue::as_text).map(str::trim).filter(|text| !text.is_empty())
    }

    /// The first address of a header that has some.
    pub(super) fn mailbox(&self, name: &str) -> Option<Mailbox> {
        let address: &Address<'_> = self.get(name)?.as_address()?;
        address.iter().find_map(|one| Mailbox::new(one.name(), one.address()?))
    }

    /// The name of the mailing list. <https://www.rfc-editor.org/rfc/rfc2919>
    pub(super) fn list(&self) -> Option<String> {
        let list = self.get("List-Id")?.as_address()?.first()?;
        let list = clean(list.address().or_else(|| list.name())?).trim().trim_matches(['<', '>']).to_lowercase();
        Some(list).filter(|list| !list.is_empty() && list.len() <= 255)
    }

    /// Message-IDs without their brackets, the last ones if there are very many.
    pub(super) fn ids(&self, name: &str) -> Vec<String> {
        let ids: &[Cow<'_, str>] = match self.get(name) {
            Some(HeaderValue::Text(id)) => std::slice::from_ref(id),
            Some(HeaderValue::TextList(ids)) => ids,
            _ => &[],
        };
        let ids = &ids[ids.len().saturating_sub(ID_COUNT)..];
        let ids = ids.iter().map(|id| clean(id).trim().to_owned());
        ids.filter(|id| !id.is_empty() && id.len() <= ID_LIMIT).collect()
    }

    pub(super) fn date(&self) -> Option<DateTime<Utc>> {
        let date = self.get("Date")?.as_datetime().filter(|date| date.is_valid())?;
        DateTime::from_timestamp(date.to_timestamp(), 0)
    }

    /// `text/plain` where nothing is said or what is said cannot be read.
    pub(super) fn content_type(&self) -> ContentType {
        let Some(header) = self.get("Content-Type").and_then(HeaderValue::as_content_type) else {
            return ContentType { essence: "text/plain".to_owned(), ..ContentType::default() };
        };
        let subtype = header.subtype().unwrap_or(if header.ctype() == "text" { "plain" } else { "" });
        let attribute = |name| header.attribute(name).map(str::to_owned);
        ContentType {
            essence: format!("{}/{subtype}", header.ctype()).to_ascii_lowercase(),
            charset: attribute("charset"),
            boundary: attribute("boundary").filter(|boundary| !boundary.is_empty()),
            report_type: attribute("report-type"),
        }
    }

    /// What the sender calls the file that a part is.
    pub(super) fn file_name(&self) -> Option<String> {
        let attribute =
            |header: &str, name: &str| self.get(header)?.as_content_type()?.attribute(name).map(str::to_owned);
        attribute("Content-Disposition", "filename").or_else(|| attribute("Content-Type", "name"))
    }

    pub(super) fn is_attachment(&self) -> bool {
        let disposition = self.get("Content-Disposition").and_then(HeaderValue::as_content_type);
        disposition.is_some_and(mail_parser::ContentType::is_attachment)
    }
}

//! ADF/XML 1.0, in which portals and importers send inquiries. Most of what arrives is not well-formed, and much of it not
//! even XML: whatever can be understood is read. Only what makes XML dangerous is refused.
//! <https://en.wikipedia.org/wiki/Auto-lead_Data_Format>

mod contact;
mod prospect;
mod text;
mod tree;
mod vehicle;
mod write;

#[cfg(test)]
mod tests;

use super::{Inquiry, NewInquiry};
use tree::Node;
pub use write::{AdfLead, write};

/// Bytes that a document may have, with the mail around it if there is one.
const MAX_BYTES: usize = 1 << 20;
/// Elements within each other.
const MAX_DEPTH: usize = 64;
const MAX_ELEMENTS: usize = 20_000;

/// One inquiry of a document, which may hold several.
#[derive(Debug, Clone, PartialEq)]
pub struct Prospect {
    pub inquiry: Inquiry,
    /// What its sender calls it: the source of its id, and the id. None where either is missing: an id alone counts from 1
    /// in many templates, and tells no inquiry from another.
    pub key: Option<String>,
    /// Whether its sender says that it was sent before.
    pub is_resend: bool,
}

impl From<Prospect> for NewInquiry {
    fn from(prospect: Prospect) -> Self {
        let key = prospect.key.map(|key| format!("adf {key}"));
        Self { key, ..prospect.inquiry.into() }
    }
}

/// Why a document is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdfError {
    #[error("there is neither an element `adf` nor an element `prospect`")]
    NotAdf,
    #[error("an ADF document may not have a DOCTYPE")]
    Doctype,
    #[error("an ADF document may have at most {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the elements of an ADF document may be nested at most {MAX_DEPTH} deep")]
    TooDeep,
    #[error("an ADF document may have at most {MAX_ELEMENTS} elements")]
    TooMany,
}

/// Reads a document, or a mail that holds one, be it as text or escaped in HTML. `declared_charset` is what came beside it,
/// such as in its content type; it counts less than a byte order mark and than being valid UTF-8.
pub fn read(bytes: &[u8], declared_charset: Option<&str>) -> Result<Vec<Prospect>, AdfError> {
    if bytes.len() > MAX_BYTES {
        return Err(AdfError::TooLarge);
    }
    let root = tree::parse(&text::document(bytes, declared_charset)?)?;
    let prospects = root.descendants("prospect");
    if !prospects.is_empty() {
        return Ok(prospects.into_iter().map(prospect::read).collect());
    }
    let is_bare = |adf: &&Node| ["customer", "contact", "vehicle"].iter().any(|name| adf.child(name).is_some());
    let bare = root.descendants("adf").into_iter().find(is_bare);
    bare.map(|adf| vec![prospect::read(adf)]).ok_or(AdfError::NotAdf)
}

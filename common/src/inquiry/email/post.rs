//! Forms as mail providers post them.

use multer::bytes::Bytes;

use super::received::NoMail;
use crate::inquiry::{
    charset,
    multipart::{Part, parts},
};

/// Fields of one form that are read.
const FIELD_LIMIT: usize = 1000;

/// The fields and files of a form.
#[derive(Debug)]
pub(super) struct Form(Vec<Part>);

impl Form {
    /// Reads a form, multipart or URL-encoded as its content type says.
    pub(super) fn read(content_type: &str, body: &[u8]) -> Result<Self, NoMail> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "multipart/form-data" => {
                parts(content_type, Bytes::copy_from_slice(body)).map(Self).map_err(|_| NoMail::DamagedForm)
            }
            "application/x-www-form-urlencoded" => {
                let pairs = form_urlencoded::parse(body).take(FIELD_LIMIT);
                let fields = pairs.map(|(name, value)| Part {
                    name: name.into_owned(),
                    file_name: None,
                    content_type: None,
                    bytes: Bytes::from(value.into_owned()),
                });
                Ok(Self(fields.collect()))
            }
            _ => Err(NoMail::NoForm),
        }
    }

    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|field| field.name == name).map(|field| field.bytes.as_ref())
    }

    /// A field in UTF-8.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.bytes(name).map(|bytes| charset::decode(bytes, None))
    }

    /// Those that came as files.
    pub(super) fn files(&self) -> impl Iterator<Item = &Part> {
        self.0.iter().filter(|field| field.file_name.is_some() || is_numbered(&field.name, "attachment"))
    }
}

/// Whether a name is `attachment1`, `attachment-2` and so on.
fn is_numbered(name: &str, word: &str) -> bool {
    let number = name.strip_prefix(word).map(|rest| rest.trim_start_matches('-'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

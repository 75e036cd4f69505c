//! Bodies in parts. <https://www.rfc-editor.org/rfc/rfc7578>

use std::convert::Infallible;

use futures::{FutureExt, stream};
use multer::{Constraints, Multipart, SizeLimit, bytes::Bytes};

/// Parts that a body may have.
const MAX_PARTS: usize = 1000;

/// One part of a body.
#[derive(Debug, Clone)]
pub struct Part {
    pub name: String,
    /// Whether it is a file, and of which name.
    pub file_name: Option<String>,
    pub content_type: Option<String>,
    pub bytes: Bytes,
}

/// A body is not in parts, or they end in the middle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body is not in parts as its Content-Type says: {0}")]
pub struct NotInParts(String);

/// Takes a body apart. It is all there, so nothing is waited for.
pub fn parts(content_type: &str, body: Bytes) -> Result<Vec<Part>, NotInParts> {
    let unreadable = |error: multer::Error| NotInParts(error.to_string());
    let boundary = multer::parse_boundary(content_type).map_err(unreadable)?;
    let limits = SizeLimit::new().whole_stream(u64::try_from(body.len()).unwrap_or(u64::MAX));
    let whole = stream::once(async { Ok::<_, Infallible>(body) });
    let mut multipart = Multipart::with_constraints(whole, boundary, Constraints::new().size_limit(limits));
    let mut parts = Vec::new();
    while parts.len() < MAX_PARTS {
        let ended = || NotInParts("it ends in the middle".to_owned());
        let Some(field) = multipart.next_field().now_or_never().ok_or_else(ended)?.map_err(unreadable)? else { break };
        let name = field.name().unwrap_or_default().to_owned();
        let file_name = field.file_name().map(str::to_owned);
        let content_type = field.content_type().map(ToString::to_string);
        let bytes = field.bytes().now_or_never().ok_or_else(ended)?.map_err(unreadable)?;
        parts.push(Part { name, file_name, content_type, bytes });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_early_is_an_error_and_nothing_is_waited_for() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"navn\"\r\n\r\nÅse\r\n--x--\r\n";
        let read = |body: &'static str| parts("multipart/form-data; boundary=x", Bytes::from_static(body.as_bytes()));
        assert_eq!(read(body).map(|parts| parts[0].bytes.clone()), Ok("Åse".into()));
        assert!(read("--x\r\nContent-Disposition: form-data; name=\"navn\"\r\n\r\nÅse").is_err());
        assert!(read("").is_err() && parts("text/plain", Bytes::new()).is_err());
    }
}

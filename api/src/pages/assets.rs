//! Files that the pages and the embedded form are made of.

use std::hash::{DefaultHasher, Hasher};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

const CSS: HeaderValue = HeaderValue::from_static("text/css; charset=utf-8");
/// Says how it is written, since the page that it runs in may be written otherwise.
const JAVASCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
/// What an address that names its content may be kept for.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// What another address may be kept for: asked again each time.
const UNTIL_ASKED: HeaderValue = HeaderValue::from_static("public, no-cache");
/// How long a dealership's pages may go on without a change of the form.
const MINUTES: HeaderValue = HeaderValue::from_static("public, max-age=300");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

pub(super) static STYLE: Asset = Asset {
    name: "form.css",
    kind: CSS,
    content: concat!(include_str!("static/fields.css"), include_str!("static/page.css")),
};
pub(super) static SCRIPT: Asset = Asset { name: "form.js", kind: JAVASCRIPT, content: include_str!("static/form.js") };

pub(super) struct Asset {
    name: &'static str,
    kind: HeaderValue,
    content: &'static str,
}

impl Asset {
    /// Names the content too: a page never gets a file that belongs to another release.
    pub(super) fn address(&self) -> String {
        format!("/forms/assets/{}?v={}", self.name, version(self.content))
    }
}

/// The file of this name, for whoever asks for this version of it.
pub fn asset(name: &str, wanted: Option<&str>, headers: &HeaderMap) -> Option<Response> {
    let asset = [&STYLE, &SCRIPT].into_iter().find(|asset| asset.name == name)?;
    let caching = if wanted == Some(&*version(asset.content)) { FOREVER } else { UNTIL_ASKED };
    Some(file(asset.content.to_owned(), asset.kind.clone(), caching, headers))
}

/// What [`embed`](super::embed) has made, for pages of all origins.
pub fn embed_script(script: String, headers: &HeaderMap) -> Response {
    let mut response = file(script, JAVASCRIPT, MINUTES, headers);
    let cross_origin = HeaderValue::from_static("cross-origin");
    response.headers_mut().insert(RESOURCE_POLICY, cross_origin);
    // For a script tag with `crossorigin`, which shows a page's owner what fails in it.
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

fn file(content: String, kind: HeaderValue, caching: HeaderValue, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", version(&content));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let etag_value = HeaderValue::from_str(&etag).expect("digits and quotes");
    let headers = [(header::ETAG, etag_value), (header::CACHE_CONTROL, caching)];
    if known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(header::CONTENT_TYPE, kind)], content).into_response()
}

/// Changes with the content. Not against forgery: it only tells releases from each other.
fn version(content: &str) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(content.as_bytes());
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_by_browsers_for_as_long_as_it_is_the_same() {
        let none = HeaderMap::new();
        let current = version(SCRIPT.content);
        for (wanted, caching) in
            [(Some(&*current), FOREVER), (Some("0123456789abcdef"), UNTIL_ASKED), (None, UNTIL_ASKED)]
        {
            let response = asset("form.js", wanted, &none).expect("it exists");
            assert_eq!(response.headers()[header::CACHE_CONTROL], caching, "{wanted:?}");
            let known = HeaderMap::from_iter([(header::IF_NONE_MATCH, response.headers()[header::ETAG].clone())]);
            assert_eq!(
                asset("form.js", wanted, &known).map(|response| response.status()),
                Some(StatusCode::NOT_MODIFIED)
            );
            assert_eq!(asset("form.css", wanted, &known).map(|response| response.status()), Some(StatusCode::OK));
        }
        assert!(SCRIPT.address().ends_with(&current));
        assert!(asset("page.css", None, &none).is_none() && asset("", None, &none).is_none());
    }
}

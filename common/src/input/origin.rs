use reqwest::Url;
use serde_json::Value;

use super::Invalid;

/// Whether a browser would write it like that. <https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin>
pub fn is_origin(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    if text.contains('*') {
        return false;
    }
    if matches!(url.scheme(), "http" | "https") {
        return url.origin().ascii_serialization() == text;
    }
    // Of a browser's extension, or a shell around the web site.
    text.split_once("://").is_some_and(|(_, host)| !host.is_empty() && !host.contains(['/', '?', '#']))
}

/// Reads a list of at most `max` origins.
pub fn origins(max: usize) -> impl Fn(&Value) -> Result<Vec<String>, Invalid> {
    move |value| {
        let items: Option<Vec<String>> = serde_json::from_value(value.clone()).ok();
        let items = items.filter(|items| items.len() <= max && items.iter().all(|item| is_origin(item)));
        items.ok_or_else(|| {
            format!(
                "must be a list of at most {max} origins such as https://www.bilvest.example: with the scheme, in lower case, \
                 without a path or a slash at the end"
            )
            .into()
        })
    }
}

/// Reads the address of a web page, of at most 2000 characters.
pub fn web_page(value: &Value) -> Result<String, Invalid> {
    let text = value.as_str().unwrap_or_default().trim();
    let is_page = |url: &Url| matches!(url.scheme(), "https" | "http") && url.username().is_empty();
    match Url::parse(text) {
        Ok(url) if text.len() <= 2000 && is_page(&url) => Ok(text.to_owned()),
        _ => Err("must be the address of a web page, such as https://www.bilvest.example/takk".into()),
    }
}

/// The origin of a web page's address, if it has one that can be compared.
pub fn origin_of(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    matches!(url.scheme(), "https" | "http").then(|| url.origin().ascii_serialization())
}

use reqwest::Url;
use serde_json::Value;

use super::{Invalid, text};

/// By here, the longest scheme that is looked for has ended.
const SCHEMES_END: usize = 16;

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

/// Whether whoever follows this address runs what stands in it, where people see it as a link. Browsers pass over blanks and
/// control characters in a scheme. <https://url.spec.whatwg.org/#concept-basic-url-parser>
pub fn is_script(address: &str) -> bool {
    let address: String = address.chars().filter(|c| !c.is_control() && !c.is_whitespace()).take(SCHEMES_END).collect();
    let address = address.to_ascii_lowercase();
    ["javascript:", "data:", "vbscript:"].iter().any(|scheme| address.starts_with(scheme))
}

/// Reads where something is to be found, of at most `max` characters: an address, or what people write instead of one.
pub fn link(max: usize) -> impl Fn(&Value) -> Result<String, Invalid> {
    move |value| {
        let text = text(max)(value)?;
        if is_script(&text) { Err("must not be a script".into()) } else { Ok(text) }
    }
}

/// The origin of a web page's address, if it has one that can be compared.
pub fn origin_of(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    matches!(url.scheme(), "https" | "http").then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_runs_anything() {
        for script in
            ["javascript:alert(1)", " JAVAscript:x", "java\nscript:x", "\u{1}java\tscript\n:x", "data:text/html,x"]
        {
            assert!(is_script(script) && link(2000)(&Value::from(script)).is_err(), "{script:?}");
        }
        for address in
            ["https://www.finn.no/1?q=javascript:x", "www.finn.no:443/1", "FINN 1234", "javascript", "data 2024"]
        {
            assert!(!is_script(address), "{address}");
            assert_eq!(link(2000)(&Value::from(address)).as_deref(), Ok(address));
        }
    }
}

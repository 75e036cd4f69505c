//! DNS, asked over HTTPS: no resolver of our own, and no trust in the network between. Whoever answers so will do; the address is
//! a setting. <https://developers.cloudflare.com/1.1.1.1/encryption/dns-over-https/make-api-requests/dns-json/>

use std::time::Duration;

use reqwest::{Client, Url, header::ACCEPT};
use serde::Deserialize;

use crate::http::{self, NoAnswer};

pub const DEFAULT_URL: &str = "https://cloudflare-dns.com/dns-query";
/// For one question.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 256 << 10;
/// RCODEs. <https://www.iana.org/assignments/dns-parameters>
const NO_ERROR: u16 = 0;
const NO_SUCH_NAME: u16 = 3;

/// A client of a resolver.
#[derive(Debug, Clone)]
pub struct Dns {
    http: Client,
    url: Url,
}

/// Why there is no answer, which says nothing of what is in DNS.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    #[error("the resolver cannot be reached")]
    Unreachable(#[from] NoAnswer),
    /// Such as when the domain's own servers do not answer.
    #[error("the resolver could not find out (code {0})")]
    Failed(u16),
    #[error("the resolver's answer cannot be read")]
    Unreadable,
    #[error("the address of the resolver is not a URL")]
    InvalidUrl,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    status: u16,
    #[serde(default)]
    answer: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    r#type: u16,
    data: String,
}

impl Dns {
    /// Prepares for asking; nothing is sent yet.
    pub fn new(url: &str) -> Result<Self, DnsError> {
        let url = Url::parse(url).ok().filter(|url| !url.cannot_be_a_base()).ok_or(DnsError::InvalidUrl)?;
        Ok(Self { http: http::client(TIME_LIMIT)?, url })
    }

    /// The records of a name, `TXT` or `MX`; none, if there is no such name.
    pub async fn records(&self, name: &str, record_type: &str) -> Result<Vec<String>, DnsError> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("name", name).append_pair("type", record_type);
        let answer = self.http.get(url).header(ACCEPT, "application/dns-json").send().await.map_err(NoAnswer::from)?;
        let status = answer.status();
        let body = http::body(answer, MAX_ANSWER).await?;
        if !status.is_success() {
            return Err(DnsError::Failed(status.as_u16()));
        }
        let Answer { status, answer } = serde_json::from_slice(&body).map_err(|_| DnsError::Unreadable)?;
        match status {
            NO_ERROR | NO_SUCH_NAME => {}
            other => return Err(DnsError::Failed(other)),
        }
        // Beside those that were asked for there are the aliases which led to them.
        let wanted = if record_type == "MX" { 15 } else { 16 };
        Ok(answer.into_iter().filter(|record| record.r#type == wanted).map(|record| joined(&record.data)).collect())
    }
}

/// A text of several strings, each quoted by some resolvers, as the one that it stands for.
/// <https://www.rfc-editor.org/rfc/rfc7208#section-3.3>
fn joined(data: &str) -> String {
    if !data.starts_with('"') {
        return data.to_owned();
    }
    let (mut text, mut is_inside, mut characters) = (String::new(), false, data.chars());
    while let Some(c) = characters.next() {
        match c {
            '"' => is_inside = !is_inside,
            '\\' if is_inside => text.extend(characters.next()),
            c if is_inside => text.push(c),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_however_it_is_cut() {
        for (data, text) in [
            (r#""v=spf1 -all""#, "v=spf1 -all"),
            (r#""v=DKIM1; p=MIG" "fMA0""#, "v=DKIM1; p=MIGfMA0"),
            ("v=spf1 -all", "v=spf1 -all"),
            (r#""a \"b\" \\c""#, r#"a "b" \c"#),
            (r#""cut"#, "cut"),
            ("10 mx.bil.no.", "10 mx.bil.no."),
        ] {
            assert_eq!(joined(data), text, "{data}");
        }
    }
}

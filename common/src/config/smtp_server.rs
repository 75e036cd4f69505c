use std::{borrow::Cow, str::FromStr};

use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::secrets::Secret;

/// A mail server that takes mail of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpServer {
    pub host: String,
    pub port: u16,
    pub security: SmtpSecurity,
    pub login: Option<SmtpLogin>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// Encrypted from the start.
    Tls,
    /// Encrypted before anything is told; a server that cannot is told nothing.
    StartTls,
    /// Not at all: for this host and private networks.
    Plain,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpLogin {
    pub user: String,
    pub password: Secret,
}

impl FromStr for SmtpServer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "must be smtp://user:password@host:587 (STARTTLS), smtps://user:password@host:465 (TLS), or \
                             smtp+plain://host:port, with what is special in user and password percent-encoded";
        let url = Url::parse(text).map_err(|_| WRONG)?;
        let (security, port) = match url.scheme() {
            "smtp" => (SmtpSecurity::StartTls, Some(587)),
            "smtps" => (SmtpSecurity::Tls, Some(465)),
            "smtp+plain" => (SmtpSecurity::Plain, None),
            _ => return Err(WRONG),
        };
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|host| !host.is_empty() && is_bare).ok_or(WRONG)?;
        // The name may have any letters, which come percent-encoded.
        let host = percent_decode_str(host.trim_start_matches('[').trim_end_matches(']')).decode_utf8();
        let host = host.map_err(|_| WRONG)?.into_owned();
        let port = url.port().or(port).ok_or(WRONG)?;
        let login = login(&url).map_err(|()| WRONG)?;
        Ok(Self { host, port, security, login })
    }
}

fn login(url: &Url) -> Result<Option<SmtpLogin>, ()> {
    let decoded = |text| percent_decode_str(text).decode_utf8().map(Cow::into_owned).map_err(|_| ());
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", _) | (_, None) => Err(()),
        (user, Some(password)) => {
            let login = SmtpLogin { user: decoded(user)?, password: Secret::new(decoded(password)?) };
            Ok(Some(login))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_servers_are_told_by_url() {
        let server = |text: &str| text.parse::<SmtpServer>();
        assert_eq!(server("smtps://mail.example").expect("valid").port, 465);
        assert_eq!(server("smtp+plain://[::1]:2525").expect("valid").host, "::1");
        assert_eq!(server("smtps://mail.blåbær.no").expect("valid").host, "mail.blåbær.no");
        for wrong in [
            "mail.example:587",
            "http://mail.example",
            "smtp+plain://mail.example",
            "smtp://user@mail.example",
            "smtp://:password@mail.example",
            "smtp://mail.example/path",
            "smtp://mail.example?tls=none",
            "smtp://",
        ] {
            server(wrong).expect_err(wrong);
        }
    }
}

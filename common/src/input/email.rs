use std::str::FromStr;

use email_address::{EmailAddress, Options};

use super::{Invalid, values::short};

/// An e-mail address, as written. <https://www.rfc-editor.org/rfc/rfc5321>, <https://www.rfc-editor.org/rfc/rfc6531>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = Invalid;

    /// Reads one of at most 254 characters: quoted local parts, tags and international domains included; no display
    /// name, no address literal, and nothing that cannot be a domain of the public Internet.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = short(text, 254)?;
        let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
        let address = EmailAddress::parse_with_options(text, options).ok();
        let address = address.filter(|address| is_visible(address.local_part()) && is_public(address.domain()));
        address.ok_or("must be an e-mail address, such as kari@example.no")?;
        Ok(Self(text.to_owned()))
    }
}

fn is_visible(local_part: &str) -> bool {
    !local_part.contains(|c: char| c.is_control() || (c.is_whitespace() && c != ' '))
}

/// Whether DNS could hold this name below a top-level domain, none of which is a number or a single letter. Only that
/// tells `1.2.3.4` from a name. <https://www.rfc-editor.org/rfc/rfc3696#section-2>
fn is_public(domain: &str) -> bool {
    let ascii = idna::domain_to_ascii_strict(domain).unwrap_or_default();
    ascii.rsplit_once('.').is_some_and(|(_, top_level)| {
        top_level.starts_with("xn--") || (top_level.len() >= 2 && top_level.bytes().all(|b| b.is_ascii_alphabetic()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_unusual_but_not_unusable() {
        for address in [
            "kari@example.no",
            " kari@example.no ",
            "kari+bil@example.no",
            "\"kari nordmann\"@example.no",
            "åse@blåbærsyltetøy.no",
            "o'brien@example.ie",
            "kari@123.no",
            "kari@xn--blbrsyltety-y8ao3x.no",
            "kari@例え.テスト",
            "kari@bil.xn--p1ai",
        ] {
            assert!(address.parse::<Email>().is_ok(), "{address}");
        }
        for wrong in [
            "",
            "kari",
            "kari@",
            "@example.no",
            "kari@localhost",
            "Kari <kari@example.no>",
            "kari@[127.0.0.1]",
            "kari@[IPv6:::1]",
            "a b@example.no",
            "kari@1.2.3.4",
            "kari@１.２.３.４",
            "kari@127.1",
            "kari@0x7f.1",
            "kari@example.123",
            "kari@example.n0",
            "kari@example.n",
            "kari@example..no",
            "kari@example.no.",
            "kari@-example.no",
            "kari@example-.no",
            "kari@exam_ple.no",
            "kari@exam\u{200b}ple.no",
            "kari@.no",
            "kari\u{85}@example.no",
            "kari@example.no,ola@example.no",
        ] {
            assert!(wrong.parse::<Email>().is_err(), "{wrong}");
        }
    }
}

//! Whose an address is.

use super::headers::Mailbox;

/// Local parts that organisations use.
const ROLES: [&str; 20] = [
    "abonnement",
    "contact",
    "firmapost",
    "hei",
    "hello",
    "help",
    "hjelp",
    "info",
    "kontakt",
    "kundeservice",
    "marked",
    "marketing",
    "news",
    "office",
    "post",
    "salg",
    "sales",
    "service",
    "support",
    "team",
];

/// An address of ours that a mail was sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The key of a lead source, in small letters.
    pub key: String,
    /// What follows the first `+`, as written.
    pub token: Option<String>,
    /// In small letters.
    pub domain: String,
}

/// Takes `key+token@domain` apart.
pub fn plus_token(recipient: &str) -> Option<Recipient> {
    let recipient = recipient.trim().trim_start_matches('<').trim_end_matches('>');
    let (local, domain) = recipient.rsplit_once('@')?;
    let (key, token) = local.split_once('+').map_or((local, None), |(key, token)| (key, Some(token)));
    if key.is_empty() || domain.is_empty() {
        return None;
    }
    Some(Recipient {
        key: key.to_lowercase(),
        token: token.filter(|token| !token.is_empty()).map(str::to_owned),
        domain: domain.to_lowercase(),
    })
}

/// The addresses of the dealership and of this system: whoever writes from them is no customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    /// Such as `post@bilhuset.no`.
    pub addresses: Vec<String>,
    /// Such as `bilhuset.no`, with those below it.
    pub domains: Vec<String>,
}

impl OwnAddresses {
    pub fn contains(&self, address: &str) -> bool {
        let address = address.trim();
        self.addresses.iter().any(|own| own.eq_ignore_ascii_case(address))
            || self.domains.iter().any(|domain| is_below(address, domain))
    }
}

/// Whether an address is of a domain or of one below it.
pub(super) fn is_below(address: &str, domain: &str) -> bool {
    let Some((_, of)) = address.rsplit_once('@') else { return false };
    let (of, domain) = (of.to_lowercase(), domain.trim_start_matches('@').to_lowercase());
    !domain.is_empty() && of.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether an address is of the organisation of another: one's domain is that of the other or below it.
pub(super) fn is_beside(address: &str, other: &str) -> bool {
    let domain = |address: &str| address.rsplit_once('@').map_or(String::new(), |(_, domain)| domain.to_owned());
    is_below(address, &domain(other)) || is_below(other, &domain(address))
}

/// Whether an address is that of an organisation, not of a person.
pub(super) fn is_role(mailbox: &Mailbox) -> bool {
    let local = mailbox.address.split(['@', '+']).next().unwrap_or_default().to_lowercase();
    ROLES.contains(&local.as_str())
}

/// Whether nobody reads what is sent there.
pub(super) fn is_robot(mailbox: &Mailbox) -> bool {
    let local = mailbox.address.rsplit_once('@').map_or("", |(local, _)| local);
    let local: String = local.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let within = ["noreply", "donotreply", "dontreply", "notreply", "ikkesvar", "ikkjesvar", "svarikke", "autosvar"];
    let first = ["mailerdaemon", "postmaster", "bounce", "notification", "newsletter", "nyhetsbrev", "nyheitsbrev"];
    within.iter().any(|part| local.contains(part)) || first.iter().any(|part| local.starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_is_a_key_and_perhaps_a_token() {
        let read = |address| plus_token(address).map(|to| (to.key, to.token, to.domain));
        let is = |key: &str, token: Option<&str>| {
            Some((key.to_owned(), token.map(str::to_owned), "inn.norvalt.no".to_owned()))
        };
        assert_eq!(read("AbC123@Inn.Norvalt.no"), is("abc123", None));
        assert_eq!(read("<r+Xy+Z@inn.norvalt.no>"), is("r", Some("Xy+Z")));
        assert_eq!(read("r+@inn.norvalt.no"), is("r", None));
        for wrong in ["", "@", "abc", "+x@inn.norvalt.no", "abc@"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn robots_and_own_addresses_are_known() {
        let robot = |address| is_robot(&Mailbox { name: None, address: String::from(address) });
        for address in
            ["no-reply@finn.example", "ikke.svar@x.no", "DoNotReply@x.no", "bounces+12@x.no", "MAILER-DAEMON@x.no"]
        {
            assert!(robot(address), "{address}");
        }
        for address in ["kari@x.no", "post@bilhuset.no", "noah.reply@x.no"] {
            assert!(!robot(address), "{address}");
        }
        assert!(is_beside("a@bilnytt.no", "b@post.Bilnytt.no") && !is_beside("a@bilnytt.no", "b@nytt.no"));
        let own = OwnAddresses { addresses: vec!["bilhuset@gmail.com".into()], domains: vec!["bilhuset.no".into()] };
        for address in ["Bilhuset@Gmail.com", "ola@bilhuset.no", "ola@oslo.BILHUSET.no"] {
            assert!(own.contains(address), "{address}");
        }
        for address in ["kari@gmail.com", "ola@ikkebilhuset.no", "bilhuset.no"] {
            assert!(!own.contains(address), "{address}");
        }
    }
}

//! Links, addresses and other ways to reach somebody. A customer writes back to us, or calls the dealership.

use std::sync::LazyLock;

use regex::Regex;

use super::{Reason, stock::spelled};
use crate::answers::{
    facts::Facts,
    words::{any_of, expression, folded},
};

/// Words with a full stop in them that are no domains.
const ABBREVIATIONS: [&str; 30] = [
    "f.eks", "bl.a", "m.m", "m.v", "o.l", "e.g", "i.e", "a.m", "p.m", "t.o.m", "f.o.m", "d.v.s", "m.fl", "osv.", "kl.",
    "tlf.", "o.s.v", "s.a", "sp.z", "m.in", "t.j", "tj.", "z.b", "u.a", "d.h", "t.ex", "bl.a.", "s.k", "p.g.a", "p.t",
];

/// A car that is called like a domain.
const CAR_WITH_A_DOT: &str = "id.buzz";

static DOTTED: LazyLock<Regex> = LazyLock::new(|| expression(r"[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)*\.[a-z][a-z0-9-]+"));

/// Domains with letters that folding leaves out, or with another full stop that is read as one:
/// <https://www.rfc-editor.org/rfc/rfc3490#section-3.1>
static IN_OTHER_LETTERS: LazyLock<Regex> = LazyLock::new(|| {
    let other = r"[\p{L}\p{N}&&[^\x00-\x7f]]";
    let any = r"[\p{L}\p{N}]";
    Regex::new(&format!(r"{other}-*\.{any}|{any}-*\.[\p{{L}}\p{{N}}-]*{other}|{any}-*[。．｡]{any}"))
        .expect("patterns are constants, and tested")
});

/// Links and addresses in disguise too.
static LINKS: LazyLock<Regex> = LazyLock::new(|| {
    expression(&[
        r"https?|hxxp|h t t p|t t p s|ftp:|://|www|mailto|javascript|tel:",
        r"@|\(a\)|_alfakroll_|_krollalfa_|_snabel-?a_|_malpa_|_at (?:gmail|outlook|hotmail|yahoo|proton\w*|icloud)_",
        r"(?:gmail|outlook|hotmail|yahoo|protonmail|icloud)_",
        r"\( ?(?:\.|dot|punktum|punkt|at|kropka) ?\)",
        r"_(?:dot|punktum|punkt|prikk|kropka|punto)\W{1,2}(?:com|no|net|org|io|pl|se|dk|de|eu|ru|cn|xyz|top|shop|info|biz|app|me|ly|link)_",
        r"[a-z0-9] \. ?(?:com|net|org|io|xyz|info|biz|ru)_",
        r"[a-z0-9] ?, ?(?:com|net|org|xyz|biz)_",
        r"_(?:com|net|org|no|xyz) ?/ ?[a-z0-9]",
        r"_(?:bit ?ly|tinyurl|goo gl|t ?me/|wa ?me)",
        r"[a-z0-9]/[a-z0-9]+/[a-z]",
        r"_(?:lenke|lenka|link|lenken|linken|klikk|clicky?|kliknij|nettadresse\w*|url|qr)(?:en|a|ing)?_",
        r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}",
    ]
    .join("|"))
});

/// Other places to go on talking, and to pay.
static ELSEWHERE: LazyLock<Regex> = LazyLock::new(|| {
    any_of(&[
        r"whats ?app",
        r"telegram",
        r"signal_",
        r"snap(?:chat)?_",
        r"instagram",
        r"insta_",
        r"facebook",
        r"messenger",
        r"viber",
        r"wechat",
        r"discord",
        r"skype",
        r"linkedin",
        r"tiktok",
        r"vipps\w*",
        r"swish_",
        r"blik_",
        r"paypal",
        r"western union",
        r"privat(?:e|t)? (?:e-?post|mail|e-?mail|nummer|number|telefon)",
        r"finn\.?no",
        r"mobile\.de",
        r"blocket",
        r"otomoto",
        r"competitor|konkurrent\w*|konkurencj\w*",
    ])
});

pub(super) fn check(reply: &str, facts: &Facts) -> Result<(), Reason> {
    let text = without_own(&folded(reply), facts);
    if has_link(&text) {
        return Err(Reason::Link);
    }
    if ELSEWHERE.is_match(&text) { Err(Reason::Contact) } else { Ok(()) }
}

/// Whether a text of a stranger's has a link or an address in it. Nobody vouches for who typed it: what repeats it by itself
/// would carry it to whomever they name.
pub fn leads_elsewhere(text: &str) -> bool {
    IN_OTHER_LETTERS.is_match(text) || has_link(&without(&folded(text), CAR_WITH_A_DOT))
}

fn has_link(folded: &str) -> bool {
    LINKS.is_match(folded) || DOTTED.find_iter(folded).any(|found| !is_abbreviation(found.as_str()))
}

/// The folded text without the dealership's own addresses, and names with a full stop in them.
pub(super) fn without_own(text: &str, facts: &Facts) -> String {
    let dealership = &facts.dealership;
    let urls = facts.vehicles.iter().filter_map(|vehicle| vehicle.listing_url.as_deref());
    let mut text = text.to_owned();
    for own in urls.chain([dealership.email.as_str()]) {
        text = without(&text, &folded(own));
    }
    let names = facts.vehicles.iter().map(crate::answers::facts::VehicleFacts::name);
    for name in names.chain([dealership.name.clone()]).filter(|name| name.contains('.')) {
        for word in folded(&name).split_whitespace().filter(|word| word.contains('.')) {
            for (start, end) in spelled(&text, word).into_iter().rev() {
                text.replace_range(start..end, &" ".repeat(end - start));
            }
        }
    }
    text
}

/// Without an address that stands by itself: not as a part of a longer one.
fn without(text: &str, own: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(own).filter(|_| !own.is_empty()) {
        let after = &rest[at + own.len()..];
        let goes_on = after.trim_start_matches(['.', ',']).starts_with(|c: char| c.is_ascii_alphanumeric());
        let goes_on = goes_on || after.starts_with(['/', '-', '@', '_', '?', '%', '&', ':']);
        let began = rest[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "@./-_+".contains(c));
        kept.push_str(&rest[..at]);
        kept.push_str(if goes_on || began { own } else { " " });
        rest = after;
    }
    kept + rest
}

fn is_abbreviation(word: &str) -> bool {
    ABBREVIATIONS.iter().any(|known| known.trim_end_matches('.') == word)
}

#[cfg(test)]
mod tests {
    use super::leads_elsewhere;

    #[test]
    fn a_link_is_one_in_whatever_letters_and_a_car_is_none() {
        for link in [
            "solid.buzz/tilbud",
            "covid.buzz",
            "id.buzz/x",
            "vw.id.buzz",
            "id.buzz.example",
            "казино.рф",
            "blå.рф",
            "bank.中国",
            "example．com",
            "bank。中国",
            "Se tesla.no",
            "www tesla no",
        ] {
            assert!(leads_elsewhere(link), "{link}");
        }
        for none in
            ["Er ID.Buzz ledig?", "En VW ID.Buzz, 2023.", "Hei. Øyvind her", "Kl. 10 på lørdag…", "Ærlig talt. Åpent?"]
        {
            assert!(!leads_elsewhere(none), "{none}");
        }
    }
}

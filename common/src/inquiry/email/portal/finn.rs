//! FINN's numbers of advertisements: eight to ten digits.

use crate::inquiry::email::mail::Mail;

/// The code of the advertisement that a mail is about, by its links or its words.
pub(super) fn code(mail: &Mail) -> Option<String> {
    let linked = || mail.links.iter().find_map(|link| in_link(link));
    linked().or_else(|| in_text(mail.subject.as_deref()?)).or_else(|| in_text(&mail.text))
}

/// The code that a value begins with.
pub(super) fn leading(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (8..=10).contains(&end).then(|| text[..end].to_owned())
}

/// `finn.no/312345678`, `finnkode=312345678` or the last part of a path, also within the address of a link that counts
/// clicks.
pub(super) fn in_link(link: &str) -> Option<String> {
    let link = link.to_ascii_lowercase().replace("%2f", "/").replace("%3d", "=").replace("%3f", "?");
    let path = &link[link.find("finn.no")? + "finn.no".len()..];
    let parameter = path.split_once("finnkode=").and_then(|(_, code)| leading(code));
    parameter
        .or_else(|| path.split(['/', '?', '#', '&', '%']).find_map(|part| leading(part).filter(|code| code == part)))
}

/// The number after the word.
fn in_text(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    text.match_indices("finn").find_map(|(at, word)| {
        let rest = text[at + word.len()..].trim_start_matches(['-', ' ', '\u{2011}']);
        let rest = ["koden", "kode", "code"].iter().find_map(|word| rest.strip_prefix(word))?;
        leading(rest.trim_start_matches(|c: char| c.is_whitespace() || ":=.#-(".contains(c)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_in_links_and_words() {
        for (link, code) in [
            ("https://www.finn.no/car/used/ad.html?finnkode=312345678", Some("312345678")),
            ("https://www.finn.no/mobility/item/312345678?ci=3", Some("312345678")),
            ("finn.no/31234567", Some("31234567")),
            (
                "https://klikk.example/?u=https%3A%2F%2Fwww.FINN.no%2Fcar%2Fad.html%3Ffinnkode%3D3123456789%26x",
                Some("3123456789"),
            ),
            ("https://www.finn.no/car/used/", None),
            ("https://www.finn.no/12345678901", None),
            ("https://example.no/312345678", None),
        ] {
            assert_eq!(in_link(link).as_deref(), code, "{link}");
        }
        for (text, code) in [
            ("Henvendelse på FINN-kode 312345678", Some("312345678")),
            ("(Finn kode: 312345678)", Some("312345678")),
            ("finnkoden er hemmelig", None),
            ("Finn 312345678 kroner", None),
        ] {
            assert_eq!(in_text(text).as_deref(), code, "{text}");
        }
    }
}

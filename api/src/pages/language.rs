use common::lead_sources::Language;

/// The language of ours that a browser asks for with `Accept-Language`, which says that Norwegian of no kind is bokmål;
/// else `default`. <https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4>
pub fn from_accept_language(header: &str, default: Language) -> Language {
    let wanted = header.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let language = spoken(parts.next()?)?;
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |weight| weight.parse().ok());
        weight.filter(|weight| *weight > 0.0).map(|weight: f32| (language, weight))
    });
    // The first of those that weigh the same.
    let best = wanted.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map_or(default, |(language, _)| language)
}

fn spoken(range: &str) -> Option<Language> {
    let primary = range.split('-').next().unwrap_or_default().to_ascii_lowercase();
    match primary.as_str() {
        "no" => Some(Language::Nb),
        word => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_answered_in_its_language() {
        for (header, expected) in [
            ("nb-NO,nb;q=0.9,no;q=0.8,nn;q=0.7,en-US;q=0.6,en;q=0.5", Language::Nb),
            ("nn-NO, nn;q=0.9, nb;q=0.8", Language::Nn),
            ("NO", Language::Nb),
            ("en-GB,en;q=0.9,nb;q=0.8", Language::En),
            ("en;q=0.5, nn;q=0.9", Language::Nn),
            ("en;q=0, nb;q=0.1", Language::Nb),
            ("pl-PL,pl;q=0.9,en;q=0.7", Language::En),
            ("en;q=much, nb", Language::Nb),
            // Nothing of ours: as the dealership says.
            ("pl-PL,pl;q=0.9", Language::Nn),
            ("english", Language::Nn),
            ("*", Language::Nn),
            (";q=1,,;", Language::Nn),
            ("", Language::Nn),
        ] {
            assert_eq!(from_accept_language(header, Language::Nn), expected, "{header}");
        }
    }
}

//! The languages that customers are answered in.

use serde::Serialize;

/// One of them. <https://www.rfc-editor.org/rfc/rfc5646>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Norwegian, Bokmål.
    Nb,
    /// Norwegian, Nynorsk.
    Nn,
    En,
    Sv,
    Da,
    Pl,
    De,
}

impl Language {
    pub const ALL: [Self; 7] = [Self::Nb, Self::Nn, Self::En, Self::Sv, Self::Da, Self::Pl, Self::De];

    /// As stored and sent: the tag of the language.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nb => "nb",
            Self::Nn => "nn",
            Self::En => "en",
            Self::Sv => "sv",
            Self::Da => "da",
            Self::Pl => "pl",
            Self::De => "de",
        }
    }

    /// The language of a tag such as `nb-NO`; `no` is Bokmål.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        if primary == "no" {
            return Some(Self::Nb);
        }
        Self::ALL.into_iter().find(|language| language.as_str() == primary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_with_their_regions() {
        for (tag, language) in [
            ("nb-NO", Some(Language::Nb)),
            ("no", Some(Language::Nb)),
            ("nn", Some(Language::Nn)),
            ("EN_us", Some(Language::En)),
            ("fi", None),
            ("", None),
        ] {
            assert_eq!(Language::of_tag(tag), language, "{tag}");
        }
    }
}

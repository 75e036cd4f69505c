//! Texts made comparable: small letters of ASCII, so that lists of words need one spelling of each.

use regex::Regex;

/// Small letters without their marks: `å` as `a`, `æ` as `ae`, `ø` and `ö` as `o`, `ł` as `l`. Other characters that are
/// not ASCII become spaces, dashes become hyphens, and quotes straight.
pub(super) fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '$' => folded.push_str(" usd "),
            c if c.is_ascii() => folded.push(c.to_ascii_lowercase()),
            _ => folded.push_str(plain(c)),
        }
    }
    folded
}

fn plain(c: char) -> &'static str {
    match c {
        'å' | 'Å' | 'ä' | 'Ä' | 'á' | 'Á' | 'à' | 'À' | 'â' | 'Â' | 'ą' | 'Ą' => "a",
        'æ' | 'Æ' => "ae",
        'ø' | 'Ø' | 'ö' | 'Ö' | 'ó' | 'Ó' | 'ò' | 'Ò' | 'ô' | 'Ô' => "o",
        'é' | 'É' | 'è' | 'È' | 'ê' | 'Ê' | 'ë' | 'Ë' | 'ę' | 'Ę' => "e",
        'ü' | 'Ü' | 'ú' | 'Ú' => "u",
        'í' | 'Í' | 'ï' | 'Ï' => "i",
        'ć' | 'Ć' | 'ç' | 'Ç' | 'č' | 'Č' => "c",
        'ł' | 'Ł' => "l",
        'ń' | 'Ń' | 'ñ' | 'Ñ' | 'ŋ' | 'Ŋ' => "n",
        'ś' | 'Ś' | 'š' | 'Š' => "s",
        'ź' | 'Ź' | 'ż' | 'Ż' | 'ž' | 'Ž' => "z",
        'đ' | 'Đ' | 'ð' | 'Ð' => "d",
        'ŧ' | 'Ŧ' | 'þ' | 'Þ' => "t",
        'ß' => "ss",
        '–' | '—' | '‐' | '‑' | '−' => "-",
        '’' | '‘' => "'",
        '“' | '”' | '„' | '«' | '»' => "\"",
        '…' => "...",
        '€' => " eur ",
        '£' => " gbp ",
        '½' => " 1/2 ",
        _ => " ",
    }
}

/// An expression over folded text. `_` is the end of a word; letters and digits are those of ASCII, which keeps it small.
pub(super) fn expression(pattern: &str) -> Regex {
    let spelled = [("_", r"(?-u:\b)"), (r"\w", "[a-z0-9]"), (r"\W", "[^a-z0-9]"), (r"\d", "[0-9]")];
    let pattern = spelled.iter().fold(pattern.to_owned(), |pattern, (short, long)| pattern.replace(short, long));
    Regex::new(&pattern).expect("patterns are constants, and tested")
}

/// Any of these words or phrases, each to the end of its last word.
pub(super) fn any_of(phrases: &[&str]) -> Regex {
    let whole = |phrase: &&str| {
        let end = if phrase.ends_with([' ', ',', '%', '_', ':', '!', '.']) { "" } else { "_" };
        format!("(?:{phrase}){end}")
    };
    expression(&format!("_(?:{})", phrases.iter().map(whole).collect::<Vec<_>>().join("|")))
}

/// Words that end with a full stop within a sentence.
const ABBREVIATIONS: [&str; 7] = ["kr", "ca", "kl", "nr", "tlf", "godz", "ok"];

fn is_last_word(text: &str, word: &str) -> bool {
    text.rsplit(' ').next().is_some_and(|last| last.eq_ignore_ascii_case(word))
}

/// Beginnings of months that are written after a number and a full stop.
const MONTHS: [&str; 18] = [
    "januar",
    "februar",
    "mars",
    "marts",
    "märz",
    "marz",
    "april",
    "mai",
    "maj",
    "juni",
    "juli",
    "august",
    "september",
    "oktober",
    "november",
    "desember",
    "december",
    "dezember",
];

/// Whether a full stop between these stands in a date: `24. desember`.
fn is_date(before: &str, after: &str) -> bool {
    let month = after.trim_start().split(|c: char| !c.is_alphabetic()).next().unwrap_or_default().to_lowercase();
    before.ends_with(|c: char| c.is_ascii_digit()) && MONTHS.contains(&month.as_str())
}

/// The sentences of a text, without the marks between them. A mark within a word or a number ends none.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut marks = text.char_indices().peekable();
    while let Some((at, c)) = marks.next() {
        let ends = match c {
            '\n' => true,
            '.' | '!' | '?' => {
                let abbreviates = c == '.'
                    && (ABBREVIATIONS.iter().any(|short| is_last_word(&text[start..at], short))
                        || is_date(&text[start..at], &text[at + 1..]));
                marks.peek().is_none_or(|(_, next)| next.is_whitespace()) && !abbreviates
            }
            _ => false,
        };
        if ends {
            sentences.push(text[start..=at].trim());
            start = at + 1;
        }
    }
    sentences.push(text[start..].trim());
    sentences.retain(|sentence| sentence.chars().any(char::is_alphanumeric));
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_a_reader_stops() {
        assert_eq!(
            sentences("Hei! Volvo XC60 B4 koster kr. 429.000,-. Ja?\nBra"),
            ["Hei!", "Volvo XC60 B4 koster kr. 429.000,-.", "Ja?", "Bra"]
        );
        assert_eq!(
            sentences("Vi har stengt 24. desember. 25 biler er her."),
            ["Vi har stengt 24. desember.", "25 biler er her."]
        );
        assert_eq!(folded("Åse Sørbø – Łódź «bra»"), "ase sorbo - lodz \"bra\"");
    }
}

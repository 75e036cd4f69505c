//! What a search looks for in the column `search`: `docs/adr/0007-exact-totals.md`.

use sqlx::{Postgres, QueryBuilder};

use crate::input::Phone;

/// Words that count at most; what follows them is not looked at.
const MAX_WORDS: usize = 8;
/// A word is looked for anywhere, if it overlaps itself no more often than this, otherwise only where words begin.
const MAX_OVERLAP: usize = 2;
/// The bytes of a word that LIKE finds faster: `docs/adr/0007-exact-totals.md`.
const SHORT: usize = 6;
/// A number without a country code is Norwegian.
const HOME_CODE: &str = "47";

/// Where a text must stand for a lead to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    Anywhere(String),
    /// Where a word begins.
    Beginning(String),
}

impl Pattern {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Anywhere(text) | Self::Beginning(text) => text,
        }
    }

    /// Adds the condition. `strpos` is the faster one for what is long, skipping most of what it searches (Boyer, Moore, Horspool), and
    /// for digits, which are everywhere; LIKE is for short words, since it prepares nothing. With a blank in front, it tries a text once
    /// for each word and no more.
    pub(super) fn push_to(&self, query: &mut QueryBuilder<Postgres>) {
        match self {
            Self::Anywhere(text) if is_short_word(text) => query.push("search LIKE ").push_bind(format!("%{text}%")),
            Self::Anywhere(text) => query.push("strpos(search, ").push_bind(text.clone()).push(") > 0"),
            Self::Beginning(text) => query.push("search LIKE ").push_bind(format!("% {}%", escaped(text))),
        };
    }
}

fn is_short_word(text: &str) -> bool {
    text.len() <= SHORT && text.chars().all(char::is_alphabetic)
}

/// As LIKE takes it for itself.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// What a search means. A lead is found, if all of one reading match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Search {
    /// With digits that follow each other as one number, however it is spaced. At least one pattern.
    pub(super) joined: Vec<Pattern>,
    /// With digits that follow each other as words, such as a model and a year, unless they are a whole number.
    pub(super) apart: Option<Vec<Pattern>>,
}

impl Search {
    /// Reads what somebody looks for, folded by `search_fold` as the column is.
    pub(super) fn of(folded: &str) -> Self {
        let mut tokens: Vec<&str> = folded.split(is_separator).filter(|token| !token.is_empty()).collect();
        if tokens.is_empty() {
            tokens.push(folded.trim());
        }
        let (mut joined, mut apart) = (Vec::new(), Vec::new());
        for run in tokens.chunk_by(|a, b| is_number(a) && is_number(b)) {
            match run {
                [digits] if digits.bytes().all(|b| b.is_ascii_digit()) => {
                    joined.push(number(digits));
                    apart.push(number(digits));
                }
                [first, ..] if is_number(first) && run.iter().any(|token| has_digit(token)) => {
                    let text = run.join(" ");
                    joined.push(number(&text));
                    if text.parse::<Phone>().is_ok() {
                        apart.push(number(&text));
                    } else {
                        apart.extend(run.iter().map(|token| beginning(token)));
                    }
                }
                _ => {
                    let words = run.iter().flat_map(|token| words(token));
                    let words: Vec<Pattern> = words.map(anywhere).collect();
                    joined.extend_from_slice(&words);
                    apart.extend(words);
                }
            }
        }
        let (joined, apart) = (distinct(joined), distinct(apart));
        Self { apart: (apart != joined).then_some(apart), joined }
    }
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ';')
}

fn is_number(token: &str) -> bool {
    token.chars().all(|c| c.is_ascii_digit() || "+()./-".contains(c)) && (has_digit(token) || token == "+")
}

fn has_digit(token: &str) -> bool {
    token.contains(|c: char| c.is_ascii_digit())
}

/// `anne-marie` is two words; a hyphen alone is one.
fn words(token: &str) -> Vec<&str> {
    let words: Vec<&str> = token.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { vec![token] } else { words }
}

fn distinct(patterns: Vec<Pattern>) -> Vec<Pattern> {
    let mut distinct: Vec<Pattern> = Vec::new();
    for pattern in patterns {
        if distinct.len() < MAX_WORDS && !distinct.contains(&pattern) {
            distinct.push(pattern);
        }
    }
    distinct
}

/// A number or a part of it. Stored are the digits of its international form, with which a number from abroad is found
/// only if it is read as one: there `+46 (0)70` is 4670.
fn number(text: &str) -> Pattern {
    let complete = text.parse::<Phone>().ok().map(|phone| phone.e164.replacen('+', "", 1));
    let international = text.starts_with(['+', '(']) || text.starts_with("00");
    let digits: String = text.replace("(0)", "").chars().filter(char::is_ascii_digit).collect();
    let digits = match digits.trim_start_matches('0') {
        "" => digits.as_str(),
        significant => significant,
    };
    match complete {
        Some(complete) if international => anywhere(&complete),
        _ if is_quick(digits) => Pattern::Anywhere(digits.to_owned()),
        Some(complete) => beginning(&complete),
        None => beginning(&format!("{HOME_CODE}{digits}")),
    }
}

/// Both ways of searching try a text anew at each place where it could be, `strpos` from its end: one that overlaps itself
/// (aaaab, baaaa) costs as much as its length for each character that is looked at.
fn is_quick(text: &str) -> bool {
    overlap(text.chars()) <= MAX_OVERLAP && overlap(text.chars().rev()) <= MAX_OVERLAP
}

fn anywhere(word: &str) -> Pattern {
    if is_quick(word) { Pattern::Anywhere(word.to_owned()) } else { beginning(word) }
}

fn beginning(word: &str) -> Pattern {
    Pattern::Beginning(word.to_owned())
}

/// How many beginnings of the word, other than itself, can end at the same place in a text, at most. So many attempts, and
/// one, can be under way at once: the length of the longest chain in the failure function of Knuth, Morris and Pratt.
fn overlap(word: impl Iterator<Item = char>) -> usize {
    let word: Vec<char> = word.collect();
    let (mut borders, mut chains) = (vec![0; word.len()], vec![0; word.len()]);
    for end in 1..word.len() {
        let mut border: usize = borders[end - 1];
        while border > 0 && word[border] != word[end] {
            border = borders[border - 1];
        }
        if word[border] == word[end] {
            border += 1;
        }
        borders[end] = border;
        chains[end] = border.checked_sub(1).map_or(0, |last| chains[last] + 1);
    }
    chains.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a blank before what must begin a word.
    fn readings(folded: &str) -> Vec<Vec<String>> {
        let Search { joined, apart } = Search::of(folded);
        let text = |pattern: &Pattern| match pattern {
            Pattern::Anywhere(text) => text.clone(),
            Pattern::Beginning(text) => format!(" {text}"),
        };
        [Some(joined), apart].into_iter().flatten().map(|reading| reading.iter().map(text).collect()).collect()
    }

    #[test]
    fn words_are_looked_for_one_by_one_and_are_no_patterns() {
        assert_eq!(readings("hakonsen,  bjorn"), [["hakonsen", "bjorn"]]);
        assert_eq!(readings("anne-marie anne"), [["anne", "marie"]]);
        assert_eq!(readings(r"100% a_b \"), [["100%", "a_b", r"\"]]);
        assert_eq!(readings("-"), [["-"]]);
        assert_eq!(readings(" , "), [[","]]);
        assert_eq!(readings(""), [[""]]);
        assert_eq!(readings("+"), [["+"]]);
        assert_eq!(readings("a b c d e f g h i j")[0].len(), MAX_WORDS);
    }

    #[test]
    fn numbers_are_looked_for_by_their_digits_whatever_stands_between_them() {
        for text in ["91234567", "912 34 567", "912-34-567", "912.34.567", "(0)912 34 567"] {
            assert_eq!(readings(text)[0], ["91234567"], "{text}");
        }
        for text in ["+47 912 34 567", "+ 47 91234567", "0047 912 34 567", "(+47) 912 34 567", "+47 (0) 91234567"] {
            assert_eq!(readings(text), [["4791234567"]], "{text}");
        }
        assert_eq!(readings("912 34 567"), [["91234567"]]);
        assert_eq!(readings("kari 912 34"), [vec!["kari", "91234"], vec!["kari", " 912", " 34"]]);
        assert_eq!(readings("+46 (0)70-123 45 67")[0], ["46701234567"]);
        assert_eq!(readings("+46 (0)70-12")[0], ["467012"]);
        assert_eq!(readings("070-123 45 67")[0], ["701234567"]);
        assert_eq!(readings("model 3 2021"), [vec!["model", "32021"], vec!["model", " 3", " 2021"]]);
        assert_eq!(readings("22222222"), [[" 4722222222"]]);
    }

    #[test]
    fn what_overlaps_itself_is_looked_for_where_words_begin() {
        for (word, expected) in
            [("hansen", 0), ("anna", 1), ("abab", 1), ("ababab", 2), ("aaaab", 3), ("baaaa", 0), ("", 0)]
        {
            assert_eq!(overlap(word.chars()), expected, "{word}");
        }
        for long in [format!("{}b", "a".repeat(199)), format!("b{}", "a".repeat(199))] {
            assert_eq!(readings(&long), [[format!(" {long}")]]);
        }
    }

    #[test]
    fn what_begins_a_word_is_taken_for_no_pattern() {
        assert_eq!(escaped(r"100% a_b \"), r"100\% a\_b \\");
    }
}

//! Characters and marks that have no place in a letter.

use super::Reason;

/// Letters that the languages of customers have besides those of ASCII, and those of Sami names.
const LETTERS: &str = "æøåäöüßéèêëàáâçíïñóòôúąćęłńśźżčđŋšŧžðþ";
const MARKS: &str = "–—‐‑−’‘“”„«»…·•€£½°✓\u{a0}\u{202f}\u{2009}";
/// What friendly people write.
const EMOJI: &str = "🙂😊😀😃😄🤗👋👍🚗🚙🔑✨☀️";
/// Nobody writes longer words, except in code; addresses are looked at elsewhere.
const LONGEST_WORD: usize = 45;

/// Only what is written in the languages of customers, and no markup.
pub(super) fn check(reply: &str) -> Result<(), Reason> {
    if reply.chars().any(|c| !is_usual(c)) {
        return Err(Reason::Characters);
    }
    let after_dollar = reply.split('$').skip(1).any(|rest| rest.starts_with(|c: char| c.is_alphabetic()));
    if after_dollar || reply.contains(['[', ']', '{', '}', '<', '>', '_', '|']) {
        return Err(bracketed(reply));
    }
    let lines_begin = |marks: &[&str]| reply.lines().any(|line| marks.iter().any(|mark| line.trim().starts_with(mark)));
    if reply.contains(['*', '`', '#', '~', '^', '\\', '=']) || lines_begin(&["- ", "• ", "+ ", "· ", "1. ", "1) "]) {
        return Err(Reason::Markup);
    }
    let is_code = |word: &str| word.chars().count() > LONGEST_WORD && !word.contains(['/', '.', '@']);
    if reply.split_whitespace().any(is_code) {
        return Err(Reason::Characters);
    }
    Ok(())
}

fn is_usual(c: char) -> bool {
    match c {
        '\n' | ' '..='~' => true,
        c => {
            let small = c.to_lowercase().next().unwrap_or(c);
            LETTERS.contains(small) && small.to_lowercase().eq([small]) || MARKS.contains(c) || EMOJI.contains(c)
        }
    }
}

/// Brackets are tags, data or gaps to be filled in.
fn bracketed(reply: &str) -> Reason {
    let quoted_names = reply.contains("\":") || reply.contains("needs_human") || reply.contains("score_reasons");
    if quoted_names {
        return Reason::Echo;
    }
    let tag = reply.match_indices('<').any(|(at, _)| {
        let rest = &reply[at + 1..];
        let name = rest.trim_start_matches('/');
        ["a", "b", "br", "p", "i", "script", "img", "div", "span", "strong", "em", "h1", "ul", "li", "iframe", "style"]
            .iter()
            .any(|tag| name.strip_prefix(tag).is_some_and(|rest| rest.starts_with(['>', ' ', '/'])))
            || rest.starts_with("!--")
    });
    let small = reply.to_lowercase();
    if ["[.]", "[dot]", "[at]", "[punktum]", "[@]", "<.>", "{.}", "{at}", "{dot}"]
        .iter()
        .any(|sign| small.contains(sign))
    {
        return Reason::Link;
    }
    let link = reply.contains("](") || reply.contains("] (");
    if tag || link { Reason::Markup } else { Reason::Placeholder }
}

/// Characters of somebody's words that are kept.
const MAX_WORDS: usize = 300;
/// From this many digits on, what stands in a provider's words may be somebody's number.
const MIN_NUMBER: usize = 6;

/// What a provider said, on one line, bounded, and without addresses and numbers: it often repeats the recipient's.
pub fn own_words(words: &str) -> String {
    let words = words.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let text = words.map(without_address).collect::<Vec<_>>().join(" ");
    let mut text: String = without_numbers(&text).chars().take(MAX_WORDS).collect();
    if text.is_empty() {
        text.push_str("no reason given");
    }
    text
}

fn without_address(word: &str) -> String {
    let around = |c: char| matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | '"' | '\'' | ',' | ';' | ':' | '=');
    let parts = word.split_inclusive(around).map(|part| {
        let end = part.chars().next_back().filter(|c| around(*c));
        if part.contains('@') || part.to_ascii_lowercase().contains("%40") {
            end.map_or_else(|| "…".to_owned(), |end| format!("…{end}"))
        } else {
            part.to_owned()
        }
    });
    parts.collect()
}

/// Digits count as one number across the spaces and hyphens that people write in it.
fn without_numbers(text: &str) -> String {
    let in_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')');
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit() || c == '+') {
        let (before, from) = rest.split_at(start);
        kept.push_str(before);
        let run = from.split_once(|c| !in_number(c)).map_or(from, |(run, _)| run);
        let run = run.trim_end_matches(|c: char| !c.is_ascii_digit() && c != '+');
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        kept.push_str(if digits >= MIN_NUMBER { "…" } else { run });
        rest = &from[run.len()..];
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_words_are_kept_without_whom_they_are_about() {
        for (said, kept) in [
            ("550 5.1.1 <kari@bil.no>: no such user", "550 5.1.1 <…>: no such user"),
            ("550\r\n5.1.1\tsays \"Kari\"@bil.no", "550 5.1.1 says \"Kari\"…"),
            ("to=kari%40bil.no;kari@bil.no is bad", "to=…;… is bad"),
            ("The 'To' number +4791234567 is not valid (21211)", "The 'To' number … is not valid (21211)"),
            ("no route to +47 912 34 567.", "no route to …."),
            ("code 30007 of 2026", "code 30007 of 2026"),
            ("a + b", "a + b"),
            ("", "no reason given"),
        ] {
            assert_eq!(own_words(said), kept, "{said}");
        }
        assert_eq!(own_words(&"æ".repeat(5_000)).chars().count(), 300);
    }
}

//! What a sentence says of when the doors are open: these hours on these days, and no others.

use std::sync::LazyLock;

use chrono::{Datelike, NaiveDate};
use regex::Regex;

use crate::{
    answers::words::{any_of, expression},
    opening::{Opening, OpeningSpan, TimeOfDay},
};

/// Days of folded text, Monday first, by the beginnings of their names in all languages; also of those that come together.
const DAYS: [(&str, &[usize]); 10] = [
    (r"man(?:dag|_)\w*|mon(?:day|tag|_)\w*|poniedzial\w*", &[0]),
    (r"tir(?:sdag|_)\w*|tys(?:dag|_)\w*|tis(?:dag|_)\w*|tue\w*|dienstag\w*|wtor\w*", &[1]),
    (r"ons(?:dag|_)\w*|wed(?:nesday|_)\w*|mittwoch\w*|srod\w*", &[2]),
    (r"tor(?:sdag|_)\w*|thu(?:rs)?\w*|donnerstag\w*|czwart\w*", &[3]),
    (r"fre(?:dag|itag|_)\w*|fri(?:day|_)\w*|piat\w*", &[4]),
    (r"lor(?:dag|_)\w*|laur(?:dag|_)\w*|sat(?:urday|_)\w*|samstag\w*|sonnabend\w*|sobot\w*", &[5]),
    (r"son(?:dag|ntag|_)\w*|sun(?:dag|day|_)\w*|niedziel\w*", &[6]),
    (
        r"hverdag\w*|kvardag\w*|ukedag\w*|vekedag\w*|vardag\w*|weekday\w*|werktag\w*|dni robocz\w*|dni powszedni\w*",
        &[0, 1, 2, 3, 4],
    ),
    (r"helg\w*|weekend\w*|wochenende\w*", &[5, 6]),
    (
        r"alle dag\w*|hver dag|kvar dag|daglig\w*|every day|daily|varje dag|taglich|jeden tag|codziennie",
        &[0, 1, 2, 3, 4, 5, 6],
    ),
];
const MONTHS: &str = "jan|feb|ma?rs|mar|marz|apr|mai|may|maj|jun|jul|aug|sep|okt|oct|nov|des|dec|dez";

static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    let days = DAYS.map(|(names, _)| format!("_({names})")).join("|");
    expression(&format!(
        r"{days}|_(\d{{1,2}})(?:[.:](\d\d))?_(?: ?(am|pm|a\.m|p\.m)_)?|_(til|to|bis|do|through|t\.o\.m)_|(-)"
    ))
});
static CLOSED: LazyLock<Regex> = LazyLock::new(|| {
    any_of(&[r"steng\w*", r"lukket", r"closed?", r"stangt", r"geschlossen\w*", r"zamkniet\w*", r"nieczynn\w*"])
});
/// Digits of telephone numbers and addresses are no times.
static OTHER_NUMBERS: LazyLock<Regex> = LazyLock::new(|| expression(r"(?:\+|00)?\d(?: ?\d){7,}|_\d{3,}_"));
static DATES: LazyLock<Regex> = LazyLock::new(|| expression(&format!(r"_(\d{{1,2}})\.? ?({MONTHS})[a-z]*_")));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// Of [`DAYS`].
    Days(usize),
    Time(TimeOfDay),
    /// Between two days it means those between them.
    To,
    /// No time of any day.
    NoTime,
}

/// Hours that are said of days.
#[derive(Debug, Default)]
struct Said {
    days: Vec<usize>,
    times: Vec<TimeOfDay>,
}

/// Whether a folded sentence that speaks of them says nothing of opening hours but what is so.
pub(super) fn fits(sentence: &str, opening: &Opening) -> bool {
    let is_closed = CLOSED.is_match(sentence);
    let mut text = OTHER_NUMBERS.replace_all(sentence, " ").into_owned();
    for date in DATES.captures_iter(&text.clone()) {
        if !(is_closed && closes_on(opening, &date[1], &date[2])) {
            return false;
        }
        text = text.replacen(&date[0], " ", 1);
    }
    let tokens = tokens(&text);
    // People say "10-18 on weekdays" as well as "on weekdays 10-18".
    let reversed = || reversed(&tokens);
    are_so(&grouped(&tokens), opening, is_closed) || are_so(&grouped(&reversed()), opening, is_closed)
}

fn closes_on(opening: &Opening, day: &str, month: &str) -> bool {
    let starts = ["jan", "feb", "mar", "apr", "ma", "jun", "jul", "aug", "sep", "o", "nov", "de"];
    let is_month = |date: &NaiveDate| {
        let start = starts[usize::try_from(date.month0()).unwrap_or(0) % 12];
        month.starts_with(start) && (date.month() != 5 || !month.starts_with("mar") && !month.starts_with("mrs"))
    };
    opening.closed_days.iter().any(|date| day.parse() == Ok(date.day()) && is_month(date))
}

fn tokens(text: &str) -> Vec<Token> {
    let read = |found: regex::Captures<'_>| {
        if let Some(day) = (1..=DAYS.len()).find(|group| found.get(*group).is_some()) {
            return Token::Days(day - 1);
        }
        let group = |after: usize| found.get(DAYS.len() + after).map(|group| group.as_str());
        let Some(hour) = group(1) else { return Token::To };
        let number = |text: Option<&str>| text.unwrap_or("0").parse::<u16>().unwrap_or(99);
        let hour = match (number(Some(hour)), group(3)) {
            (hour @ 1..12, Some("pm" | "p.m")) => hour + 12,
            (12, Some("am" | "a.m")) => 0,
            (hour, _) => hour,
        };
        TimeOfDay::new(hour, number(group(2))).map_or(Token::NoTime, Token::Time)
    };
    TOKENS.captures_iter(text).map(read).collect()
}

/// With the days that follow times before them.
fn reversed(tokens: &[Token]) -> Vec<Token> {
    tokens.iter().rev().copied().collect()
}

/// Times with the days before them.
fn grouped(tokens: &[Token]) -> Vec<Said> {
    let mut all: Vec<Said> = Vec::new();
    let mut open_range = false;
    for (place, token) in tokens.iter().enumerate() {
        match token {
            Token::Days(day) => {
                if all.last().is_none_or(|said| !said.times.is_empty()) {
                    all.push(Said::default());
                }
                let said = all.last_mut().expect("one was added");
                let group = DAYS[*day].1;
                if open_range && let (Some(first), [last]) = (said.days.last().copied(), group) {
                    said.days.extend(between(first, *last));
                } else {
                    said.days.extend(group);
                }
                open_range = false;
            }
            Token::To => open_range = matches!(place.checked_sub(1).map(|before| tokens[before]), Some(Token::Days(_))),
            Token::Time(_) | Token::NoTime => {
                open_range = false;
                if all.is_empty() {
                    all.push(Said::default());
                }
                let time = if let Token::Time(time) = token { Some(*time) } else { None };
                all.last_mut().expect("one was added").times.push(time.unwrap_or(NEVER));
            }
        }
    }
    all
}

/// When nothing opens or closes.
const NEVER: TimeOfDay = TimeOfDay::MIDDLE_OF_THE_NIGHT;

/// The days after `first` to `last`, in either direction of time.
fn between(first: usize, last: usize) -> Vec<usize> {
    if first <= last { (first + 1..=last).collect() } else { (last..first).collect() }
}

fn are_so(all: &[Said], opening: &Opening, is_closed: bool) -> bool {
    // Where a sentence names days, its hours are of one of them.
    let has_days = all.iter().any(|said| !said.days.is_empty());
    all.iter().all(|said| (!has_days || !said.days.is_empty()) && said.is_so(opening, is_closed))
}

impl Said {
    fn is_so(&self, opening: &Opening, is_closed: bool) -> bool {
        let of = |day: usize| opening.times.day(day);
        if self.times.is_empty() {
            // "Closed on Sundays", or "open on Saturdays": which of them, where a sentence says both, is not told apart.
            let open = |day: &usize| !of(*day).is_empty();
            return self.days.iter().all(|day| is_closed != open(day)) || is_closed && self.days.iter().all(open);
        }
        match self.days.as_slice() {
            [] => (0..7).any(|day| has(of(day), &self.times)),
            days => days.iter().all(|day| has(of(*day), &self.times)),
        }
    }
}

/// Whether a day has these hours: two and two from and to, or a single one that is either.
fn has(spans: &[OpeningSpan], times: &[TimeOfDay]) -> bool {
    let is_span = |pair: &[TimeOfDay]| match pair {
        [one, other] => spans.iter().any(|span| (span.from, span.to) == (*one.min(other), *one.max(other))),
        single => single.iter().all(|time| spans.iter().any(|span| span.from == *time || span.to == *time)),
    };
    times.chunks(2).all(is_span)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{answers::words::folded, opening::OpeningTimes};

    fn opening() -> Opening {
        let day = json!([{ "from": "10:00", "to": "18:00" }]);
        let saturday = json!([{ "from": "10:00", "to": "15:30" }]);
        let week = json!({ "monday": day, "tuesday": day, "wednesday": day, "thursday": day, "friday": day, "saturday": saturday });
        let closed_days = vec!["2026-12-24".parse().expect("a day"), "2027-05-17".parse().expect("a day")];
        Opening { times: OpeningTimes::read(&week).expect("they are right"), closed_days }
    }

    #[test]
    fn what_is_so_may_be_said_in_every_language() {
        for sentence in [
            "Vi har åpent mandag til fredag 10–18 og lørdag 10–15.30.",
            "Åpningstidene er man-fre 10:00-18:00, lør 10:00-15:30, søndag stengt.",
            "På hverdager er det åpent fra 10 til 18.",
            "Vi åpner klokken 10 på lørdag.",
            "Vi stenger kl. 18.",
            "Søndag har vi stengt.",
            "Vi har åpent mandag til lørdag.",
            "Vi har opent måndag til fredag 10-18.",
            "Det er stengt 24. desember.",
            "17. mai holder vi stengt.",
            "Butikken i Økernveien 115 er åpen 10-18 på hverdager, ring oss på 22 12 34 56.",
            "We are open 10-18 on weekdays and 10-15:30 on Saturday.",
            "We are open Monday to Friday from 10 am to 6 pm.",
            "We are closed on Sundays.",
            "Vi har öppet vardagar 10-18.",
            "Vi har åbent mandag-fredag 10-18.",
            "Jesteśmy czynni, otwarte w sobotę od 10 do 15:30.",
            "Wir haben Montag bis Freitag von 10 bis 18 Uhr geöffnet.",
            "Am Samstag haben wir von 10 bis 15.30 geöffnet.",
            "Vi har ingenting å si om dette.",
            "Bilen er fra 2023, og den er åpen for visning.",
        ] {
            assert!(fits(&folded(sentence), &opening()), "{sentence}");
        }
    }

    #[test]
    fn what_is_not_so_may_not_be_said() {
        for sentence in [
            "Vi har åpent mandag til fredag 9–18.",
            "Vi har åpent mandag til lørdag 10–18.",
            "Vi har åpent søndag 10–15.30.",
            "Vi har åpent søndag.",
            "Lørdag har vi åpent 10-18.",
            "På hverdager er det åpent fra 8 til 20.",
            "Vi åpner klokken 9.",
            "Vi stenger kl. 15.30 på fredager.",
            "Mandag har vi stengt, og tirsdag åpner vi kl. 12.",
            "Det er stengt 25. desember.",
            "24. desember har vi åpent 10-18.",
            "17. mars holder vi stengt.",
            "Vi har åpent alle dager 10-18.",
            "We are open 10-15:30 on weekdays.",
            "We are open from 10 am to 8 pm.",
            "We are open on Sunday.",
            "Vi har öppet i helgen 10-15.30.",
            "Otwarte od 8 do 16.",
            "Wir haben am Sonntag von 12 bis 16 Uhr geöffnet.",
            "Wir haben bis 20 Uhr geöffnet.",
            "Vi har åpent 25-26.",
        ] {
            assert!(!fits(&folded(sentence), &opening()), "{sentence}");
        }
    }
}

//! When people are back, as one says it after "we are back".

use chrono::{Datelike, NaiveDateTime, Timelike};

use super::Language;

/// Days within which a weekday says which day it is.
const WITHIN: i64 = 6;

/// `now` and `opens` are in Norwegian time.
pub(in crate::answers) fn back(language: Language, now: NaiveDateTime, opens: NaiveDateTime) -> String {
    let days = (opens.date() - now.date()).num_days();
    let weekday = usize::try_from(opens.weekday().num_days_from_monday()).unwrap_or(0);
    let day = match days {
        0 => today(language).to_owned(),
        1 => tomorrow(language).to_owned(),
        2..=WITHIN => on(language, weekday),
        _ => format!("{}.{}.", opens.day(), opens.month()),
    };
    let (hour, minute) = (opens.hour(), opens.minute());
    match language {
        Language::Nb | Language::Nn | Language::Sv | Language::Da => format!("{day} kl. {hour:02}.{minute:02}"),
        Language::En => format!("{day} at {hour:02}:{minute:02}"),
        Language::Pl => format!("{day} o {hour:02}:{minute:02}"),
        Language::De => format!("{day} um {hour:02}:{minute:02} Uhr"),
    }
}

fn today(language: Language) -> &'static str {
    match language {
        Language::Nb | Language::Nn | Language::Sv | Language::Da => "i dag",
        Language::En => "today",
        Language::Pl => "dzisiaj",
        Language::De => "heute",
    }
}

fn tomorrow(language: Language) -> &'static str {
    match language {
        Language::Nb | Language::Nn | Language::Da => "i morgen",
        Language::Sv => "i morgon",
        Language::En => "tomorrow",
        Language::Pl => "jutro",
        Language::De => "morgen",
    }
}

fn on(language: Language, weekday: usize) -> String {
    let names = match language {
        Language::Nb | Language::Da => ["mandag", "tirsdag", "onsdag", "torsdag", "fredag", "lørdag", "søndag"],
        Language::Nn => ["måndag", "tysdag", "onsdag", "torsdag", "fredag", "laurdag", "sundag"],
        Language::En => ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
        Language::Sv => ["måndag", "tisdag", "onsdag", "torsdag", "fredag", "lördag", "söndag"],
        Language::Pl => ["w poniedziałek", "we wtorek", "w środę", "w czwartek", "w piątek", "w sobotę", "w niedzielę"],
        Language::De => ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
    };
    let before = match language {
        Language::Nb | Language::Nn | Language::Sv => "på ",
        Language::En => "on ",
        Language::De => "am ",
        Language::Da | Language::Pl => "",
    };
    format!("{before}{}", names[weekday % 7])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_says_when() {
        let at = |text: &str| text.parse::<NaiveDateTime>().expect("a time");
        let evening = at("2026-11-30T20:00:00");
        for (language, opens, told) in [
            (Language::Nb, "2026-12-01T09:00:00", "i morgen kl. 09.00"),
            (Language::Nn, "2026-12-02T09:30:00", "på onsdag kl. 09.30"),
            (Language::En, "2026-11-30T21:00:00", "today at 21:00"),
            (Language::Sv, "2026-12-05T10:00:00", "på lördag kl. 10.00"),
            (Language::Da, "2026-12-04T10:00:00", "fredag kl. 10.00"),
            (Language::Pl, "2026-12-01T08:00:00", "jutro o 08:00"),
            (Language::De, "2026-12-03T08:00:00", "am Donnerstag um 08:00 Uhr"),
            (Language::Nb, "2026-12-07T09:00:00", "7.12. kl. 09.00"),
        ] {
            assert_eq!(back(language, evening, at(opens)), told);
        }
    }
}

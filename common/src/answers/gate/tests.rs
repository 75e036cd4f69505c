//! The gate against what assistants write: `corpus/good.jsonl` must pass, `corpus/bad.jsonl` must be refused for the reason
//! that stands beside it. Each line names its facts in `corpus/facts.json`.

use std::{collections::HashMap, sync::LazyLock};

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::{
    answers::facts::{CustomerFacts, DealershipFacts, VehicleFacts},
    opening::{Opening, OpeningTimes, closed_days},
    vehicles::VehicleStatus,
};

const FACTS: &str = include_str!("corpus/facts.json");
const GOOD: &str = include_str!("corpus/good.jsonl");
const BAD: &str = include_str!("corpus/bad.jsonl");

/// One line of the corpus.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    facts: String,
    #[serde(default)]
    reply: Option<String>,
    /// All that the assistant wrote, where that is not a reply in the right form.
    #[serde(default)]
    written: Option<String>,
    #[serde(default)]
    refused: Option<String>,
}

impl Case {
    fn written(&self) -> String {
        let in_form = |reply: &String| written(reply, facts(&self.facts).language).to_string();
        self.written.clone().or(self.reply.as_ref().map(in_form)).expect("a reply, or all that was written")
    }
}

static KNOWN: LazyLock<HashMap<String, Facts>> = LazyLock::new(|| {
    let known: HashMap<String, Value> = serde_json::from_str(FACTS).expect("JSON");
    known.into_iter().map(|(name, value)| (name, read_facts(&value))).collect()
});

/// The facts of this name in the corpus.
pub(in crate::answers) fn facts(name: &str) -> Facts {
    KNOWN.get(name).unwrap_or_else(|| panic!("no facts are called {name}")).clone()
}

fn read_facts(value: &Value) -> Facts {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let dealership = &value["dealership"];
    let vehicle = |vehicle: &Value| VehicleFacts {
        make: text(&vehicle["make"]).expect("a make"),
        model: text(&vehicle["model"]).expect("a model"),
        year: vehicle["year"].as_i64().and_then(|year| year.try_into().ok()).expect("a year"),
        price: vehicle["price_kroner"].as_i64(),
        mileage_km: vehicle["mileage_km"].as_i64().and_then(|mileage| mileage.try_into().ok()),
        fuel: text(&vehicle["fuel"]),
        status: vehicle["status"].as_str().expect("a status").parse::<VehicleStatus>().expect("a known status"),
        listing_url: text(&vehicle["listing_url"]),
    };
    Facts {
        dealership: DealershipFacts {
            name: text(&dealership["name"]).expect("a name"),
            email: text(&dealership["email"]).expect("an address"),
            phone: text(&dealership["phone"]),
            address: text(&dealership["address"]),
            opening_hours: text(&dealership["opening_hours"]),
            opening: dealership.get("opening_times").map(|times| Opening {
                times: OpeningTimes::read(times).expect("opening times"),
                closed_days: closed_days(&dealership["closed_days"]).expect("closed days"),
            }),
        },
        vehicles: value["vehicles"].as_array().expect("vehicles").iter().map(vehicle).collect(),
        customer: CustomerFacts {
            first_name: text(&value["customer"]["first_name"]),
            message: text(&value["customer"]["message"]),
            vehicle_interest: text(&value["customer"]["vehicle_interest"]),
        },
        language: value["language"].as_str().and_then(Language::of_tag).expect("a language"),
        tone: None,
    }
}

fn written(reply: &str, language: Language) -> Value {
    json!({
        "language": language, "reply": reply, "needs_human": false, "reason": "", "intent": "question", "score": 55,
        "score_reasons": ["asks about one vehicle"],
    })
}

fn cases(lines: &str) -> Vec<Case> {
    let lines = lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(at, line): (usize, &str)| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("line {}: {error}", at + 1))
    };
    lines.map(read).collect()
}

fn judged(written: &str, facts: &Facts) -> Result<Draft, &'static str> {
    judge(written, true, facts).map_err(|refused| refused.code())
}

#[test]
fn what_a_careful_assistant_writes_is_sent() {
    let cases = cases(GOOD);
    assert!(cases.len() >= 100, "{}", cases.len());
    let wrong: Vec<_> = cases
        .iter()
        .filter_map(|case| Some((judged(&case.written(), &facts(&case.facts)).err()?, case)))
        .map(|(code, case)| format!("{code}: {} {:?}", case.facts, case.reply))
        .collect();
    assert!(wrong.is_empty(), "{} refused:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_an_attacked_or_a_careless_one_writes_is_refused_for_its_reason() {
    let cases = cases(BAD);
    assert!(cases.len() >= 300, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = case.refused.as_deref().expect("a reason");
        let got = judged(&case.written(), &facts(&case.facts)).map_or_else(|code| code, |_| "sent");
        if got != expected {
            wrong.push(format!(
                "{got} instead of {expected}: {} {:?}",
                case.facts,
                case.reply.as_ref().or(case.written.as_ref())
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_reason_has_cases_and_every_code_is_its_own() {
    let cases = cases(BAD);
    for reason in Reason::ALL.iter().filter(|reason| **reason != Reason::Unfinished) {
        assert!(cases.iter().any(|case| case.refused.as_deref() == Some(reason.code())), "{}", reason.code());
    }
    let codes: std::collections::HashSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes.len(), Reason::ALL.len());
}

#[test]
fn what_did_not_end_or_needs_a_person_is_not_sent_however_good() {
    let case = &cases(GOOD)[0];
    let facts = facts(&case.facts);
    assert_eq!(judge(&case.written(), false, &facts), Err(Refused::Bad(Reason::Unfinished)));
    let mut value: Value = serde_json::from_str(&case.written()).expect("JSON");
    value["needs_human"] = true.into();
    value["reason"] = format!("angry\n{}", "x".repeat(500)).into();
    let Err(Refused::NeedsHuman(reason)) = judge(&value.to_string(), true, &facts) else { panic!("a person") };
    assert!(reason.starts_with("angry x") && reason.len() <= REASON_LIMIT);
}

#[test]
fn a_greeting_of_this_customer_is_left_out_and_the_language_is_told() {
    let facts = facts("tesla");
    let reply = "Takk for henvendelsen om Tesla Model Y. En av oss tar kontakt for å finne en tid som passer for deg.";
    for greeting in ["Hei Kari!\n\n", "Hei Kari,\n", "Hei Kari! "] {
        let draft =
            judge(&written(&format!("{greeting}{reply}"), Language::Nb).to_string(), true, &facts).expect("good");
        assert_eq!((draft.reply.as_str(), draft.language), (reply, Language::Nb), "{greeting:?}");
    }
    for disguised in ["Hei\u{200b}Kari! ", "Hei K\u{430}ri,\n", "Hei \u{202e}Kari!\n\n"] {
        let judged = judged(&written(&format!("{disguised}{reply}"), Language::Nb).to_string(), &facts);
        assert_eq!(judged.err(), Some("characters"), "{disguised:?}");
    }
    let mut others = facts.clone();
    others.customer.first_name = Some("Ștefan".to_owned());
    let greeted = written(&format!("Hei Ștefan!\n\n{reply}"), Language::Nb).to_string();
    assert_eq!(judged(&greeted, &others).expect("good").reply, reply);
}

/// What never may stand in a reply, wherever it was put.
const POISONS: [&str; 28] = [
    " https://evil.example/tilbud ",
    " www.bilkupp.no ",
    " Ring 987 65 432. ",
    " kr 1,- ",
    " 198 000 kr ",
    " NOK 250,000 ",
    " [navn] ",
    " {{ customer }} ",
    " <b>tilbud</b> ",
    " XXX ",
    " **viktig** ",
    " svar@annen.no ",
    " tesla dot com ",
    " hxxp://x ",
    " norvalt(.)no ",
    "\u{200b}",
    "\u{202e}",
    " рris ",
    " 20 % rabatt ",
    " hundre tusen kroner ",
    " Som språkmodell ",
    " system prompt ",
    " kr 99.000,- ",
    " +47 99 88 77 66 ",
    " t.me/bil ",
    " 1.000.000,- ",
    " vi sees i morgen kl. 14 ",
    " needs_human ",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn good_ones_with_something_bad_anywhere_are_refused(case in any::<prop::sample::Index>(), poison in prop::sample::select(&POISONS[..]), place in any::<prop::sample::Index>()) {
        static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| cases(GOOD));
        let case = case.get(&CASES);
        let reply = case.reply.clone().expect("good ones have replies");
        // Between words, or between any two characters where the poison is a character.
        let places: Vec<_> = reply.char_indices().filter(|(_, c)| poison.chars().count() == 1 || c.is_whitespace()).map(|(at, _)| at).collect();
        let at = *place.get(&places);
        let (before, after) = reply.split_at(at);
        let poisoned = format!("{before}{poison}{}", after.strip_prefix(' ').unwrap_or(after));
        prop_assert!(judged(&written(&poisoned, facts(&case.facts).language).to_string(), &facts(&case.facts)).is_err(), "{poisoned}");
    }

    #[test]
    fn no_text_makes_it_fail(text in "\\PC{0,400}", reply in "[\\PC\n]{40,300}") {
        let facts = facts("tesla");
        let _ = judge(&text, true, &facts);
        let _ = judge(&written(&reply, Language::Nb).to_string(), true, &facts);
    }
}

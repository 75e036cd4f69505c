//! What only people may promise. Some words are refused wherever they stand; others may be named by a sentence that leaves
//! them to the staff: "one of us can tell you about financing".

use std::sync::LazyLock;

use regex::Regex;

use super::{Reason, opening};
use crate::answers::{
    facts::Facts,
    words::{any_of, folded, sentences},
};

/// Phrases of folded text, by section; the file says how they are written.
const PHRASES: &str = include_str!("topics.txt");

/// What is refused, in this order.
const TOPICS: [Reason; 9] = [
    Reason::Insult,
    Reason::Advice,
    Reason::Discount,
    Reason::Guarantee,
    Reason::Reservation,
    Reason::Delivery,
    Reason::Financing,
    Reason::Appointment,
    Reason::Condition,
];

struct Topic {
    reason: Reason,
    /// Refused wherever they stand.
    never: Option<Regex>,
    /// Refused but where a sentence leaves it to the staff, and grants nothing.
    left_to_staff: Option<Regex>,
}

static MATCHERS: LazyLock<Vec<Topic>> = LazyLock::new(|| {
    let topic = |reason: Reason| Topic {
        reason,
        never: section(&format!("{} never", reason.code())),
        left_to_staff: section(&format!("{} staff", reason.code())),
    };
    TOPICS.map(topic).into()
});

/// That a person will see to it.
static LEFT_TO_STAFF: LazyLock<Regex> = LazyLock::new(|| known("left to staff"));
/// That something is granted all the same.
static GRANTED: LazyLock<Regex> = LazyLock::new(|| known("granted"));
static WEEKDAY: LazyLock<Regex> = LazyLock::new(|| known("weekday"));
/// When the doors are open.
static OPENING: LazyLock<Regex> = LazyLock::new(|| known("opening"));

fn section(name: &str) -> Option<Regex> {
    let head = format!("[{name}]");
    let lines = PHRASES.lines().skip_while(|line| *line != head).skip(1);
    let phrases: Vec<_> = lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty()).collect();
    (!phrases.is_empty()).then(|| any_of(&phrases))
}

fn known(name: &str) -> Regex {
    section(name).expect("the file has it")
}

/// Whether a folded sentence tells when the dealership is open.
pub(super) fn is_of_opening(sentence: &str) -> bool {
    OPENING.is_match(sentence)
}

pub(super) fn check(reply: &str, facts: &Facts) -> Result<(), Reason> {
    for sentence in sentences(reply) {
        let sentence = folded(sentence);
        let names = |phrases: &Option<Regex>| phrases.as_ref().is_some_and(|phrases| phrases.is_match(&sentence));
        for topic in MATCHERS.iter() {
            if names(&topic.never) || names(&topic.left_to_staff) && !is_left_to_staff(&sentence) {
                return Err(topic.reason);
            }
        }
        let opening = facts.dealership.opening.as_ref().filter(|_| is_of_opening(&sentence));
        if opening.is_some_and(|opening| !opening::fits(&sentence, opening)) {
            return Err(Reason::Appointment);
        }
        if WEEKDAY.is_match(&sentence) && !may_name_days(&sentence, facts) {
            return Err(Reason::Appointment);
        }
    }
    Ok(())
}

/// Whether a folded sentence leaves something to people, and grants nothing.
pub(super) fn is_left_to_staff(sentence: &str) -> bool {
    LEFT_TO_STAFF.is_match(sentence) && !GRANTED.is_match(sentence)
}

/// Days are named with the opening hours, or as the customer's wish.
fn may_name_days(sentence: &str, facts: &Facts) -> bool {
    let opening = facts.dealership.opening_hours.is_some() && is_of_opening(sentence);
    let told = folded(facts.customer.message.as_deref().unwrap_or_default());
    let theirs = WEEKDAY.find_iter(sentence).all(|day| told.contains(&day.as_str()[..day.len().min(5)]));
    opening || theirs && is_left_to_staff(sentence)
}

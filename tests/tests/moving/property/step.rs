//! What happens to a dealership, in an order that nobody has chosen.

use proptest::{collection::vec, prelude::*, sample::select};

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Lead,
    Message,
    Text,
    Progress,
    Erasure,
    Form,
    Robot,
    Mail,
    Decision,
    Merge,
    Unmerge,
    Split,
    Car,
    Rule,
    Source,
    NewKey,
    Turnstile,
    Page,
    MailAccount,
    TextAccount,
    Hours,
    Preferences,
    Suppression,
    Suggestion,
    Answer,
    Notice,
    Sending,
    Renaming,
    Colleague,
    Departure,
    Pruning,
    Counting,
    Failure,
    Work,
}

const ALL: [What; 34] = [
    What::Lead,
    What::Message,
    What::Text,
    What::Progress,
    What::Erasure,
    What::Form,
    What::Robot,
    What::Mail,
    What::Decision,
    What::Merge,
    What::Unmerge,
    What::Split,
    What::Car,
    What::Rule,
    What::Source,
    What::NewKey,
    What::Turnstile,
    What::Page,
    What::MailAccount,
    What::TextAccount,
    What::Hours,
    What::Preferences,
    What::Suppression,
    What::Suggestion,
    What::Answer,
    What::Notice,
    What::Sending,
    What::Renaming,
    What::Colleague,
    What::Departure,
    What::Pruning,
    What::Counting,
    What::Failure,
    What::Work,
];

/// With a number that chooses among what is there, counted around, and in what way it happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) what: What,
    pub(super) n: u8,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    (select(ALL.as_slice()), any::<u8>()).prop_map(|(what, n)| Step { what, n })
}

/// Each kind once.
pub(super) fn steps_of_all_kinds() -> impl Strategy<Value = Vec<Step>> {
    let numbers = vec(any::<u8>(), ALL.len());
    (Just(ALL.to_vec()).prop_shuffle(), numbers)
        .prop_map(|(all, numbers)| all.into_iter().zip(numbers).map(|(what, n)| Step { what, n }).collect())
}

//! What people ask, through what and how often, and what has to be known of it in the end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, option, prelude::*, sample::select};

/// An address and a number, as typed.
type Contact = (Option<&'static str>, Option<&'static str>);

/// Who asks, and what each of them is reached at. Per and Siri share a number.
const PEOPLE: [(&str, &[Contact]); 4] = [
    (
        "Åse Lund",
        &[
            (Some("ase@example.no"), None),
            (Some("Ase@Example.NO"), Some("912 34 567")),
            (Some("ase@example.no"), Some("+47 91234567")),
        ],
    ),
    (
        "Ola Bø",
        &[(None, Some("400 00 001")), (Some("ola@example.no"), Some("+4740000001")), (Some("OLA@example.no"), None)],
    ),
    (
        "Per Vik",
        &[(Some("per@example.no"), None), (Some("per@example.no"), Some("922 22 222")), (None, Some("92222222"))],
    ),
    ("Siri Vik", &[(Some("siri@example.no"), None), (Some("siri@example.no"), Some("922 22 222"))]),
];

/// What an inquiry comes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A form, as JSON or as browsers send it.
    Form {
        as_json: bool,
    },
    /// A mail that somebody wrote.
    Mail,
    /// A mail of a portal.
    Portal,
    /// A document whose prospects have ids, or have none.
    Adf {
        with_ids: bool,
    },
    Facebook,
}

/// Something that somebody asks. What is equal is the same inquiry, or a copy of it that its source tells from the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    pub(super) name: &'static str,
    pub(super) email: Option<&'static str>,
    pub(super) phone: Option<&'static str>,
    text: u8,
    pub(super) copy: u8,
}

/// One message of a source: all but ADF documents and Facebook's webhooks have one inquiry.
#[derive(Debug, Clone)]
pub(super) struct Sending {
    pub(super) way: Way,
    pub(super) questions: Vec<Question>,
    pub(super) journeys: Vec<Journey>,
}

/// One of the times that it is sent.
#[derive(Debug, Clone)]
pub(super) struct Journey {
    /// Decides when, compared with others, and in which variation.
    pub(super) departs: u16,
    /// After which part of the request its sender hangs up before, in 256ths: all of it means before the answer.
    pub(super) hang_ups: Vec<u8>,
    /// Whether it is cut off before anything of it can be read, and yet sent as if it were whole.
    pub(super) rubble: Option<u8>,
}

impl Journey {
    /// Whether it is not quite the same as at other times, where the source says that it is.
    pub(super) fn is_varied(&self) -> bool {
        self.departs % 2 == 1
    }
}

/// Something that is known in the end: the same for everything that is the same inquiry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Known {
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    /// The word of the text that tells it from other texts.
    pub(super) word: String,
}

impl Known {
    /// Of what was typed; a number as its last eight digits.
    pub(super) fn new(email: Option<&str>, phone: Option<&str>, text: &str) -> Self {
        let digits = |phone: &str| phone.chars().filter(char::is_ascii_digit).collect::<String>();
        let last = |digits: String| digits[digits.len().saturating_sub(8)..].to_owned();
        let word = text.split_once("kjøre bil ").map_or(text, |(_, rest)| rest.split(' ').next().unwrap_or_default());
        Self {
            email: email.map(str::to_lowercase),
            phone: phone.map(|phone| last(digits(phone))),
            word: word.to_owned(),
        }
    }

    /// Whether it says that one can be reached where the other can, too.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let same = |one: &Option<String>, other: &Option<String>| one.is_some() && one == other;
        same(&self.email, &other.email) || same(&self.phone, &other.phone)
    }

    /// Who all are connected by addresses and numbers.
    pub(super) fn circle(&self) -> usize {
        let is_theirs =
            |contacts: &[Contact]| contacts.iter().any(|(email, phone)| self.meets(&Self::new(*email, *phone, "")));
        let person = PEOPLE.iter().position(|(_, contacts)| is_theirs(contacts)).expect("nobody else asked");
        person.min(2)
    }
}

impl Question {
    /// Different in each way, so that what is known in the end tells where it came from.
    pub(super) fn text(&self, way: Way) -> String {
        let way = match way {
            Way::Form { .. } => "f",
            Way::Mail => "m",
            Way::Portal => "p",
            Way::Adf { with_ids: false } => "a",
            Way::Adf { with_ids: true } => "i",
            Way::Facebook => "b",
        };
        format!("Jeg vil prøvekjøre bil {way}{} på lørdag", self.text)
    }

    fn known(&self, way: Way) -> Known {
        Known::new(self.email, self.phone, &self.text(way))
    }
}

impl Sending {
    /// What a source calls its inquiries, in their order.
    pub(super) fn ids(&self) -> Vec<String> {
        let id = |question: &Question| {
            let Known { email, phone, word } = question.known(self.way);
            format!("{word}-{}-{}-{}", question.copy, email.unwrap_or_default(), phone.unwrap_or_default())
        };
        self.questions.iter().map(id).collect()
    }
}

/// Everything that has to be known in the end, and how often: each distinct inquiry once.
pub(super) fn expected(sendings: &[Sending]) -> BTreeMap<Known, usize> {
    let mut distinct = BTreeSet::new();
    for sending in sendings.iter().filter(|sending| sending.arrives()) {
        for question in &sending.questions {
            // Others are the same if the same person sends the same text.
            let told_apart = matches!(sending.way, Way::Facebook | Way::Adf { with_ids: true } | Way::Form { .. });
            distinct.insert((question.known(sending.way), question.copy * u8::from(told_apart)));
        }
    }
    let mut counts = BTreeMap::new();
    for (known, _) in distinct {
        *counts.entry(known).or_default() += 1;
    }
    counts
}

impl Sending {
    /// Whether any of it can be read.
    pub(super) fn arrives(&self) -> bool {
        self.journeys.iter().any(|journey| journey.rubble.is_none())
    }
}

fn question() -> impl Strategy<Value = (usize, usize, u8, u8)> {
    (0..PEOPLE.len(), 0..3_usize, 0..2_u8, 0..3_u8)
}

fn journey() -> impl Strategy<Value = Journey> {
    // More often before the answer than anywhere else.
    let hang_up = prop_oneof![any::<u8>(), Just(u8::MAX)];
    let hang_ups = prop_oneof![2 => Just(Vec::new()), 1 => vec(hang_up, 1..3)];
    let rubble = prop_oneof![9 => Just(None), 1 => option::of(0..4_u8)];
    (any::<u16>(), hang_ups, rubble).prop_map(|(departs, hang_ups, rubble)| Journey { departs, hang_ups, rubble })
}

/// Something that somebody sends.
pub(super) fn sending() -> impl Strategy<Value = Sending> {
    let ways = vec![
        Way::Form { as_json: true },
        Way::Form { as_json: false },
        Way::Mail,
        Way::Portal,
        Way::Adf { with_ids: true },
        Way::Adf { with_ids: false },
        Way::Facebook,
    ];
    (select(ways), vec(question(), 1..4), vec(journey(), 1..4)).prop_map(|(way, asked, mut journeys)| {
        let several = matches!(way, Way::Adf { .. } | Way::Facebook);
        let questions = asked.into_iter().take(if several { 3 } else { 1 }).map(|(person, contact, text, copy)| {
            let (name, contacts) = PEOPLE[person];
            let (email, phone) = contacts[contact % contacts.len()];
            // Who writes a mail is known by its sender alone.
            let phone = phone.filter(|_| way != Way::Mail || email.is_none());
            Question { name, email, phone, text, copy }
        });
        let questions: Vec<_> = questions.collect();
        // What a browser sends is a form wherever it ends, and what is signed is nothing then.
        if matches!(way, Way::Form { as_json: false } | Way::Facebook) {
            for journey in &mut journeys {
                journey.rubble = None;
            }
        }
        let has_no_address = questions[0].email.is_none();
        let way = if way == Way::Mail && has_no_address { Way::Portal } else { way };
        Sending { way, questions, journeys }
    })
}

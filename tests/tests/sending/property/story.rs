//! What people, customers, providers and machines do, in an order that nobody has chosen.

use dev::stand_ins::{assistant, mailbox::Fault};
use proptest::{collection::vec, prelude::*, sample::select};

/// Customers of a story.
pub(super) const CUSTOMERS: usize = 3;

/// A dealership's day.
#[derive(Debug, Clone)]
pub(super) struct Story {
    /// Whether a person sends what is written.
    pub(super) drafts: bool,
    /// How many automatic answers a lead gets.
    pub(super) turns: i16,
    /// Each after so many milliseconds.
    pub(super) steps: Vec<(u64, Step)>,
    /// The statements whose connections end with them, counting those that write.
    pub(super) last_statements: Vec<i64>,
}

/// Customers are named by their number, messages in the mailbox by their place, counted around.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    FillIn(usize),
    WriteMail(usize),
    Answer {
        customer: usize,
        sms: bool,
    },
    SendDraft(usize),
    SendAgain(usize),
    Reply(usize),
    Bounce(usize),
    /// Or answers STOP.
    Complain(usize),
    Start(usize),
    /// Whenever it was sent, and however often that was reported.
    Report(usize, &'static str),
    ActiveFault(Fault),
    Slow,
    Assistant(assistant::Fault),
    /// The time of what is tried again later has come.
    Hasten,
    KillWorker,
    CutOffWorker,
    CutOffApi,
}

pub(super) fn story() -> impl Strategy<Value = Story> {
    let steps = vec((0..60_u64, step()), 1..24);
    // Nothing happens to those who never ask.
    let asked = vec((0..20_u64, (0..CUSTOMERS).prop_map(Step::FillIn)), 1..3);
    let begun = (asked, steps).prop_map(|(asked, steps)| asked.into_iter().chain(steps).collect());
    (proptest::bool::weighted(0.2), 1..3_i16, begun, vec(1..300_i64, 0..5))
        .prop_map(|(drafts, turns, steps, last_statements)| Story { drafts, turns, steps, last_statements })
}

fn step() -> impl Strategy<Value = Step> {
    let troubles = vec![Fault::Down, Fault::Busy, Fault::Refuse, Fault::CutAfterData, Fault::Bounce, Fault::Complain];
    let written = vec![assistant::Fault::Down, assistant::Fault::Nonsense, assistant::Fault::Injection];
    prop_oneof![
        1 => (0..CUSTOMERS).prop_map(Step::FillIn),
        1 => (0..CUSTOMERS).prop_map(Step::WriteMail),
        3 => (0..CUSTOMERS, any::<bool>()).prop_map(|(customer, sms)| Step::Answer { customer, sms }),
        1 => (0..CUSTOMERS).prop_map(Step::SendDraft),
        1 => (0..CUSTOMERS).prop_map(Step::SendAgain),
        2 => (0..9_usize).prop_map(Step::Reply),
        1 => (0..9_usize).prop_map(Step::Bounce),
        1 => (0..9_usize).prop_map(Step::Complain),
        1 => (0..9_usize).prop_map(Step::Start),
        2 => (0..9_usize, select(vec!["sent", "delivered", "undelivered"])).prop_map(|(nth, told)| Step::Report(nth, told)),
        4 => select(troubles).prop_map(Step::ActiveFault),
        1 => Just(Step::Slow),
        1 => select(written).prop_map(Step::Assistant),
        3 => Just(Step::Hasten),
        2 => Just(Step::KillWorker),
        1 => Just(Step::CutOffWorker),
        1 => Just(Step::CutOffApi),
    ]
}

use maud::{Markup, html};

use crate::stand_ins::mailbox::{ActiveFault, Fault};

/// One button for each fault, pressed while it lasts.
pub(super) fn switches(active: &[ActiveFault]) -> Markup {
    let lasts = |fault| active.iter().find(|active: &&ActiveFault| active.fault == fault);
    html! {
        details.faults open[!active.is_empty()] data-live="faults" {
            summary {
                @if active.is_empty() { span.dot.good {} "Providers work" }
                @else { span.dot.alarm {} "Providers fail" }
            }
            div.switches role="group" aria-label="What providers do with the next messages" {
                @for fault in Fault::ALL {
                    @let (name, word, explanation) = described(fault);
                    @let active = lasts(fault);
                    form method="post" action=(if active.is_some() { "/faults/end" } else { "/faults" }) {
                        input type="hidden" name="fault" value=(word);
                        button title=(explanation) aria-pressed=(if active.is_some() { "true" } else { "false" }) {
                            (name)
                            @if let Some(count) = active.and_then(|active| active.count) { " × " (count) }
                        }
                    }
                }
            }
        }
    }
}

/// The name of the button, of the fault, and what it does.
fn described(fault: Fault) -> (&'static str, &'static str, &'static str) {
    match fault {
        Fault::Slow => ("Be slow", "slow", "Answers 5 seconds late"),
        Fault::Down => ("Be down", "down", "Closes every connection at once"),
        Fault::Busy => ("Be busy", "busy", "Answers 451 or 429: not now"),
        Fault::Refuse => ("Refuse", "refuse", "Answers 550 or 400: never"),
        Fault::CutAfterData => ("Hang up", "cut_after_data", "Takes the message, and hangs up before saying so"),
        Fault::Bounce => ("Bounce", "bounce", "Takes the message, and reports that it did not arrive"),
        Fault::Complain => ("Complain", "complain", "Delivers the message, and the customer complains"),
    }
}

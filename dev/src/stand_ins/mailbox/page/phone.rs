use maud::{Markup, html};

use super::list::time;
use crate::stand_ins::mailbox::{Channel, Message};

/// All that a number got from the same sender, on its phone.
pub(super) fn conversation(all: &[Message], message: &Message) -> Markup {
    let same =
        |other: &&Message| other.channel() == Channel::Sms && other.to == message.to && other.from == message.from;
    let mut bubbles: Vec<_> = all.iter().filter(same).flat_map(bubbles).collect();
    bubbles.sort_by_key(|bubble| bubble.at);
    html! {
        div.phone {
            div.screen {
                p.contact { span.avatar aria-hidden="true" { "☎" } (message.from) }
                @for bubble in bubbles {
                    div.bubble.mine[bubble.is_mine].shown[bubble.id == message.id] {
                        p { (bubble.text) }
                        (time(bubble.at))
                    }
                }
            }
        }
    }
}

struct Bubble<'m> {
    id: u64,
    at: chrono::DateTime<chrono::Utc>,
    text: &'m str,
    /// The customer's.
    is_mine: bool,
}

fn bubbles(message: &Message) -> impl Iterator<Item = Bubble<'_>> {
    let received = Bubble { id: message.id, at: message.at, text: &message.text, is_mine: false };
    let replies = message.replies.iter();
    let replies = replies.map(|reply| Bubble { id: message.id, at: reply.at, text: &reply.text, is_mine: true });
    std::iter::once(received).chain(replies)
}

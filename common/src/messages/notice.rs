//! Mails and text messages to people of the dealership.

use super::{
    compose::Letter,
    mail::{self, MailContent},
};
use crate::{
    ids::DealershipId,
    language::Language,
    notifications::Event,
    outbox::{NoticeLine, OutgoingNotice, tag},
};

/// Writes what somebody is told, one line for each thing.
pub fn compose_notice(notice: &OutgoingNotice, dealership: DealershipId) -> Letter {
    let lines: Vec<_> = notice.lines.iter().map(line).collect();
    let subject = match lines.as_slice() {
        [only] => only.clone(),
        _ => format!("{} hendelser hos {}", lines.len(), notice.sender.name),
    };
    let rendered = mail::render(&MailContent {
        language: Language::Nb,
        dealership: mail::Sender {
            name: notice.sender.name.clone(),
            logo_url: None,
            phone: None,
            email: None,
            address: None,
        },
        subject,
        body: lines.join("\n\n"),
        signature: None,
        disclosure: None,
        reply_hint: false,
        unsubscribe_url: None,
        quoted: None,
    });
    Letter {
        tag: tag(dealership, notice.id),
        to_name: None,
        reply_to: notice.recipient.clone(),
        subject: rendered.subject,
        text: rendered.text,
        html: rendered.html,
        unsubscribe: None,
    }
}

/// Characters of a text message to people: two parts.
const MAX_TEXT: usize = 300;
/// Things that a text message tells.
const MAX_LINES: usize = 3;

/// Says the same in a text message, of more than a few things only how many.
pub fn compose_notice_sms(notice: &OutgoingNotice) -> String {
    let more = notice.lines.len().saturating_sub(MAX_LINES);
    let lines = notice.lines.iter().take(MAX_LINES).map(line);
    let lines: Vec<_> = lines.chain((more > 0).then(|| format!("og {more} til"))).collect();
    let text = format!("{}: {}", notice.sender.name, lines.join("; "));
    if text.chars().count() <= MAX_TEXT {
        return text;
    }
    // Three dots: the one character of them would make all take twice the room.
    text.chars().take(MAX_TEXT - 3).chain("...".chars()).collect()
}

fn line(line: &NoticeLine) -> String {
    let what = match line.event {
        Event::NewLead => "Ny henvendelse",
        Event::Assigned => "Du har fått en henvendelse",
        Event::CustomerReplied => "En kunde har skrevet igjen",
        Event::NeedsHuman => "En kunde trenger svar fra et menneske",
        Event::NotDelivered => "Et svar kom ikke fram",
        Event::SourceBroken => "En kilde til henvendelser virker ikke lenger",
        Event::SendingBroken => "Deres egen konto for utsending virker ikke lenger",
        Event::SlaAtRisk => "Ingen har svart en kunde ennå",
    };
    let who = line.customer_name.as_deref().map(|name| format!(": {name}")).unwrap_or_default();
    let about = line.vehicle_interest.as_deref().map(|vehicle| format!(" ({vehicle})")).unwrap_or_default();
    format!("{what}{who}{about}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        outbox::{Sender, Tried},
        sms::{SmsEncoding, sms_parts},
    };

    fn text(count: usize, name: &str) -> String {
        let line = NoticeLine {
            event: Event::NeedsHuman,
            customer_name: Some(name.to_owned()),
            vehicle_interest: Some("Tesla Model Y".to_owned()),
        };
        let sender = Sender {
            name: "Tesla Oslo".to_owned(),
            email: None,
            phone: None,
            address: None,
            logo_url: None,
            signature: None,
            mail_key: None,
        };
        compose_notice_sms(&OutgoingNotice {
            id: uuid::Uuid::nil().into(),
            tried: Tried { attempts: 0, is_in_doubt: false },
            mail_id: String::new(),
            recipient: "+4791234567".to_owned(),
            sender,
            lines: vec![line; count],
        })
    }

    #[test]
    fn a_text_message_stays_short_whatever_happened() {
        assert_eq!(text(1, "Per"), "Tesla Oslo: En kunde trenger svar fra et menneske: Per (Tesla Model Y)");
        assert!(text(9, "Åse").ends_with("; og 6 til"), "{}", text(9, "Åse"));
        for (count, name) in [(100, "Bjørn"), (3, "Ø".repeat(200).as_str())] {
            let parts = sms_parts(&text(count, name));
            assert!(parts.parts <= 2 && matches!(parts.encoding, SmsEncoding::Gsm7), "{}", text(count, name));
        }
    }
}

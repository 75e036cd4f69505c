//! Mails to people of the dealership.

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
        reply_to: notice.recipient.clone(),
        subject: rendered.subject,
        text: rendered.text,
        html: rendered.html,
        unsubscribe: None,
    }
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
    };
    let who = line.customer_name.as_deref().map(|name| format!(": {name}")).unwrap_or_default();
    let about = line.vehicle_interest.as_deref().map(|vehicle| format!(" ({vehicle})")).unwrap_or_default();
    format!("{what}{who}{about}")
}

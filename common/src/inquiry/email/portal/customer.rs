//! Which mail is the customer's, and which address is.

use super::{
    labels::{Field, Labels, SenderRules},
    scan::{Found, scan},
};
use crate::{
    input::{Email, Phone},
    inquiry::email::{
        address::{OwnAddresses, is_beside, is_robot, is_role},
        headers::Mailbox,
        mail::Mail,
        marks::Mark,
        quotes,
    },
};

/// The mail of the customer: what was passed on, where somebody of the dealership does, except what the dealership had
/// written itself.
pub(super) fn mail_of<'m>(mail: &'m Mail, own: &OwnAddresses) -> &'m Mail {
    let is_own = |mail: &Mail| mail.from.as_ref().is_some_and(|from| own.contains(&from.address));
    let mut current = mail;
    let mut passed_on = true;
    while let Some(within) = current.forwarded.as_deref().filter(|_| passed_on) {
        if is_own(within) && within.forwarded.is_none() {
            break;
        }
        current = within;
        passed_on = is_own(current);
    }
    current
}

/// What the labels of the customer's mail tell.
pub(super) fn found(mail: &Mail, rules: &SenderRules, own: &OwnAddresses) -> Found {
    let customers = mail_of(mail, own);
    scan(&customers.fresh_text(), &Labels::new(rules.of(mail).chain(rules.of(customers))))
}

/// The addresses after labels that a customer can have.
pub(super) fn emails<'f>(found: &'f Found, own: &'f OwnAddresses) -> impl Iterator<Item = Mailbox> + 'f {
    let written = found.all(Field::Email).iter().filter_map(|value| quotes::mailbox(value));
    written.filter(|mailbox| mailbox.address.parse::<Email>().is_ok() && is_somebody(mailbox, own))
}

/// The numbers after labels; first those that get text messages.
pub(super) fn phones(found: &Found) -> impl Iterator<Item = &String> {
    found.all(Field::Mobile).iter().chain(found.all(Field::Phone))
}

fn is_somebody(mailbox: &Mailbox, own: &OwnAddresses) -> bool {
    !is_robot(mailbox) && !own.contains(&mailbox.address)
}

/// Who is to be answered according to the headers, where that is not who sent it.
pub(super) fn reply_to<'m>(mail: &'m Mail, own: &OwnAddresses) -> Option<&'m Mailbox> {
    let from = mail.from.as_ref().map_or("", |from| from.address.as_str());
    mail.reply_to.as_ref().filter(|reply_to| !reply_to.address.eq_ignore_ascii_case(from) && is_somebody(reply_to, own))
}

/// The customer according to the headers: who is to be answered, else the sender if that is a person.
pub(super) fn sender<'m>(mail: &'m Mail, found: &Found, own: &OwnAddresses) -> Option<&'m Mailbox> {
    reply_to(mail, own).or_else(|| {
        let from = mail.from.as_ref().filter(|from| is_somebody(from, own) && !mail.is_automatic(own))?;
        (!is_portal(found) || is_named(from, found)).then_some(from)
    })
}

/// Whether a mail has the labels of a form: a portal's own address must not become that of all its customers.
fn is_portal(found: &Found) -> bool {
    found.len() >= 3 && found.any(Field::is_contact) && found.any(Field::is_matter)
}

fn is_named(mailbox: &Mailbox, found: &Found) -> bool {
    let name = mailbox.name.as_deref().unwrap_or_default().to_lowercase();
    !name.is_empty() && found.all(Field::Name).iter().any(|found| found.to_lowercase() == name)
}

/// How sure it is that a customer is in a mail, whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::inquiry::email) enum Evidence {
    None,
    /// There is an address or a number, as signatures and footers have them.
    Contact,
    /// It is said whose: by a name, by who is to be answered, or by whose mail was passed on.
    Person,
    /// It is told what about.
    Lead,
}

pub(in crate::inquiry::email) fn evidence(mail: &Mail, rules: &SenderRules, own: &OwnAddresses) -> Evidence {
    let found = found(mail, rules, own);
    let customers = mail_of(mail, own);
    let is_labelled =
        emails(&found, own).next().is_some() || phones(&found).any(|phone| phone.parse::<Phone>().is_ok());
    let is_passed_on =
        !std::ptr::eq(customers, mail) && customers.from.as_ref().is_some_and(|from| is_somebody(from, own));
    if mail.adf().is_some() || (is_labelled && found.any(Field::is_matter)) {
        Evidence::Lead
    } else if (is_labelled && found.any(Field::is_personal_name)) || is_passed_on || names_person(customers, own) {
        Evidence::Person
    } else if is_labelled || reply_to(customers, own).is_some() {
        Evidence::Contact
    } else {
        Evidence::None
    }
}

/// Whether a person of somewhere else is to be answered: newsletters too have an address for answers, of the same sender.
fn names_person(mail: &Mail, own: &OwnAddresses) -> bool {
    let from = mail.from.as_ref().map_or("", |from| from.address.as_str());
    reply_to(mail, own).is_some_and(|reply_to| !is_role(reply_to) && !is_beside(&reply_to.address, from))
}

/// Whether an automatic answer may go to the customer's address: never to a robot, to ourselves, or back to what a program
/// sent. What a portal sends may be answered to the customer that it names. <https://www.rfc-editor.org/rfc/rfc3834>
pub fn may_answer(mail: &Mail, customer: &Email, own: &OwnAddresses) -> bool {
    let customer = Mailbox { name: None, address: customer.as_str().to_owned() };
    let never = [Mark::AutoReplied, Mark::Bounce, Mark::Complaint, Mark::Receipt, Mark::Spam];
    if !is_somebody(&customer, own) || never.iter().any(|mark| mail.marks.contains(mark)) {
        return false;
    }
    let customers = mail_of(mail, own);
    let sent = customers.from.as_ref().is_some_and(|from| from.address.eq_ignore_ascii_case(&customer.address));
    !(sent && (customers.is_automatic(own) || customers.marks.contains(&Mark::NoAnswer)))
}

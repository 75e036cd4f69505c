//! An inquiry from a mail, whether a person wrote it or a portal: labels first, then the headers, then the text alone. A
//! mail in which nothing is recognised is an inquiry too.

mod customer;
mod finn;
mod labels;
mod scan;

pub use customer::may_answer;
pub(super) use customer::{Evidence, evidence};
pub use labels::{Field, SenderRule, SenderRules};

use super::{address::OwnAddresses, mail::Mail, quotes};
use crate::{input::Phone, inquiry::Inquiry};
use scan::Found;

/// Names of files that are noted.
const FILE_LIMIT: usize = 20;

/// Reads what a customer asks. The address is set only if it is the customer's: not that of a portal, a robot or the
/// dealership.
pub fn read(mail: &Mail, rules: &SenderRules, own: &OwnAddresses) -> Inquiry {
    let customers = customer::mail_of(mail, own);
    let found = customer::found(mail, rules, own);
    let mut inquiry = Inquiry::default();
    set_person(&mut inquiry, customers, &found, own);
    set_vehicle(&mut inquiry, customers, &found);
    set_message(&mut inquiry, customers, &found);
    if let Some(subject) = &customers.subject {
        inquiry.note("subject", subject.as_str());
    }
    let mut files: Vec<_> = mail.attachments.iter().collect();
    if !std::ptr::eq(customers, mail) {
        files.extend(&customers.attachments);
        inquiry.note("forwarded_by", mail.from.as_ref().map(|from| from.address.as_str()));
        inquiry.note("forwarding_note", mail.forwarding_note());
    }
    // A single one may be any sentence with a colon.
    if found.len() >= 2 {
        for (label, value) in &found.others {
            inquiry.note(label, value.as_str());
        }
    }
    for file in files.into_iter().filter_map(|file| file.name.as_deref()).take(FILE_LIMIT) {
        inquiry.note("attachment", file);
    }
    inquiry
}

fn set_person(inquiry: &mut Inquiry, mail: &Mail, found: &Found, own: &OwnAddresses) {
    let mut emails = customer::emails(found, own);
    let sender = customer::sender(mail, found, own);
    let labelled = emails.next();
    if let Some(customer) = labelled.as_ref().or(sender) {
        inquiry.set_email(&customer.address);
    }
    for other in emails {
        inquiry.note("email", other.address);
    }
    let names = [found.first(Field::FirstName), found.first(Field::LastName)];
    let joined = || Some(names.into_iter().flatten().collect::<Vec<_>>().join(" ")).filter(|name| !name.is_empty());
    let shown = || labelled.as_ref().or(sender).and_then(|customer| customer.name.clone());
    // Also where a label is followed by `Kari Nordmann <kari@example.no>`.
    let first = found.first(Field::Name).map(|name| match quotes::mailbox(name) {
        Some(mailbox) => mailbox.name.unwrap_or_default(),
        None => name.to_owned(),
    });
    if let Some(name) = first.filter(|name| !name.is_empty()).or_else(joined).or_else(shown) {
        inquiry.set_name(&name);
    }
    // Which of them can be dialled is found out once.
    for phone in customer::phones(found) {
        if inquiry.phone.is_none() && phone.parse::<Phone>().is_ok() {
            inquiry.set_phone(phone);
        } else {
            inquiry.note("phone", phone.as_str());
        }
    }
    let from = mail.from.as_ref().map(|from| from.address.as_str());
    if from.is_some_and(|from| inquiry.email.as_ref().is_none_or(|email| !email.as_str().eq_ignore_ascii_case(from))) {
        inquiry.note("sender", from);
    }
}

fn set_vehicle(inquiry: &mut Inquiry, mail: &Mail, found: &Found) {
    let parts = [("make", Field::Make), ("model", Field::Model), ("variant", Field::Variant), ("year", Field::Year)];
    if let Some(vehicle) = found.first(Field::Vehicle) {
        inquiry.set_vehicle_interest(vehicle);
        for (name, field) in parts {
            inquiry.note(name, found.first(field));
        }
    } else {
        let parts: Vec<_> = parts.into_iter().filter_map(|(_, field)| found.first(field)).collect();
        inquiry.set_vehicle_interest(&parts.join(" "));
    }
    for other in found.all(Field::Vehicle).iter().skip(1) {
        inquiry.note("vehicle", other.as_str());
    }
    for registration in found.all(Field::Registration) {
        inquiry.note("registration_number", plate(registration));
    }
    let labelled =
        found.all(Field::FinnCode).iter().find_map(|value| finn::leading(value).or_else(|| finn::in_link(value)));
    if let Some(code) = labelled.or_else(|| finn::code(mail)) {
        inquiry.note("finn_code", code.as_str());
        inquiry.set_source_url(&format!("https://www.finn.no/{code}"));
    }
    for url in found.all(Field::Url) {
        if inquiry.source_url.is_none() && url.starts_with("http") {
            inquiry.set_source_url(url);
        } else {
            inquiry.note("url", url.as_str());
        }
    }
}

/// A Norwegian number plate without blanks, `EK12345`; others as they are.
fn plate(text: &str) -> String {
    let plate: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').flat_map(char::to_uppercase).collect();
    let is_norwegian = plate.len() == 7
        && plate.bytes().take(2).all(|byte| byte.is_ascii_uppercase())
        && plate.bytes().skip(2).all(|byte| byte.is_ascii_digit());
    if is_norwegian { plate } else { text.to_owned() }
}

fn set_message(inquiry: &mut Inquiry, mail: &Mail, found: &Found) {
    match found.first(Field::Message) {
        Some(message) => inquiry.set_message(message),
        None => inquiry.set_message(&mail.fresh_text()),
    }
    if inquiry.message.is_none() {
        inquiry.set_message(mail.subject.as_deref().unwrap_or_default());
    }
}

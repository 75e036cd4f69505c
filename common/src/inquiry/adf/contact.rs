use super::{super::Inquiry, Node};

/// Words in the names of elements that hold phone numbers; `international_phone` and `cellphone` are in no standard.
const PHONES: [&str; 6] = ["phone", "mobile", "cell", "telefon", "mobil", "fax"];

/// Who asks and how they can be answered.
pub(super) fn read(contact: &Node, inquiry: &mut Inquiry) {
    name(contact, inquiry);
    emails(contact, inquiry);
    phones(contact, inquiry);
    // Where there is no contact, this is the customer.
    let read_elsewhere = |name: &str| matches!(name, "comments" | "comment" | "timeframe");
    let is_known = |name: &str| matches!(name, "name" | "email") || is_phone(name) || read_elsewhere(name);
    for node in contact.nodes().filter(|node| !is_known(&node.name)) {
        inquiry.note(&node.name, node.to_json());
    }
    inquiry.note("text", contact.own_text());
}

/// The longest of what is said: some send a first name as the full one, others no full one.
fn name(contact: &Node, inquiry: &mut Inquiry) {
    let names = contact.descendants("name");
    let part = |wanted: &[&str]| {
        let meant = |node: &&&Node| wanted.contains(&node.word("part").as_str());
        names.iter().find(|node| meant(node) && !node.own_text().is_empty()).map(|node| node.own_text())
    };
    let full = part(&["full", ""]).unwrap_or_default();
    let parts = [&["first"][..], &["middle"], &["last", "surname"]].into_iter().filter_map(part);
    let joined = parts.collect::<Vec<_>>().join(" ");
    let (name, other) = if joined.chars().count() > full.chars().count() { (joined, full) } else { (full, joined) };
    inquiry.set_name(&name);
    if !name.contains(&other) {
        inquiry.note("name", other.as_str());
    }
    for node in &names {
        let (part, text) = (node.word("part"), node.own_text());
        if !name.contains(&text) && text != other {
            inquiry.note(&format!("name_{}", if part.is_empty() { "full" } else { &part }), text);
        }
    }
    if names.iter().any(|node| node.word("type") == "business") {
        inquiry.note("name_type", "business");
    }
}

fn emails(contact: &Node, inquiry: &mut Inquiry) {
    let mut emails = contact.descendants("email");
    emails.sort_by_key(|node| !is_preferred(node));
    for node in emails {
        let text = node.text();
        if inquiry.email.is_none() {
            inquiry.set_email(address(&text));
        } else {
            inquiry.note("email", text);
        }
    }
}

/// The address of `Kari <kari@example.no>` and of `mailto:kari@example.no`.
fn address(text: &str) -> &str {
    let bracketed = text.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
    let address = bracketed.map_or(text, |(address, _)| address);
    address.strip_prefix("mailto:").unwrap_or(address)
}

/// The number that the customer prefers, else the first of a mobile phone, else any but a fax machine's.
fn phones(contact: &Node, inquiry: &mut Inquiry) {
    let mut phones = Vec::new();
    contact.collect(&|node: &Node| is_phone(&node.name), &mut phones);
    phones.sort_by_key(|node| (!is_preferred(node), rank(&kind(node))));
    for node in phones {
        let (kind, text) = (kind(node), node.text());
        match text.parse() {
            Ok(phone) if inquiry.phone.is_none() && rank(&kind) < FAX => {
                inquiry.phone = Some(phone);
                inquiry.note("phone_time", node.attribute("time"));
            }
            _ => inquiry.note(&format!("phone_{kind}"), text),
        }
    }
}

/// `voice`, `cellphone`, `fax` …, which may also be the element's name.
fn kind(node: &Node) -> String {
    let kind = node.word("type");
    if kind.is_empty() { node.name.clone() } else { kind }
}

const FAX: u8 = 3;

fn rank(kind: &str) -> u8 {
    let is = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    if is(&["fax", "pager"]) {
        FAX
    } else if is(&["cell", "mobil"]) {
        0
    } else if is(&["work", "business", "home"]) {
        2
    } else {
        1
    }
}

fn is_phone(name: &str) -> bool {
    PHONES.iter().any(|word| name.contains(word))
}

fn is_preferred(node: &Node) -> bool {
    matches!(node.word("preferredcontact").as_str(), "1" | "true" | "yes")
}

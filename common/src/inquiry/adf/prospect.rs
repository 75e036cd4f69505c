use mail_parser::decoders::html::html_to_text;
use serde_json::Value;

use super::{super::Inquiry, Node, Prospect, contact, vehicle};

/// Longer ids name nothing.
const MAX_KEY: usize = 500;

pub(super) fn read(prospect: &Node) -> Prospect {
    let mut inquiry = Inquiry::default();
    let customer = prospect.child("customer");
    let contact = customer.and_then(|customer| customer.child("contact"));
    let contact = contact.or_else(|| prospect.child("contact")).or(customer);
    if let Some(contact) = contact {
        contact::read(contact, &mut inquiry);
    }
    vehicles(prospect, &mut inquiry);
    comments(prospect, customer, &mut inquiry);
    let is_read = |node: &Node| [customer, contact].into_iter().flatten().any(|read| std::ptr::eq(read, node));
    if let Some(customer) = customer {
        of_customer(customer, contact.is_some_and(|contact| std::ptr::eq(contact, customer)), &mut inquiry);
    }
    of_prospect(prospect, is_read, &mut inquiry);
    Prospect { inquiry, key: key(prospect), is_resend: prospect.word("status") == "resend" }
}

/// What the customer wants, and what they would give for it.
fn vehicles(prospect: &Node, inquiry: &mut Inquiry) {
    let mut titles: Vec<String> = Vec::new();
    for node in prospect.children("vehicle") {
        if vehicle::is_trade_in(node) {
            inquiry.note("trade_in", vehicle::details(node));
            continue;
        }
        let title = vehicle::title(node);
        if !title.is_empty() && !titles.contains(&title) {
            titles.push(title);
        }
        inquiry.note("vehicle", vehicle::details(node));
    }
    inquiry.set_vehicle_interest(&titles.join("; "));
}

/// The customer's comments are the message; where there are none, those beside the vehicle, which is where many send them.
fn comments(prospect: &Node, customer: Option<&Node>, inquiry: &mut Inquiry) {
    let vehicles = || prospect.children("vehicle");
    let wanted = vehicles().filter(|node| !vehicle::is_trade_in(node));
    let trade_in = vehicles().filter(|node| vehicle::is_trade_in(node));
    let all = customer.into_iter().chain([prospect]).chain(wanted).chain(trade_in);
    let texts = all.flat_map(|node| node.children("comments").chain(node.children("comment")));
    for text in texts.map(|node| plain(&node.text())).filter(|text| !text.is_empty()) {
        if inquiry.message.is_none() {
            inquiry.set_message(&text);
        } else {
            inquiry.note("comments", text);
        }
    }
}

/// A text without the HTML that it may be.
fn plain(text: &str) -> String {
    let lower = text.to_lowercase();
    let breaks_lines = ["<br", "<p>", "<p "].iter().any(|tag| lower.contains(tag));
    if breaks_lines {
        html_to_text(text)
    } else if lower.contains("</") {
        html_to_text(&text.replace('\n', "<br>"))
    } else {
        text.to_owned()
    }
    .trim()
    .to_owned()
}

/// What is said of the customer beside the contact. Without one, the customer was read as it.
fn of_customer(customer: &Node, is_contact: bool, inquiry: &mut Inquiry) {
    for node in customer.nodes() {
        match node.name.as_str() {
            "contact" | "comments" | "comment" => {}
            "timeframe" => inquiry.note("timeframe", node.to_json()),
            _ if is_contact => {}
            name => inquiry.note(&format!("customer_{name}"), node.to_json()),
        }
    }
}

/// Everything that has not been read yet.
fn of_prospect(prospect: &Node, is_read: impl Fn(&Node) -> bool, inquiry: &mut Inquiry) {
    for node in prospect.nodes().filter(|node| !is_read(node)) {
        match node.name.as_str() {
            "vehicle" | "comments" | "comment" => {}
            // What it claims: when it came in is known.
            "requestdate" => inquiry.note("requested_at", node.to_json()),
            name => inquiry.note(name, node.to_json()),
        }
    }
    inquiry.note("text", prospect.own_text());
}

/// The first id that says what it is of: by itself, or by who provides it.
fn key(prospect: &Node) -> Option<String> {
    let provider = prospect.child("provider").and_then(|provider| provider.child("name")).map(Node::text);
    let provider = provider.unwrap_or_default();
    prospect.children("id").find_map(|id| {
        let (source, value) = (Some(id.attribute("source")).filter(|text| !text.is_empty()), id.text());
        let source = source.unwrap_or(&provider);
        let is_key = !source.is_empty() && !value.is_empty() && source.len() + value.len() < MAX_KEY;
        // As JSON, two pairs are never the same text.
        is_key.then(|| Value::from(vec![source, value.as_str()]).to_string())
    })
}

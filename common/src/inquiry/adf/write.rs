use chrono::{DateTime, SecondsFormat, Utc};
use quick_xml::escape::escape;

use super::super::clean;

/// What is told of a lead to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdfLead {
    /// Ours, unique.
    pub id: String,
    pub requested_at: DateTime<Utc>,
    /// Where it came from, such as `website`.
    pub source: String,
    pub name: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    /// What the customer is interested in.
    pub vehicle: Option<String>,
    pub comments: Option<String>,
    pub vendor_name: String,
}

/// A document with one prospect, in UTF-8. Year and make are empty, as we know a vehicle by one text only.
pub fn write(lead: &AdfLead) -> String {
    let element = |name: &str, attributes: &str, text: Option<&str>| match text {
        Some(text) => format!("<{name}{attributes}>{}</{name}>", escaped(text)),
        None => String::new(),
    };
    let contact = [
        // A contact without a name is none by the definition.
        element("name", " part=\"full\"", Some(lead.name.as_deref().unwrap_or_default())),
        element("email", "", lead.email.as_deref()),
        element("phone", "", lead.phone.as_deref()),
    ];
    let lines = [
        r#"<?xml version="1.0" encoding="UTF-8"?>"#.to_owned(),
        r#"<?adf version="1.0"?>"#.to_owned(),
        "<adf>\n<prospect status=\"new\">".to_owned(),
        format!("<id sequence=\"1\" source=\"Norvalt\">{}</id>", escaped(&lead.id)),
        format!("<requestdate>{}</requestdate>", lead.requested_at.to_rfc3339_opts(SecondsFormat::Secs, true)),
        "<vehicle interest=\"buy\">\n<year></year>\n<make></make>".to_owned(),
        format!("<model>{}</model>\n</vehicle>", escaped(lead.vehicle.as_deref().unwrap_or_default())),
        format!("<customer>\n<contact>{}</contact>", contact.concat()),
        element("comments", "", lead.comments.as_deref()) + "</customer>",
        format!(
            "<vendor>\n<vendorname>{0}</vendorname>\n<contact><name part=\"full\">{0}</name></contact>\n</vendor>",
            escaped(&lead.vendor_name)
        ),
        format!("<provider>\n<name part=\"full\">{}</name>\n</provider>", escaped(&lead.source)),
        "</prospect>\n</adf>\n".to_owned(),
    ];
    lines.join("\n")
}

/// Without what no document can hold. <https://www.w3.org/TR/xml/#charsets>
fn escaped(text: &str) -> String {
    let text: String = clean(text).chars().filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}')).collect();
    escape(text).into_owned()
}

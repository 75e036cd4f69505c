//! Values as people read them.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use maud::{Markup, html};

/// A point in time as a distance from now, and exactly for whoever points at it.
pub(super) fn moment(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    let distance = if at > now { format!("in {}", duration(at - now)) } else { format!("{} ago", duration(now - at)) };
    html! { time datetime=(at.to_rfc3339_opts(SecondsFormat::Secs, true)) title=(exact(at)) { (distance) } }
}

/// A point in time, exactly.
pub(super) fn exact(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true).replace('T', " ").replace('Z', " UTC")
}

fn duration(length: TimeDelta) -> String {
    age(length.to_std().unwrap_or_default().as_secs_f64())
}

/// A length of time, given in seconds.
pub(super) fn age(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3_600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

/// A number of things, with the word for one or for several.
pub(super) fn count(number: i64, one: &str, several: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {several}") }
}

/// A state or status, as a badge.
pub(super) fn badge(state: &str) -> Markup {
    html! { span class={ "badge " (state) } { (state) } }
}

/// A link with a query, of which blank values are left out.
pub(super) fn link(path: &str, query: &[(&str, &str)]) -> String {
    let mut link = path.to_owned();
    let mut separator = '?';
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        link.push(separator);
        link.push_str(name);
        link.push('=');
        encode(value, &mut link);
        separator = '&';
    }
    link
}

/// One segment of a path.
pub(super) fn segment(value: &str) -> String {
    let mut segment = String::new();
    encode(value, &mut segment);
    segment
}

/// <https://www.rfc-editor.org/rfc/rfc3986#section-2.1>
fn encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            into.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_what_was_asked_for_and_nothing_blank() {
        assert_eq!(link("/jobs", &[("state", ""), ("kind", "a&b=c é")]), "/jobs?kind=a%26b%3Dc%20%C3%A9");
        assert_eq!(link("/jobs", &[("state", "dead"), ("kind", "x.y")]), "/jobs?state=dead&kind=x.y");
    }

    #[test]
    fn times_are_near_or_far() {
        assert_eq!([0.4, 119.0, 120.0, 7_200.0, 172_800.0].map(age), ["0 s", "119 s", "2 min", "2 h", "2 days"]);
    }
}

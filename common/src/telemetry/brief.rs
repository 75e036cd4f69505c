//! Log lines for whoever watches a terminal: each in one row, without the ids that only a search needs.

use std::fmt::{self, Debug, Write};

use tracing::{
    Level, Metadata,
    field::{Field, Visit},
    span::Record,
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, FormattedFields, format::Writer, time::FormatTime},
};

use crate::clock::Clock;

/// Are the same on every line, or long and of use to programs only.
const LEFT_OUT: [&str; 6] = ["request_id", "trace_id", "job_id", "dealership", "user", "id"];
/// Speak for themselves.
const UNNAMED: [&str; 4] = ["message", "method", "route", "kind"];

/// Of what is wrong, nothing is left out.
pub(super) fn is_told_whole(about: &Metadata<'_>) -> bool {
    about.is_event() && *about.level() <= Level::WARN
}

/// The seconds of today, in UTC.
pub(super) struct TimeOfDay(Clock);

impl TimeOfDay {
    pub(super) fn new() -> Self {
        Self(Clock::system())
    }
}

impl FormatTime for TimeOfDay {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", self.0.now().format("%H:%M:%S"))
    }
}

/// Fields as people read them.
pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        write_fields(writer, &fields, true)
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let is_first = current.fields.is_empty();
        write_fields(current.as_writer(), fields, is_first)
    }
}

fn write_fields(writer: Writer<'_>, fields: &impl RecordFields, is_first: bool) -> fmt::Result {
    let mut line = Line { writer, is_first, written: Ok(()) };
    fields.record(&mut line);
    line.written
}

struct Line<'w> {
    writer: Writer<'w>,
    is_first: bool,
    written: fmt::Result,
}

impl Line<'_> {
    fn add(&mut self, name: &str, value: fmt::Arguments<'_>) {
        if self.written.is_err() || LEFT_OUT.contains(&name) {
            return;
        }
        let gap = if self.is_first { "" } else { " " };
        self.is_first = false;
        let mut row = Row(&mut self.writer);
        self.written =
            if UNNAMED.contains(&name) { write!(row, "{gap}{value}") } else { write!(row, "{gap}{name}={value}") };
    }
}

/// Whatever is written there does not end it, nor does it move the cursor.
struct Row<'a, 'w>(&'a mut Writer<'w>);

impl Write for Row<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| {
            if c.is_control() { write!(self.0, "{}", c.escape_debug()) } else { self.0.write_char(c) }
        })
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // Texts are quoted where they would not end by themselves.
        if UNNAMED.contains(&field.name()) {
            self.add(field.name(), format_args!("{value}"));
        } else {
            self.add(field.name(), format_args!("{value:?}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field.name(), format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::written::Written;

    #[test]
    fn a_line_says_what_was_asked_and_what_was_answered_in_one_row() {
        let output = Written::default();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(Fields)
            .with_target(false)
            .with_ansi(false)
            .without_time()
            .with_writer(output.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let dealership = tracing::field::Empty;
            let (method, route) = ("GET", "/api/v1/leads");
            let span = tracing::info_span!("request", request_id = "01a2", method, route, dealership);
            span.record("dealership", "62d3");
            let typed = "c\n\u{1b}[2J";
            span.in_scope(|| tracing::info!(status = 200, to = "a\nb", why = %typed, "answered {typed}å"));
        });
        let answered =
            r#" INFO request{GET /api/v1/leads}: answered c\n\u{1b}[2Jå status=200 to="a\nb" why=c\n\u{1b}[2J"#;
        assert_eq!(output.text(), answered.to_owned() + "\n");
    }
}

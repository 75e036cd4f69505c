//! Log lines for whoever watches a terminal: each in one row, without the ids that only a search needs.

use std::fmt::{self, Debug, Write};

use tracing::{
    Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::Record,
};
use tracing_subscriber::{
    Layer,
    field::RecordFields,
    filter::filter_fn,
    fmt::{FormatFields, FormattedFields, MakeWriter, format::Writer, time::FormatTime},
    registry::LookupSpan,
};

use crate::clock::Clock;

/// Are the same on every line, or long and of use to programs only.
const LEFT_OUT: [&str; 6] = ["request_id", "trace_id", "job_id", "dealership", "user", "id"];
/// Speak for themselves.
const UNNAMED: [&str; 4] = ["message", "method", "route", "kind"];

/// Lines of what goes well, and whole ones of what does not.
pub(super) fn lines<S, W>(to: W, in_colour: bool) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Clone + Send + Sync + 'static,
{
    let lines = || tracing_subscriber::fmt::layer().with_target(false).with_ansi(in_colour).with_writer(to.clone());
    let whole = lines().with_filter(filter_fn(|about| about.is_span() || is_told_whole(about)));
    let brief = lines().with_timer(TimeOfDay(Clock::system())).fmt_fields(Fields);
    whole.and_then(brief.with_filter(filter_fn(|about| !is_told_whole(about))))
}

/// Of what is wrong, nothing is left out.
fn is_told_whole(about: &Metadata<'_>) -> bool {
    about.is_event() && *about.level() <= Level::WARN
}

/// The seconds of today, in UTC.
struct TimeOfDay(Clock);

impl FormatTime for TimeOfDay {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", self.0.now().format("%H:%M:%S"))
    }
}

/// Fields as people read them.
struct Fields;

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
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::written::Written;

    #[test]
    fn a_line_says_what_was_asked_and_answered_in_one_row_and_all_of_what_is_wrong() {
        let output = Written::default();
        let subscriber = tracing_subscriber::registry().with(lines(output.clone(), false));
        tracing::subscriber::with_default(subscriber, || {
            let dealership = tracing::field::Empty;
            let (method, route) = ("GET", "/api/v1/leads");
            let span = tracing::info_span!("request", request_id = "01a2", method, route, dealership);
            span.record("dealership", "62d3");
            let typed = "c\n\u{1b}[2J";
            span.in_scope(|| tracing::info!(status = 200, to = "a\nb", why = %typed, "answered {typed}å"));
            span.in_scope(|| tracing::warn!(user = 7, "refused"));
        });
        let text = output.text();
        let [brief, whole] = text.lines().collect::<Vec<_>>()[..] else { panic!("a line each: {text}") };
        let answered =
            r#"  INFO request{GET /api/v1/leads}: answered c\n\u{1b}[2Jå status=200 to="a\nb" why=c\n\u{1b}[2J"#;
        assert_eq!(&brief["00:00:00".len()..], answered);
        let refused =
            r#"  WARN request{request_id="01a2" method="GET" route="/api/v1/leads" dealership="62d3"}: refused user=7"#;
        assert!(whole.ends_with(refused), "{whole}");
    }
}

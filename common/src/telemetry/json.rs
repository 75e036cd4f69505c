//! Lines of the log as JSON, with the members of `tracing_subscriber`'s own. That one keeps the fields of a span as an object of
//! JSON, and reads it again for each field that comes later and for each line. Here they are kept as they will stand there.

use std::fmt::{self, Debug, Display, Write};

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::Record,
};
use tracing_log::NormalizeEvent;
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// A line for each event: when, how grave, its fields, where from, and the span that it is in.
pub(super) struct JsonLines;

/// The fields of a span as members of an object, each with a comma behind it.
#[derive(Debug)]
pub(super) struct JsonMembers;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let of_log = event.normalized_metadata();
        let metadata = of_log.as_ref().unwrap_or_else(|| event.metadata());
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, "\",\"level\":\"{}\",", metadata.level())?;
        Members::of(event, "", &mut writer)?;
        write!(writer, "\"target\":\"{}\"", metadata.target())?;
        if let Some(span) = context.parent_span() {
            writer.write_str(",\"span\":{")?;
            if let Some(members) = span.extensions().get::<FormattedFields<N>>() {
                writer.write_str(&members.fields)?;
            }
            write!(writer, "\"name\":\"{}\"}}", span.name())?;
        }
        writer.write_str("}\n")
    }
}

impl<'a> FormatFields<'a> for JsonMembers {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'a>, fields: R) -> fmt::Result {
        Members::of(fields, "", &mut writer).map(drop)
    }

    fn add_fields(&self, current: &'a mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut added = String::new();
        let is_new = Members::of(fields, &current.fields, &mut added)?;
        current.fields += &added;
        if !is_new {
            // No name stands there twice, and the last value counts.
            let object = format!("{{{}}}", current.fields.trim_end_matches(','));
            let members: Map<String, Value> = serde_json::from_str(&object).map_err(|_| fmt::Error)?;
            let object = serde_json::to_string(&members).map_err(|_| fmt::Error)?;
            current.fields = object[1..object.len() - 1].to_owned() + ",";
        }
        Ok(())
    }
}

/// Writes fields as members.
struct Members<'a> {
    writer: &'a mut dyn Write,
    /// Members that are there already.
    before: &'a str,
    /// Whether none of them came again.
    is_new: bool,
    written: fmt::Result,
}

impl<'a> Members<'a> {
    fn of(fields: impl RecordFields, before: &'a str, writer: &'a mut dyn Write) -> Result<bool, fmt::Error> {
        let mut members = Self { writer, before, is_new: true, written: Ok(()) };
        fields.record(&mut members);
        members.written.map(|()| members.is_new)
    }

    fn member(&mut self, field: &Field, write: impl FnOnce(&mut dyn Write) -> fmt::Result) {
        // What is said of a line of `log` has been said by then.
        if field.name().starts_with("log.") {
            return;
        }
        let name = field.name().trim_start_matches("r#");
        self.is_new &= self.before.is_empty() || !self.before.contains(&format!("\"{name}\":"));
        self.written = self.written.and_then(|()| {
            write!(self.writer, "\"{name}\":")?;
            write(self.writer)?;
            self.writer.write_char(',')
        });
    }

    fn number(&mut self, field: &Field, value: impl Display) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn text(&mut self, field: &Field, text: impl Display) {
        self.member(field, |writer| {
            writer.write_char('"')?;
            write!(Escaped(writer), "{text}")?;
            writer.write_char('"')
        });
    }
}

impl Visit for Members<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // There is no other number in JSON. One that is whole stays of the same kind: `1.0`.
        if value.is_finite() { self.number(field, format_args!("{value:?}")) } else { self.text(field, value) }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, format_args!("{value:?}"));
    }
}

/// Writes what stands between the quotation marks of a string. <https://www.rfc-editor.org/rfc/rfc8259#section-7>
struct Escaped<'a>(&'a mut dyn Write);

impl Write for Escaped<'_> {
    fn write_str(&mut self, mut text: &str) -> fmt::Result {
        while let Some(at) = text.find(|c| matches!(c, '"' | '\\' | '\0'..='\x1f')) {
            self.0.write_str(&text[..at])?;
            match text.as_bytes()[at] {
                b'\n' => self.0.write_str("\\n")?,
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                control => write!(self.0, "\\u{control:04x}")?,
            }
            text = &text[at + 1..];
        }
        self.0.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tracing::{Span, field::Empty};

    use super::{JsonLines, JsonMembers};
    use crate::telemetry::written::Written;

    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let lines = Written::default();
        let layer = tracing_subscriber::fmt().event_format(JsonLines).fmt_fields(JsonMembers);
        tracing::subscriber::with_default(layer.with_writer(lines.clone()).finish(), work);
        let mut lines: Vec<Value> =
            lines.text().lines().map(|line| serde_json::from_str(line).expect("an object of JSON")).collect();
        for line in &mut lines {
            let time = line.as_object_mut().and_then(|line| line.remove("timestamp")).expect("each has one");
            assert!(time.as_str().is_some_and(|time| time.len() == 27 && time.ends_with('Z')), "{time}");
        }
        lines
    }

    #[test]
    fn fields_are_what_they_were_whatever_stands_in_them() {
        let odd = "a \"b\" \\ \n\t\u{1}\u{7f} å𐐀 ,\"x\":";
        let lines = logged(|| {
            tracing::info!(
                odd,
                number = -1,
                big = u64::MAX,
                half = 0.5,
                whole = 1.0,
                none = f64::NAN,
                yes = true,
                "said {odd}"
            );
            tracing::warn!(debug = ?Some(odd), r#type = %odd);
        });
        let target = "common::telemetry::json::tests";
        let said = format!("said {odd}");
        assert_eq!(
            lines[0],
            json!({ "level": "INFO", "message": said, "odd": odd, "number": -1, "big": u64::MAX, "half": 0.5, "whole": 1.0, "none": "NaN",
                    "yes": true, "target": target })
        );
        let debug = format!("{:?}", Some(odd));
        assert_eq!(lines[1], json!({ "level": "WARN", "debug": debug, "type": odd, "target": target }));
    }

    #[test]
    fn a_line_says_what_is_known_of_its_span_by_then() {
        let lines = logged(|| {
            let span = tracing::info_span!("request", id = Empty, route = "/\"id\":", dealership = Empty, user = Empty);
            span.in_scope(|| {
                tracing::info!("first");
                Span::current().record("id", 7);
                Span::current().record("dealership", "one");
                tracing::info!("second");
                Span::current().record("dealership", "another \"dealership\":");
                Span::current().record("user", true);
                tracing::info!("third");
            });
            tracing::info_span!("bare").in_scope(|| tracing::info!("fourth"));
        });
        let spans: Vec<&Value> = lines.iter().map(|line| &line["span"]).collect();
        let route = "/\"id\":";
        assert_eq!(spans[0], &json!({ "name": "request", "route": route }));
        assert_eq!(spans[1], &json!({ "name": "request", "route": route, "id": 7, "dealership": "one" }));
        let another = "another \"dealership\":";
        assert_eq!(
            spans[2],
            &json!({ "name": "request", "route": route, "id": 7, "dealership": another, "user": true })
        );
        assert_eq!(spans[3], &json!({ "name": "bare" }));
    }
}

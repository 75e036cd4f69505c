use common::queue::Seek;
use maud::{Markup, html};
use serde::{Deserialize, Deserializer};

use super::{ROWS, text::link};

/// Which part of a list is asked for, by the id that it continues from: stays right while rows come and go.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(in crate::admin) struct Position {
    #[serde(default, deserialize_with = "lenient")]
    before: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    after: Option<i64>,
}

/// What is no id is no position: somebody has edited the address.
fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(String::deserialize(deserializer)?.parse().ok())
}

/// Rows to ask for: one more than are shown, to know whether there are others.
pub(super) fn limit() -> i64 {
    i64::try_from(ROWS + 1).unwrap_or(i64::MAX)
}

impl Position {
    pub(super) fn seek(self) -> Seek {
        match (self.before, self.after) {
            (Some(id), _) => Seek::OlderThan(id),
            (None, Some(id)) => Seek::NewerThan(id),
            (None, None) => Seek::Newest,
        }
    }

    /// Takes the row too many away, and returns links to what is newer and older than these.
    pub(super) fn pager<T>(self, rows: &mut Vec<T>, id: fn(&T) -> i64, path: &str, query: &[(&str, &str)]) -> Markup {
        let more = rows.len() > ROWS;
        let (newer, older) = match self.seek() {
            Seek::Newest => (false, more),
            Seek::OlderThan(_) => (true, more),
            Seek::NewerThan(_) => (more, true),
        };
        if more && matches!(self.seek(), Seek::NewerThan(_)) {
            rows.remove(0);
        } else {
            rows.truncate(ROWS);
        }
        let (first, last) = (rows.first().map(id), rows.last().map(id));
        let to = |name, id: i64| link(path, &[query, &[(name, &id.to_string())]].concat());
        let newer = first.filter(|_| newer).map(|id| to("after", id));
        let older = last.filter(|_| older).map(|id| to("before", id));
        if newer.is_none() && older.is_none() {
            return html! {};
        }
        html! {
            nav.pager aria-label="Pages" {
                @if newer.is_some() { a href=(link(path, query)) { "Newest" } }
                @if let Some(newer) = newer { a rel="prev" href=(newer) { "← Newer" } }
                @if let Some(older) = older { a rel="next" href=(older) { "Older →" } }
            }
        }
    }
}

//! Tables that become cards where there is no room for columns.

use maud::{Markup, html};

/// A column: its heading, and how its cells look.
pub(super) struct Column(pub(super) &'static str, pub(super) Look);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    /// To the right, with digits of one width.
    Number,
    /// Long text, which may break anywhere.
    Long,
}

impl Look {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Number => "number",
            Self::Long => "long",
        }
    }
}

/// A table, or what is said when there are no rows. Roles are spelled out, since browsers forget them once a table is laid
/// out as cards.
pub(super) fn table<const N: usize>(
    caption: &str,
    columns: &[Column; N],
    rows: impl Iterator<Item = [Markup; N]>,
    none: &str,
) -> Markup {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return html! { p.none { (none) } };
    }
    html! {
        table role="table" {
            caption.hidden { (caption) }
            thead role="rowgroup" {
                tr role="row" {
                    @for Column(name, look) in columns {
                        th role="columnheader" scope="col" class=(look.class()) { (name) }
                    }
                }
            }
            tbody role="rowgroup" {
                @for row in rows {
                    tr role="row" {
                        @for (cell, Column(name, look)) in row.iter().zip(columns) {
                            td role="cell" class=(look.class()) data-label=(name) { div { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

/// What is known about one thing.
pub(super) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl {
            @for (name, value) in facts {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

use common::lead_sources::Language;
use maud::{Markup, html};

use super::{layout, texts::Texts};

/// Of a form that does not exist or was switched off, which are not told apart.
pub fn closed(language: Language) -> Markup {
    let texts = Texts::of(language);
    plain(language, texts.closed, texts.closed_help)
}

/// Instead of a form, for a visitor who asked for too many. Whoever has written something gets the form back, with
/// [`FormNotice::Busy`](super::FormNotice::Busy).
pub fn crowded(language: Language) -> Markup {
    let texts = Texts::of(language);
    plain(language, texts.crowded, texts.wait)
}

fn plain(language: Language, heading: &str, help: &str) -> Markup {
    let content = html! {
        h1 { (heading) }
        p { (help) }
    };
    layout::document(language, heading, &html! {}, &content)
}

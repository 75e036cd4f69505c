use common::lead_sources::Language;
use maud::{DOCTYPE, Markup, html};

use super::assets::STYLE;

/// A whole page, whose styles and scripts are files: none is in the page itself.
pub(super) fn document(language: Language, title: &str, scripts: &Markup, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(language.as_str()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="stylesheet" href=(STYLE.address());
                (scripts)
            }
            body {
                main.norvalt { (content) }
            }
        }
    }
}

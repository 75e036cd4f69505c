use common::lead_sources::Language;
use maud::{Markup, html};

use super::{layout, texts::Texts};

/// Says that an inquiry has arrived, after a form that was posted without script.
pub fn thanks(dealership: &str, key: &str, language: Language) -> Markup {
    let texts = Texts::of(language);
    let content = html! {
        h1 { (texts.thanks) }
        p { (texts.named(texts.answer_follows, dealership)) }
        p { a href={ "/forms/" (key) } { (texts.another) } }
    };
    layout::document(language, texts.thanks, &html! {}, &content)
}

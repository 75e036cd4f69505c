use axum::{http::StatusCode, response::Response};
use common::lead_sources::Language;
use maud::{Markup, html};

use super::{layout, respond::form_page, texts::Texts};

/// Asks whether somebody wants no more messages.
pub fn unsubscribe(language: Language, tag: &str) -> Response {
    let texts = Texts::of(language);
    let content = html! {
        h1 { (texts.no_more) }
        p { (texts.no_more_help) }
        form method="post" action={ "/unsubscribe/" (tag) } { button type="submit" { (texts.no_more_button) } }
    };
    form_page(StatusCode::OK, layout::document(language, texts.no_more, &html! {}, &content), false, None)
}

/// Says that there will be none.
pub fn unsubscribed(language: Language) -> Markup {
    let texts = Texts::of(language);
    let content = html! {
        h1 { (texts.no_more_done) }
        p { (texts.no_more_done_help) }
    };
    layout::document(language, texts.no_more_done, &html! {}, &content)
}

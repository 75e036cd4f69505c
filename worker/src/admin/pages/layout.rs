use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use chrono::{DateTime, Utc};
use common::{audit::Operator, clock::Clock};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::admin::Admin;

const STYLE: &str = include_str!("style.css");
const PAGES: [(&str, &str); 4] =
    [("/", "Queue"), ("/jobs", "Jobs"), ("/deliveries", "Deliveries"), ("/history", "History")];

/// Who looks, and when.
pub(in crate::admin) struct Viewer {
    pub(super) operator: Operator,
    pub(super) now: DateTime<Utc>,
}

impl FromRequestParts<Admin> for Viewer {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, StatusCode> {
        // The guard has put it there, or the request would not be here.
        let operator = parts.extensions.get::<Operator>().cloned().ok_or(StatusCode::UNAUTHORIZED)?;
        let clock: &Clock = &admin.clock;
        Ok(Self { operator, now: clock.now() })
    }
}

/// A page of the section that begins with this path.
pub(super) fn page(section: &str, title: &str, viewer: &Viewer, content: &Markup) -> Markup {
    let signed_in = html! { span.operator { "Signed in as " b { (viewer.operator) } } };
    document(Some(section), title, &signed_in, content)
}

/// A page for somebody of whom nothing is known.
pub(super) fn bare(title: &str, content: &Markup) -> Markup {
    document(None, title, &html! {}, content)
}

fn document(section: Option<&str>, title: &str, signed_in: &Markup, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Norvalt" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.brand href="/" { "Norvalt" }
                    nav aria-label="Sections" {
                        @for (path, name) in PAGES {
                            a href=(path) aria-current=[(section == Some(path)).then_some("page")] { (name) }
                        }
                    }
                    (signed_in)
                }
                main id="main" { h1 { (title) } (content) }
                footer { "Version " (common::VERSION) " · times are UTC · " a href="/metrics" { "Metrics" } }
            }
        }
    }
}

/// A button that asks before it acts: opening it explains what will happen, the form inside does it.
pub(super) fn confirm(name: &str, explanation: &str, action: &str, fields: &Markup) -> Markup {
    html! {
        details.confirm {
            summary { (name) "…" }
            form method="post" action=(action) {
                p { (explanation) }
                (fields)
                button { (name) }
            }
        }
    }
}

/// Words to choose from, each a link, the present choice marked.
pub(super) fn tabs(label: &str, choices: impl Iterator<Item = (String, String, bool)>) -> Markup {
    html! {
        nav.tabs aria-label=(label) {
            @for (name, link, chosen) in choices {
                a href=(link) aria-current=[chosen.then_some("true")] { (name) }
            }
        }
    }
}

//! What operators see of the queue and of Clerk's events, and what they can do about it. Nothing personal: ids, roles and
//! reasons, but never the body of an event.

mod events;
mod jobs;
mod overview;

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chrono::{DateTime, SecondsFormat, Utc};
use common::{db, telemetry::chain};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Admin;

/// Rows on one page.
const ROWS: i64 = 100;
const STYLE: &str = include_str!("style.css");

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/", get(overview::show))
        .route("/jobs", get(jobs::list))
        .route("/jobs/retry", post(jobs::retry_all))
        .route("/jobs/{id}", get(jobs::show))
        .route("/jobs/{id}/retry", post(jobs::retry))
        .route("/jobs/{id}/cancel", post(jobs::cancel))
        .route("/events", get(events::list))
        .route("/events/{id}/replay", post(events::replay))
}

/// Why a page cannot be shown.
pub(super) enum Trouble {
    NotThere,
    Db(db::Error),
}

impl From<db::Error> for Trouble {
    fn from(error: db::Error) -> Self {
        Self::Db(error)
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        match self {
            Self::NotThere => {
                (StatusCode::NOT_FOUND, page("Not there", &html! { p { "It is not there, or not any more." } }))
            }
            Self::Db(error) => {
                tracing::error!(error = chain(&error), "an operators' page could not be shown");
                let said = html! { p { "The database did not answer; the log says why. Try again in a moment." } };
                (StatusCode::SERVICE_UNAVAILABLE, page("Not now", &said))
            }
        }
        .into_response()
    }
}

fn page(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Norvalt worker" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    strong { "Norvalt worker" }
                    nav {
                        a href="/" { "Queue" }
                        a href="/jobs?state=dead" { "Dead jobs" }
                        a href="/jobs" { "All jobs" }
                        a href="/events" { "Clerk events" }
                        a href="/metrics" { "Metrics" }
                    }
                }
                main { h1 { (title) } (content) }
                footer { "Version " (common::VERSION) ". All times are UTC." }
            }
        }
    }
}

/// Words to choose from, each a link, the present choice not one.
fn choices(words: &[&str], chosen: &str, link: impl Fn(&str) -> String) -> Markup {
    html! {
        p.choices {
            @for word in std::iter::once("").chain(words.iter().copied()) {
                @let name = if word.is_empty() { "all" } else { word };
                @if word == chosen { b { (name) } } @else { a href=(link(word)) { (name) } }
                " "
            }
        }
    }
}

fn state(state: &str) -> Markup {
    html! { span class={ "state " (state) } { (state) } }
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true).replace('T', " ").replace('Z', "")
}

/// As a person says it.
fn age(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "now".to_owned(),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3_600.0),
    }
}

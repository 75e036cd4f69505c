use axum::extract::State;
use common::{clerk, db::Db, queue};
use maud::{Markup, html};

use super::{Trouble, age, page};

/// The queue by kind of job, and what waits for a person.
pub(in crate::admin) async fn show(State(db): State<Db>) -> Result<Markup, Trouble> {
    let mut tx = db.system().await?;
    let stats = queue::stats(&mut tx).await?;
    let dead_events = clerk::count_dead(&mut tx).await?;
    let dead_jobs: i64 = stats.iter().map(|stats| stats.dead).sum();
    Ok(page(
        "Queue",
        &html! {
            @if dead_jobs + dead_events > 0 {
                p {
                    "Waiting for you: "
                    a href="/jobs?state=dead" { "dead jobs: " (dead_jobs) } ", "
                    a href="/events?status=dead" { "dead events: " (dead_events) } "."
                }
            } @else {
                p { "Nothing waits for a person." }
            }
            div.scroll { table {
                tr {
                    th { "Queue" } th { "Kind" }
                    @for name in ["available", "scheduled", "retryable", "running", "dead"] { th.number { (name) } }
                    th.number { "oldest available" }
                }
                @for s in &stats {
                    tr {
                        td { (s.queue) }
                        td { a href={ "/jobs?kind=" (s.kind) } { (s.kind) } }
                        @for (name, count) in [("available", s.available), ("scheduled", s.scheduled), ("retryable", s.retryable), ("running", s.running), ("dead", s.dead)] {
                            td.number { @if count == 0 { "0" } @else { a href={ "/jobs?kind=" (s.kind) "&state=" (name) } { (count) } } }
                        }
                        td.number { (age(s.oldest_available)) }
                    }
                }
            } }
            @if stats.is_empty() { p { "Nothing is in the queue that is not over." } }
        },
    ))
}

use axum::{
    extract::{Path, Query, State},
    response::Redirect,
};
use common::{
    clerk::{self, EVENT_STATUSES, EventFilter},
    db::Db,
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{ROWS, Trouble, choices, page, state, time};

/// Which events are asked for. Blank is all.
#[derive(Deserialize)]
pub(in crate::admin) struct Asked {
    #[serde(default)]
    status: String,
    #[serde(default)]
    about: String,
}

/// The newest events that are asked for, without their bodies.
pub(in crate::admin) async fn list(State(db): State<Db>, Query(asked): Query<Asked>) -> Result<Markup, Trouble> {
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let filter = EventFilter { id: None, status: given(&asked.status), about: given(&asked.about) };
    let events = clerk::events(&mut db.system().await?, &filter, ROWS).await?;
    Ok(page(
        "Clerk events",
        &html! {
            (choices(&EVENT_STATUSES, &asked.status, |status| format!("/events?status={status}")))
            form method="get" action="/events" {
                input name="about" placeholder="user_…, org_… or orgmem_…" size="36" value=(asked.about);
                " " button { "Look for it" }
            }
            div.scroll { table {
                tr { th { "Event" } th { "Received" } th { "Type" } th { "Status" } th { "Outcome" } th { "Changed" } th {} }
                @for event in &events {
                    tr {
                        td { (event.id) }
                        td.quiet { (time(event.received_at)) @if event.repetitions > 0 { br; "and " (event.repetitions) " times more" } }
                        td { (event.event_type) }
                        td { (state(&event.status)) }
                        td.wide { (event.outcome.as_deref().unwrap_or_default()) }
                        td.wide { @for effect in &event.effects { (effect) br; } }
                        td {
                            @if event.body.is_some() && (event.status != "pending" || event.outcome.is_some()) {
                                form method="post" action={ "/events/" (event.id) "/replay" } { button { "Process again" } }
                            }
                        }
                    }
                }
            } }
            @if events.is_empty() { p { "None." } }
        },
    ))
}

/// Has an event processed again. What is known already does not change.
pub(in crate::admin) async fn replay(State(db): State<Db>, Path(id): Path<i64>) -> Result<Redirect, Trouble> {
    let mut tx = db.system().await?;
    let replayed = clerk::replay(&mut tx, &EventFilter { id: Some(id), ..EventFilter::default() }).await?;
    tx.commit().await?;
    tracing::info!(events = ?replayed, "an operator had a Clerk event processed again");
    Ok(Redirect::to("/events"))
}

use axum::extract::{Path, Query, State};
use common::{
    audit::{Subject, actions_on},
    clerk::{self, EVENT_STATUSES, EventFilter, StoredEvent},
    db::Db,
    queue::{self, JobFilter, JobRecord, Seek},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    PageError,
    history::actions_table,
    jobs::jobs_table,
    layout::{Viewer, confirm, page, tabs},
    notice::Notice,
    pager::{Position, limit},
    table::{Column, Look, facts, table},
    text::{badge, count, exact, link, moment},
};

/// Jobs that are shown of one event, at most: one for each time that it was processed again.
const JOBS: i64 = 20;

/// Which events are asked for. Blank is all.
#[derive(Deserialize)]
pub(in crate::admin) struct Params {
    #[serde(default)]
    status: String,
    #[serde(default)]
    about: String,
}

impl Params {
    fn query(&self) -> [(&str, &str); 2] {
        [("status", &self.status), ("about", self.about.trim())]
    }
}

/// The events that are asked for, newest first, without their bodies.
pub(in crate::admin) async fn list(
    State(db): State<Db>,
    Query(params): Query<Params>,
    Query(position): Query<Position>,
    viewer: Viewer,
) -> Result<Markup, PageError> {
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let filter =
        EventFilter { id: None, status: given(&params.status), about: given(&params.about), seek: position.seek() };
    let mut tx = db.system_for_request().await?;
    let mut events = clerk::events(&mut tx, &filter, limit()).await?;
    let stuck = clerk::stuck(&mut tx).await?;
    let pager = position.pager(&mut events, |event| event.id, "/events", &params.query());
    let statuses = std::iter::once("").chain(EVENT_STATUSES).map(|status| {
        let number = match status {
            "dead" => format!(" {}", stuck.dead),
            "quarantined" => format!(" {}", stuck.quarantined),
            _ => String::new(),
        };
        let name = if status.is_empty() { "all" } else { status };
        let to = link("/events", &[("status", status), ("about", params.about.trim())]);
        (format!("{name}{number}"), to, params.status == status)
    });
    let content = html! {
        (tabs("Statuses", statuses))
        form.filters method="get" action="/events" {
            @if !params.status.is_empty() { input type="hidden" name="status" value=(params.status); }
            label.wide { "About" input name="about" value=(params.about.trim()) placeholder="user_…, org_… or orgmem_…" spellcheck="false" autocomplete="off"; }
            button { "Filter" }
            @if !params.about.trim().is_empty() { a href=(link("/events", &[("status", &params.status)])) { "Clear" } }
        }
        (events_table(&events, &viewer))
        (pager)
    };
    Ok(page("/events", "Clerk events", &viewer, &content))
}

fn events_table(events: &[StoredEvent], viewer: &Viewer) -> Markup {
    let columns = [
        Column("Event", Look::Plain),
        Column("Received", Look::Plain),
        Column("Type", Look::Long),
        Column("Status", Look::Plain),
        Column("Outcome", Look::Long),
        Column("Changed", Look::Long),
    ];
    let rows = events.iter().map(|event| {
        [
            html! { a href={ "/events/" (event.id) } { (event.id) } },
            html! { (moment(event.received_at, viewer.now)) @if event.repetitions > 0 { br; "and " (if event.repetitions == 1 { "once".to_owned() } else { format!("{} times", event.repetitions) }) " more" } },
            html! { (event.event_type) },
            badge(&event.status),
            html! { @if let Some(outcome) = &event.outcome { div.clamp title=(outcome) { (outcome) } } },
            effects(event),
        ]
    });
    table("Events", &columns, rows, "No event is like that.")
}

fn effects(event: &StoredEvent) -> Markup {
    html! { @for effect in &event.effects { div { (effect) } } }
}

/// One event with what it changed and the jobs that process it.
pub(in crate::admin) async fn show(
    State(db): State<Db>,
    Path(id): Path<i64>,
    Query(notice): Query<Notice>,
    viewer: Viewer,
) -> Result<Markup, PageError> {
    let mut tx = db.system_for_request().await?;
    let filter = EventFilter { id: Some(id), ..EventFilter::default() };
    let event = clerk::events(&mut tx, &filter, 1).await?.pop().ok_or(PageError::NotFound)?;
    let its_jobs = JobFilter { event_id: Some(id), ..JobFilter::default() };
    let jobs = queue::list(&mut tx, &its_jobs, Seek::Newest, JOBS).await?;
    let history = actions_on(&mut tx, Subject::Events(&[id])).await?;
    let content = html! {
        (notice.show())
        p.lead { (badge(&event.status)) " " (event.event_type) }
        div.actions { (replay(&event)) }
        (event_facts(&event, &jobs, &viewer))
        h2 { "Jobs" }
        (jobs_table("Jobs that process this event", &jobs, "None, or they were deleted after they were done.", &viewer))
        h2 { "What operators did" }
        (actions_table(&history, &viewer))
    };
    Ok(page("/events", &format!("Event {id}"), &viewer, &content))
}

fn replay(event: &StoredEvent) -> Markup {
    let explanation = match event.status.as_str() {
        _ if event.body.is_none() => return html! {},
        "pending" if event.outcome.is_none() => return html! {},
        "quarantined" => {
            "It names another Clerk instance than ours, and is applied all the same. Do it only if you know why."
        }
        "dead" => "It stays dead unless this release can read it.",
        _ => "What is known already does not change.",
    };
    confirm("Process again", explanation, &format!("/events/{}/replay", event.id), &html! {})
}

fn event_facts(event: &StoredEvent, jobs: &[JobRecord], viewer: &Viewer) -> Markup {
    let time = |at| html! { (exact(at)) " (" (moment(at, viewer.now)) ")" };
    let mut known = vec![("Received", time(event.received_at))];
    if event.repetitions > 0 {
        let last = event.last_repeated_at.map(|at| html! { ", last " (moment(at, viewer.now)) }).unwrap_or_default();
        known.push(("Came again", html! { (count(event.repetitions, "time", "times")) (last) }));
    }
    if let Some(processed) = event.processed_at {
        known.push(("Processed", time(processed)));
    }
    if let Some(outcome) = &event.outcome {
        known.push(("Outcome", html! { (outcome) }));
    }
    if !event.effects.is_empty() {
        known.push(("Changed", effects(event)));
    }
    if let Some(user) = &event.user_id {
        known.push(("About", html! { a href=(link("/events", &[("about", user)])) { (user) } }));
    }
    known.push(("Svix message", html! { code { (event.svix_id) } }));
    if let Some(trace) = jobs.last().and_then(JobRecord::trace_id) {
        known.push(("Trace", html! { a href=(link("/jobs", &[("trace", trace)])) { (trace) } }));
    }
    if event.body.is_none() {
        known.push(("Content", html! { "erased, or never kept" }));
    }
    facts(&known)
}

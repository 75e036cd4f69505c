use axum::extract::{Path, Query, State};
use common::{
    audit::{Subject, actions_on},
    db::Db,
    deliveries::{self, DeliveryFilter, LedgerRow, Status, StoredDelivery},
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

/// Jobs that are shown of one delivery, at most: one for each time that it was processed again.
const JOBS: i64 = 20;

/// Days of the ledger.
const LEDGER_DAYS: i64 = 7;

/// Which deliveries are asked for. Blank is all.
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

/// The deliveries that are asked for, newest first, without their bodies.
pub(in crate::admin) async fn list(
    State(db): State<Db>,
    Query(params): Query<Params>,
    Query(position): Query<Position>,
    viewer: Viewer,
) -> Result<Markup, PageError> {
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let filter = DeliveryFilter {
        id: None,
        source: None,
        status: params.status.parse().ok(),
        about: given(&params.about),
        seek: position.seek(),
    };
    let mut tx = db.system_for_request().await?;
    let mut found = deliveries::list(&mut tx, &filter, limit()).await?;
    let stuck = deliveries::stuck(&mut tx).await?;
    let days = deliveries::ledger_of_all(&mut tx, LEDGER_DAYS).await?;
    let pager = position.pager(&mut found, |delivery| delivery.id, "/deliveries", &params.query());
    let statuses = std::iter::once(None).chain(Status::ALL.map(Some)).map(|status| {
        let number = match status {
            Some(Status::Dead) => format!(" {}", stuck.dead),
            Some(Status::Quarantined) => format!(" {}", stuck.quarantined),
            Some(Status::Parked) => format!(" {}", stuck.parked),
            _ => String::new(),
        };
        let name = status.map_or("all", Status::as_str);
        let status = status.map_or("", Status::as_str);
        let to = link("/deliveries", &[("status", status), ("about", params.about.trim())]);
        (format!("{name}{number}"), to, params.status == status)
    });
    let content = html! {
        (tabs("Statuses", statuses))
        form.filters method="get" action="/deliveries" {
            @if !params.status.is_empty() { input type="hidden" name="status" value=(params.status); }
            label.wide { "About" input name="about" value=(params.about.trim()) placeholder="user_…, org_… or orgmem_…" spellcheck="false" autocomplete="off"; }
            button { "Filter" }
            @if !params.about.trim().is_empty() { a href=(link("/deliveries", &[("status", &params.status)])) { "Clear" } }
        }
        (deliveries_table(&found, &viewer))
        (pager)
        h2 { "What came in the last seven days" }
        (ledger(&days))
    };
    Ok(page("/deliveries", "Deliveries", &viewer, &content))
}

/// What came from each source, and that all of it is accounted for.
fn ledger(rows: &[LedgerRow]) -> Markup {
    let columns = [
        Column("Day", Look::Plain),
        Column("Source", Look::Plain),
        Column("Received", Look::Number),
        Column("Processed", Look::Number),
        Column("Ignored", Look::Number),
        Column("Parked", Look::Number),
        Column("Quarantined", Look::Number),
        Column("Dead", Look::Number),
        Column("Pending", Look::Number),
    ];
    let cells = rows.iter().map(|row| {
        let counts = [row.received, row.processed, row.ignored, row.parked, row.quarantined, row.dead, row.pending];
        let [received, processed, ignored, parked, quarantined, dead, pending] = counts.map(|count| html! { (count) });
        let (day, source) = (html! { (row.day) }, html! { (row.source.as_str()) });
        [day, source, received, processed, ignored, parked, quarantined, dead, pending]
    });
    table("Ledger, days in Norwegian time", &columns, cells, "Nothing came.")
}

fn deliveries_table(found: &[StoredDelivery], viewer: &Viewer) -> Markup {
    let columns = [
        Column("Delivery", Look::Plain),
        Column("Received", Look::Plain),
        Column("Source", Look::Plain),
        Column("Type", Look::Long),
        Column("Status", Look::Plain),
        Column("Outcome", Look::Long),
        Column("Changed", Look::Long),
    ];
    let rows = found.iter().map(|delivery| {
        [
            html! { a href={ "/deliveries/" (delivery.id) } { (delivery.id) } },
            html! { (moment(delivery.received_at, viewer.now)) @if delivery.repetitions > 0 { br; "and " (if delivery.repetitions == 1 { "once".to_owned() } else { format!("{} times", delivery.repetitions) }) " more" } },
            html! { (delivery.source.as_str()) },
            html! { (delivery.event_type) },
            badge(delivery.status.as_str()),
            html! { @if let Some(outcome) = &delivery.outcome { div.clamp title=(outcome) { (outcome) } } },
            effects(delivery),
        ]
    });
    table("Deliveries", &columns, rows, "No delivery is like that.")
}

fn effects(delivery: &StoredDelivery) -> Markup {
    html! { @for effect in &delivery.effects { div { (effect) } } }
}

/// One delivery with what it changed and the jobs that process it.
pub(in crate::admin) async fn show(
    State(db): State<Db>,
    Path(id): Path<i64>,
    Query(notice): Query<Notice>,
    viewer: Viewer,
) -> Result<Markup, PageError> {
    let mut tx = db.system_for_request().await?;
    let filter = DeliveryFilter { id: Some(id), ..DeliveryFilter::default() };
    let delivery = deliveries::list(&mut tx, &filter, 1).await?.pop().ok_or(PageError::NotFound)?;
    let its_jobs = JobFilter { delivery_id: Some(id), ..JobFilter::default() };
    let jobs = queue::list(&mut tx, &its_jobs, Seek::Newest, JOBS).await?;
    let history = actions_on(&mut tx, Subject::Deliveries(&[id])).await?;
    let content = html! {
        (notice.show())
        p.lead { (badge(delivery.status.as_str())) " " (delivery.event_type) }
        div.actions { (replay(&delivery)) }
        (delivery_facts(&delivery, &jobs, &viewer))
        h2 { "Jobs" }
        (jobs_table("Jobs that process this delivery", &jobs, "None, or they were deleted after they were done.", &viewer))
        h2 { "What operators did" }
        (actions_table(&history, &viewer))
    };
    Ok(page("/deliveries", &format!("Delivery {id}"), &viewer, &content))
}

fn replay(delivery: &StoredDelivery) -> Markup {
    let explanation = match delivery.status {
        _ if delivery.body.is_none() => return html! {},
        Status::Pending if delivery.outcome.is_none() => return html! {},
        Status::Quarantined => {
            "It names another Clerk instance than ours, and is applied all the same. Do it only if you know why."
        }
        Status::Dead => "It stays dead unless this release can read it.",
        _ => "What is known already does not change.",
    };
    confirm("Process again", explanation, &format!("/deliveries/{}/replay", delivery.id), &html! {})
}

fn delivery_facts(delivery: &StoredDelivery, jobs: &[JobRecord], viewer: &Viewer) -> Markup {
    let time = |at| html! { (exact(at)) " (" (moment(at, viewer.now)) ")" };
    let mut known = vec![("Received", time(delivery.received_at))];
    if delivery.repetitions > 0 {
        let last = delivery.last_repeated_at.map(|at| html! { ", last " (moment(at, viewer.now)) }).unwrap_or_default();
        known.push(("Came again", html! { (count(delivery.repetitions, "time", "times")) (last) }));
    }
    if let Some(processed) = delivery.processed_at {
        known.push(("Processed", time(processed)));
    }
    if let Some(outcome) = &delivery.outcome {
        known.push(("Outcome", html! { (outcome) }));
    }
    if !delivery.effects.is_empty() {
        known.push(("Changed", effects(delivery)));
    }
    if let Some(subject) = &delivery.subject {
        known.push(("About", html! { a href=(link("/deliveries", &[("about", subject)])) { (subject) } }));
    }
    known.push(("Source", html! { (delivery.source.as_str()) ": " code { (delivery.external_id) } }));
    if let Some(trace) = jobs.last().and_then(JobRecord::trace_id) {
        known.push(("Trace", html! { a href=(link("/jobs", &[("trace", trace)])) { (trace) } }));
    }
    if delivery.body.is_none() {
        known.push(("Content", html! { "erased, or never kept" }));
    }
    facts(&known)
}

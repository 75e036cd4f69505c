use std::collections::BTreeMap;

use axum::extract::{Query, State};
use common::{
    db::Db,
    deliveries::{self, Stuck},
    jobs::KINDS,
    queue::{self, PausedQueue, Stats, WorkerRecord},
};
use maud::{Markup, html};

use super::{
    PageError,
    layout::{Viewer, confirm, page},
    notice::Notice,
    table::{Column, Look, table},
    text::{age, badge, count, link, moment, segment},
};

type Count = fn(&Stats) -> i64;

/// The states that have a column of their own.
const LIVE: [(&str, Count); 5] = [
    ("available", |stats| stats.available),
    ("scheduled", |stats| stats.scheduled),
    ("retryable", |stats| stats.retryable),
    ("running", |stats| stats.running),
    ("dead", |stats| stats.dead),
];

/// What waits for a person, the queues by kind of job, and the workers.
pub(in crate::admin) async fn show(
    State(db): State<Db>,
    Query(notice): Query<Notice>,
    viewer: Viewer,
) -> Result<Markup, PageError> {
    let mut tx = db.system_for_request().await?;
    let mut stats = queue::stats(&mut tx).await?;
    let idle = KINDS.iter().map(|(kind, queue)| Stats::none(queue, kind));
    let idle: Vec<_> = idle.filter(|idle| !stats.iter().any(|stats| stats.is_like(idle))).collect();
    stats.extend(idle);
    stats.sort_by(|a, b| (&a.queue, &a.kind).cmp(&(&b.queue, &b.kind)));
    let paused = queue::paused(&mut tx).await?;
    let workers = queue::workers(&mut tx).await?;
    let stuck = deliveries::stuck(&mut tx).await?;
    let mut names: Vec<&str> = stats.iter().map(|stats| stats.queue.as_str()).collect();
    names.extend(paused.iter().map(|queue| queue.name.as_str()));
    names.sort_unstable();
    names.dedup();
    let content = html! {
        (notice.show())
        (attention(&stats, &paused, &workers, stuck, &viewer))
        @for name in names {
            (one_queue(name, &stats, paused.iter().find(|queue| queue.name == name), &viewer))
        }
        h2 { "Workers" }
        (workers_table(&workers, &viewer))
    };
    Ok(page("/", "Queue", &viewer, &content))
}

fn attention(
    stats: &[Stats],
    paused: &[PausedQueue],
    workers: &[WorkerRecord],
    stuck: Stuck,
    viewer: &Viewer,
) -> Markup {
    let dead: i64 = stats.iter().map(|stats| stats.dead).sum();
    let there = workers.iter().any(|worker| !worker.missing);
    let deliveries = [
        (stuck.dead, "dead delivery", "dead deliveries", "dead"),
        (stuck.quarantined, "quarantined delivery", "quarantined deliveries", "quarantined"),
        (stuck.parked, "parked delivery", "parked deliveries", "parked"),
        (stuck.abandoned, "delivery without a job", "deliveries without a job", "pending"),
    ];
    let deliveries: Vec<_> = deliveries.iter().filter(|(number, ..)| *number > 0).collect();
    let unserved = unserved(stats, workers);
    if dead == 0 && deliveries.is_empty() && paused.is_empty() && unserved.is_empty() && there {
        return html! { p.notice.quiet { "Nothing waits for a person." } };
    }
    html! {
        section.attention aria-label="Waits for a person" {
            ul {
                @if !there { li { "No worker runs: nothing is being done. Start one." } }
                @if there {
                    @for (queue, jobs) in unserved {
                        li { "No worker takes jobs from queue " b { (queue) } ": " (count(jobs, "job waits", "jobs wait")) "." }
                    }
                }
                @for queue in paused {
                    li { "Queue " b { (queue.name) } " is paused by " (queue.paused_by) ", " (moment(queue.paused_at, viewer.now)) "." }
                }
                @if dead > 0 { li { a href="/jobs?state=dead" { (count(dead, "dead job", "dead jobs")) } } }
                @for (number, one, several, status) in deliveries {
                    li { a href=(link("/deliveries", &[("status", status)])) { (count(*number, one, several)) } }
                }
            }
        }
    }
}

/// The queues with available jobs that no worker takes, and how many those are.
fn unserved<'a>(stats: &'a [Stats], workers: &[WorkerRecord]) -> BTreeMap<&'a str, i64> {
    let served = |queue: &String| workers.iter().any(|worker| !worker.missing && worker.queues.contains(queue));
    let mut unserved = BTreeMap::new();
    for stats in stats.iter().filter(|stats| stats.available > 0 && !served(&stats.queue)) {
        *unserved.entry(stats.queue.as_str()).or_default() += stats.available;
    }
    unserved
}

fn one_queue(name: &str, stats: &[Stats], paused: Option<&PausedQueue>, viewer: &Viewer) -> Markup {
    let path = format!("/queues/{}", segment(name));
    let columns = [
        Column("Kind", Look::Plain),
        Column("Available", Look::Number),
        Column("Scheduled", Look::Number),
        Column("Retryable", Look::Number),
        Column("Running", Look::Number),
        Column("Dead", Look::Number),
        Column("Oldest available", Look::Number),
    ];
    let rows = stats.iter().filter(|stats| stats.queue == name).map(|stats| {
        let kind = html! { a href=(link("/jobs", &[("kind", &stats.kind), ("queue", name)])) { (stats.kind) } };
        let [available, scheduled, retryable, running, dead] =
            LIVE.map(|(state, number)| number_in(state, number(stats), stats));
        [
            kind,
            available,
            scheduled,
            retryable,
            running,
            dead,
            html! { (stats.oldest_available.map(age).unwrap_or_default()) },
        ]
    });
    html! {
        section.queue aria-label={ "Queue " (name) } {
            div.heading {
                h2 { "Queue " (name) @if paused.is_some() { " " (badge("paused")) } }
                @if let Some(paused) = paused {
                    (confirm("Resume", "Its jobs begin again, in every worker.", &format!("{path}/resume"), &html! {}))
                    p { "Paused by " b { (paused.paused_by) } ", " (moment(paused.paused_at, viewer.now)) @if let Some(reason) = &paused.reason { ": " (reason) } }
                } @else {
                    (confirm(
                        "Pause",
                        "No more of its jobs begin, in any worker, until somebody resumes it. Those that run go on; new ones wait.",
                        &format!("{path}/pause"),
                        &html! { label { "Why (others will see it) " input name="reason" maxlength="200" autocomplete="off"; } },
                    ))
                }
            }
            (table(&format!("Jobs of queue {name} by kind and state"), &columns, rows, "No jobs."))
        }
    }
}

fn number_in(state: &str, number: i64, of: &Stats) -> Markup {
    if number == 0 {
        return html! { span.zero { "0" } };
    }
    let to = link("/jobs", &[("state", state), ("kind", &of.kind), ("queue", &of.queue)]);
    html! { a class=[(state == "dead").then_some("alarm")] href=(to) { (number) } }
}

fn workers_table(workers: &[WorkerRecord], viewer: &Viewer) -> Markup {
    let columns = [
        Column("Process", Look::Plain),
        Column("State", Look::Plain),
        Column("Queues", Look::Long),
        Column("Running", Look::Number),
        Column("Version", Look::Plain),
        Column("Started", Look::Plain),
        Column("Seen", Look::Plain),
    ];
    let rows = workers.iter().map(|worker| {
        [
            html! { (worker.host) " · " (worker.pid) },
            badge(if worker.missing { "missing" } else { "there" }),
            html! { (worker.queues.join(", ")) },
            html! { (worker.running) " of " (worker.slots) },
            html! { (worker.version) },
            moment(worker.started_at, viewer.now),
            moment(worker.seen_at, viewer.now),
        ]
    });
    table("Worker processes", &columns, rows, "None was seen within the last hour.")
}

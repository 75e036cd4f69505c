use axum::extract::{Path, Query, State};
use common::{
    audit::{Subject, actions_on},
    db::Db,
    ids::DealershipId,
    jobs::KINDS,
    queue::{self, JobFilter, JobRecord, STATES, Seek, Stats},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    PageError,
    actions::only,
    history::actions_table,
    layout::{Viewer, confirm, page, tabs},
    notice::Notice,
    pager::{Position, limit},
    table::{Column, Look, facts, table},
    text::{badge, count, exact, link, moment},
};

/// Which jobs are asked for. Blank is all.
#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::admin) struct Params {
    #[serde(default)]
    state: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    queue: String,
    #[serde(default)]
    dealership: String,
    #[serde(default)]
    trace: String,
}

impl Params {
    /// The same in another state.
    pub(super) fn link(&self, state: &str) -> String {
        link("/jobs", &Self { state: state.to_owned(), ..self.clone() }.query())
    }

    fn query(&self) -> [(&str, &str); 5] {
        let Self { state, kind, queue, dealership, trace } = self;
        [("state", state), ("kind", kind), ("queue", queue), ("dealership", dealership.trim()), ("trace", trace)]
    }

    /// An error when the dealership cannot be one.
    pub(super) fn filter(&self) -> Result<JobFilter, uuid::Error> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let dealership = given(&self.dealership).map(|id| id.parse::<DealershipId>()).transpose()?;
        Ok(JobFilter {
            state: given(&self.state),
            kind: given(&self.kind),
            queue: given(&self.queue),
            dealership,
            trace_id: given(&self.trace),
            ..JobFilter::default()
        })
    }

    /// How many jobs there are in a state, as far as the filters have been counted.
    fn number(&self, stats: &[Stats], wanted: &str) -> Option<i64> {
        if !self.dealership.trim().is_empty() || !self.trace.is_empty() {
            return None;
        }
        let meant = |stats: &&Stats| {
            (self.kind.is_empty() || stats.kind == self.kind) && (self.queue.is_empty() || stats.queue == self.queue)
        };
        let number = |stats: &Stats| match wanted {
            "available" => Some(stats.available),
            "scheduled" => Some(stats.scheduled),
            "retryable" => Some(stats.retryable),
            "running" => Some(stats.running),
            "dead" => Some(stats.dead),
            _ => None,
        };
        STATES.iter().find(|known| **known == wanted && !matches!(**known, "done" | "cancelled"))?;
        Some(stats.iter().filter(meant).filter_map(number).sum())
    }
}

/// The jobs that are asked for, newest first.
pub(in crate::admin) async fn list(
    State(db): State<Db>,
    Query(params): Query<Params>,
    Query(position): Query<Position>,
    Query(notice): Query<Notice>,
    viewer: Viewer,
) -> Result<Markup, PageError> {
    let mut tx = db.system_for_request().await?;
    let stats = queue::stats(&mut tx).await?;
    let filter = params.filter();
    let mut jobs = match &filter {
        Ok(filter) => queue::list(&mut tx, filter, position.seek(), limit()).await?,
        Err(_) => Vec::new(),
    };
    let pager = position.pager(&mut jobs, |job| job.id, "/jobs", &params.query());
    let content = html! {
        (notice.show())
        (states(&params, &stats))
        (filters(&params, &stats))
        @if filter.is_err() { p.notice.caution role="alert" { "A dealership's id is a UUID, such as 0192f0c1-5b7e-7000-8000-000000000001." } }
        @if params.state == "dead" && !jobs.is_empty() { (retry_all(&params, &stats)) }
        (jobs_table("Jobs", &jobs, "No job is like that.", &viewer))
        (pager)
    };
    Ok(page("/jobs", "Jobs", &viewer, &content))
}

fn states(params: &Params, stats: &[Stats]) -> Markup {
    tabs(
        "States",
        std::iter::once("").chain(STATES).map(|state| {
            let name = if state.is_empty() { "all" } else { state };
            let number = params.number(stats, state).map(|number| format!(" {number}")).unwrap_or_default();
            (format!("{name}{number}"), params.link(state), params.state == state)
        }),
    )
}

fn filters(params: &Params, stats: &[Stats]) -> Markup {
    let known =
        |constant: fn(&(&'static str, &'static str)) -> &'static str, found: fn(&Stats) -> &str, chosen: &str| {
            let mut names: Vec<String> = KINDS.iter().map(|kind| constant(kind).to_owned()).collect();
            names.extend(stats.iter().map(|stats| found(stats).to_owned()));
            names.push(chosen.to_owned());
            names.retain(|name| !name.is_empty());
            names.sort_unstable();
            names.dedup();
            names
        };
    let kinds = known(|(kind, _)| kind, |stats| &stats.kind, &params.kind);
    let queues = known(|(_, queue)| queue, |stats| &stats.queue, &params.queue);
    html! {
        form.filters method="get" action="/jobs" {
            @if !params.state.is_empty() { input type="hidden" name="state" value=(params.state); }
            label { "Kind" (select("kind", &kinds, &params.kind)) }
            label { "Queue" (select("queue", &queues, &params.queue)) }
            label { "Dealership" input name="dealership" value=(params.dealership.trim()) placeholder="any" spellcheck="false" autocomplete="off"; }
            label { "Trace" input name="trace" value=(params.trace) placeholder="any" spellcheck="false" autocomplete="off"; }
            button { "Filter" }
            @if params.query().iter().any(|(name, value)| *name != "state" && !value.is_empty()) {
                a href=(link("/jobs", &[("state", &params.state)])) { "Clear" }
            }
        }
    }
}

fn select(name: &str, options: &[String], chosen: &str) -> Markup {
    html! {
        select name=(name) {
            option value="" { "any" }
            @for option in options { option value=(option) selected[option == chosen] { (option) } }
        }
    }
}

fn retry_all(params: &Params, stats: &[Stats]) -> Markup {
    let number = params.number(stats, "dead");
    let jobs =
        number.map_or_else(|| "all of these dead jobs".to_owned(), |number| count(number, "dead job", "dead jobs"));
    let explanation = format!("Runs {jobs} again, with all their attempts. Do it once the cause is fixed.");
    let fields = html! {
        @for (name, value) in params.query() {
            @if !value.is_empty() { input type="hidden" name=(name) value=(value); }
        }
    };
    html! { div.actions { (confirm("Retry all", &explanation, "/jobs/retry", &fields)) } }
}

/// Jobs, as a table.
pub(super) fn jobs_table(caption: &str, jobs: &[JobRecord], none: &str, viewer: &Viewer) -> Markup {
    let columns = [
        Column("Job", Look::Plain),
        Column("Kind", Look::Plain),
        Column("State", Look::Plain),
        Column("Attempts", Look::Number),
        Column("When", Look::Plain),
        Column("Last error", Look::Long),
    ];
    let rows = jobs.iter().map(|job| {
        [
            html! { a href={ "/jobs/" (job.id) } { (job.id) } },
            html! { (job.kind) },
            badge(&job.state),
            html! { (job.attempts) " of " (job.max_attempts) },
            moment(job.finished_at.unwrap_or(job.run_at), viewer.now),
            html! { @if let Some(error) = job.last_error() { div.clamp title=(error) { (error) } } },
        ]
    });
    table(caption, &columns, rows, none)
}

/// One job with its payload and what became of each attempt.
pub(in crate::admin) async fn show(
    State(db): State<Db>,
    Path(id): Path<i64>,
    Query(notice): Query<Notice>,
    viewer: Viewer,
) -> Result<Markup, PageError> {
    let mut tx = db.system_for_request().await?;
    let job = queue::list(&mut tx, &only(id), Seek::Newest, 1).await?.pop().ok_or(PageError::NotFound)?;
    let history = actions_on(&mut tx, Subject::Jobs(&[id])).await?;
    let content = html! {
        (notice.show())
        p.lead { (badge(&job.state)) " " (job.kind) ", attempt " (job.attempts) " of " (job.max_attempts) }
        (job_actions(&job))
        (job_facts(&job, &viewer))
        h2 { "Errors" }
        (errors(&job))
        h2 { "Payload" }
        pre tabindex="0" { (job.payload.get()) }
        h2 { "What operators did" }
        (actions_table(&history, &viewer))
    };
    Ok(page("/jobs", &format!("Job {id}"), &viewer, &content))
}

fn job_actions(job: &JobRecord) -> Markup {
    let to = |action: &str| format!("/jobs/{}/{action}", job.id);
    html! {
        div.actions {
            @match job.state.as_str() {
                "dead" => (confirm("Retry", "The job runs again, with all its attempts. Do it once the cause is fixed.", &to("retry"), &html! {})),
                "available" | "scheduled" | "retryable" => (confirm("Cancel", "The job never runs. This cannot be undone.", &to("cancel"), &html! {})),
                "running" => (confirm(
                    "Cancel",
                    "Its worker aborts it within a second, and what it did in its transaction is rolled back. This cannot be undone.",
                    &to("cancel"),
                    &html! {},
                )),
                _ => "",
            }
        }
    }
}

fn job_facts(job: &JobRecord, viewer: &Viewer) -> Markup {
    let time = |at| html! { (exact(at)) " (" (moment(at, viewer.now)) ")" };
    let mut known = vec![
        ("Queue", html! { a href=(link("/jobs", &[("queue", &job.queue)])) { (job.queue) } }),
        ("Kind", html! { a href=(link("/jobs", &[("kind", &job.kind)])) { (job.kind) } }),
        ("Enqueued", time(job.created_at)),
        ("Not before", time(job.run_at)),
    ];
    if let Some(finished) = job.finished_at {
        known.push(("Over since", time(finished)));
    }
    if let Some(dealership) = job.dealership {
        let id = dealership.to_string();
        known.push(("Dealership", html! { a href=(link("/jobs", &[("dealership", &id)])) { (id) } }));
    }
    if let Some(delivery) = job.delivery_id() {
        known.push(("Delivery", html! { a href={ "/deliveries/" (delivery) } { (delivery) } }));
    }
    if let Some(trace) = job.trace_id() {
        known.push((
            "Trace",
            html! { a href=(link("/jobs", &[("trace", trace)])) { (trace) } " (jobs of the same request)" },
        ));
    }
    facts(&known)
}

fn errors(job: &JobRecord) -> Markup {
    let columns = [Column("Attempt", Look::Number), Column("When", Look::Plain), Column("Error", Look::Long)];
    let rows = job.failed_attempts().into_iter().rev().map(|error| {
        let at = error["at"].as_str().unwrap_or_default();
        [
            html! { (error["attempt"]) },
            html! { (at.chars().take(19).collect::<String>().replace('T', " ")) },
            html! { (error["error"].as_str().unwrap_or_default()) },
        ]
    });
    table("Failed attempts, the last ten", &columns, rows, "None so far.")
}

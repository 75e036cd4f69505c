use axum::{
    Form,
    extract::{Path, Query, State},
    response::Redirect,
};
use common::{
    db::Db,
    queue::{self, JobFilter, JobRecord, STATES},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{ROWS, Trouble, choices, page, state, time};

/// Which jobs are asked for. Blank is all.
#[derive(Deserialize)]
pub(in crate::admin) struct Asked {
    #[serde(default)]
    state: String,
    #[serde(default)]
    kind: String,
}

impl Asked {
    fn link(&self, state: &str) -> String {
        format!("/jobs?state={state}&kind={}", self.kind)
    }

    fn filter(&self) -> JobFilter {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        // A state that is none would be an error of the database.
        JobFilter {
            id: None,
            state: given(&self.state).filter(|state| STATES.contains(&state.as_str())),
            kind: given(&self.kind),
        }
    }
}

fn only(id: i64) -> JobFilter {
    JobFilter { id: Some(id), ..JobFilter::default() }
}

/// The newest jobs that are asked for.
pub(in crate::admin) async fn list(State(db): State<Db>, Query(asked): Query<Asked>) -> Result<Markup, Trouble> {
    let jobs = queue::list(&mut db.system().await?, &asked.filter(), ROWS).await?;
    let title = if asked.kind.is_empty() { "Jobs".to_owned() } else { format!("Jobs of kind {}", asked.kind) };
    Ok(page(
        &title,
        &html! {
            (choices(&STATES, &asked.state, |state| asked.link(state)))
            @if asked.state == "dead" && !jobs.is_empty() {
                form method="post" action="/jobs/retry" {
                    input type="hidden" name="kind" value=(asked.kind);
                    button { "Run all of these again" }
                }
            }
            div.scroll { table {
                tr { th { "Job" } th { "Kind" } th { "State" } th.number { "Tried" } th { "Run at" } th { "Last error" } }
                @for job in &jobs {
                    tr {
                        td { a href={ "/jobs/" (job.id) } { (job.id) } }
                        td { (job.kind) }
                        td { (state(&job.state)) }
                        td.number { (job.attempts) "/" (job.max_attempts) }
                        td.quiet { (time(job.run_at)) }
                        td.wide { (last_error(job)) }
                    }
                }
            } }
            @if jobs.is_empty() { p { "None." } }
        },
    ))
}

fn last_error(job: &JobRecord) -> &str {
    job.errors.as_array().and_then(|errors| errors.last()?["error"].as_str()).unwrap_or_default()
}

/// One job with its payload and what became of each attempt.
pub(in crate::admin) async fn show(State(db): State<Db>, Path(id): Path<i64>) -> Result<Markup, Trouble> {
    let job = queue::list(&mut db.system().await?, &only(id), 1).await?.pop().ok_or(Trouble::NotThere)?;
    let waits = ["available", "scheduled", "retryable"].contains(&job.state.as_str());
    let payload = serde_json::to_string_pretty(&job.payload).unwrap_or_default();
    Ok(page(
        &format!("Job {id}"),
        &html! {
            p { (state(&job.state)) " " (job.kind) ", attempt " (job.attempts) " of " (job.max_attempts) }
            @if job.state == "dead" { (button(id, "retry", "Run it again")) }
            @if waits { (button(id, "cancel", "Cancel it")) }
            div.scroll { table {
                tr { th { "Queue" } td { (job.queue) } }
                tr { th { "Enqueued" } td { (time(job.created_at)) } }
                tr { th { "Not before" } td { (time(job.run_at)) } }
                @if let Some(finished) = job.finished_at { tr { th { "Over since" } td { (time(finished)) } } }
            } }
            h2 { "Payload" }
            pre { (payload) }
            h2 { "What went wrong" }
            div.scroll { table {
                tr { th.number { "Attempt" } th { "When" } th { "Why" } }
                @for error in job.errors.as_array().into_iter().flatten().rev() {
                    tr {
                        td.number { (error["attempt"]) }
                        td.quiet { (error["at"].as_str().unwrap_or_default().chars().take(19).collect::<String>().replace('T', " ")) }
                        td.wide { (error["error"].as_str().unwrap_or_default()) }
                    }
                }
            } }
            @if job.errors.as_array().is_none_or(Vec::is_empty) { p { "Nothing so far." } }
        },
    ))
}

fn button(id: i64, action: &str, name: &str) -> Markup {
    html! { form method="post" action={ "/jobs/" (id) "/" (action) } { button { (name) } } }
}

/// Runs a dead job again. What is not dead is left alone.
pub(in crate::admin) async fn retry(State(db): State<Db>, Path(id): Path<i64>) -> Result<Redirect, Trouble> {
    revive(&db, &only(id)).await?;
    Ok(Redirect::to(&format!("/jobs/{id}")))
}

/// Runs all dead jobs again, or those of one kind.
pub(in crate::admin) async fn retry_all(State(db): State<Db>, Form(asked): Form<Asked>) -> Result<Redirect, Trouble> {
    revive(&db, &asked.filter()).await?;
    Ok(Redirect::to(&asked.link("")))
}

async fn revive(db: &Db, filter: &JobFilter) -> Result<(), Trouble> {
    let mut tx = db.system().await?;
    let revived = queue::revive(&mut tx, filter).await?;
    tx.commit().await?;
    tracing::info!(jobs = ?revived, "an operator had dead jobs run again");
    Ok(())
}

/// Cancels a job that waits. What runs or is over is left alone.
pub(in crate::admin) async fn cancel(State(db): State<Db>, Path(id): Path<i64>) -> Result<Redirect, Trouble> {
    let cancelled = queue::cancel(&db, &only(id)).await?;
    tracing::info!(jobs = ?cancelled, "an operator cancelled a job");
    Ok(Redirect::to(&format!("/jobs/{id}")))
}

use std::{collections::BTreeSet, time::Duration};

use common::{
    config::CliConfig,
    db::{Db, SystemTx},
    ids::DealershipId,
    jobs::KINDS,
    queue::{self, Cancel, JobFilter, JobRecord, Over, PausedQueue, STATES, Seek},
};
use serde::Serialize;

use crate::{
    CommandError, operator,
    table::{report, show, time},
};

/// Looks at the queue, and intervenes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Count the jobs by kind and state, and name the queues that are paused.
    Stats,
    /// List jobs, newest first, each with its last error.
    List(List),
    /// Show one job with its payload and why its attempts failed.
    Show {
        /// The job.
        id: i64,
    },
    /// Run dead jobs again, with all their attempts. Twice has the effect of once.
    Retry(Which),
    /// Cancel jobs: those that wait never run, one that runs is aborted by its worker and rolled back.
    Cancel {
        #[command(flatten)]
        which: Which,
        /// With --kind or --all: also those that run.
        #[arg(long)]
        running: bool,
    },
    /// Let no more jobs of a queue begin. Those that run go on, and new ones wait. Holds until the queue is resumed.
    Pause {
        /// The queue, such as default.
        queue: String,
        /// Why, for whoever finds it paused.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let the jobs of a paused queue begin again.
    Resume {
        /// The queue.
        queue: String,
    },
    /// Delete jobs that were done or cancelled long ago. Workers do so after a week by themselves.
    Prune(Prune),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only in this state.
    #[arg(long, value_parser = STATES)]
    state: Option<String>,
    /// Only of this kind.
    #[arg(long)]
    kind: Option<String>,
    /// Only of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// Only of this dealership, by its id: norvalt dealership list.
    #[arg(long, value_name = "ID", value_parser = dealership)]
    dealership: Option<DealershipId>,
    /// Only those older than this job, to go on with a longer list.
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// How many at most.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
}

#[derive(Debug, clap::Args)]
struct Prune {
    /// How long ago, in days (7d) or hours (12h).
    #[arg(long, value_name = "AGE", default_value = "7d", value_parser = age)]
    older_than: Duration,
    /// Dead jobs of that age too.
    #[arg(long)]
    dead: bool,
    /// Only count them.
    #[arg(long)]
    dry_run: bool,
}

/// What was pruned, or would be.
#[derive(Serialize)]
struct Pruned {
    over: Over,
    jobs: u64,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The job.
    id: Option<i64>,
    /// All of this kind.
    #[arg(long)]
    kind: Option<String>,
    /// All.
    #[arg(long)]
    all: bool,
}

impl From<Which> for JobFilter {
    fn from(which: Which) -> Self {
        Self { id: which.id, kind: which.kind, ..Self::default() }
    }
}

pub(crate) async fn run(config: &CliConfig, args: Args) -> Result<(), CommandError> {
    let db = Db::new(&config.database_url, 2, "norvalt jobs");
    let json = args.json;
    match args.command {
        Command::Stats => stats(&db, json).await?,
        Command::List(which) => list(&db, json, which).await?,
        Command::Show { id } => {
            println!("{}", serde_json::to_string_pretty(&one(&mut db.system().await?, id).await?)?);
        }
        Command::Retry(which) => retry(&db, json, which.into()).await?,
        Command::Cancel { which, running } => cancel(&db, json, which.into(), running).await?,
        Command::Pause { queue, reason } => pause(&db, json, &queue, reason.as_deref()).await?,
        Command::Resume { queue } => resume(&db, json, &queue).await?,
        Command::Prune(which) => prune(&db, json, &which).await?,
    }
    db.close().await;
    Ok(())
}

async fn stats(db: &Db, json: bool) -> Result<(), CommandError> {
    let mut tx = db.system().await?;
    let counts = queue::count(&mut tx).await?;
    let rows = counts.iter().map(|c| [c.kind.clone(), c.state.clone(), c.count.to_string(), time(c.oldest)]);
    show(json, &counts, ["kind", "state", "count", "oldest"], rows)?;
    if !json {
        for queue in queue::paused(&mut tx).await? {
            println!("{}", describe_pause(&queue));
        }
    }
    Ok(())
}

/// For people: which queue is paused, by whom, since when and why.
pub(crate) fn describe_pause(queue: &PausedQueue) -> String {
    let PausedQueue { name, paused_at, paused_by, reason } = queue;
    let why = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!(
        "queue {name} is paused by {paused_by} since {}{why}; go on with: norvalt jobs resume {name}",
        time(*paused_at)
    )
}

async fn list(db: &Db, json: bool, which: List) -> Result<(), CommandError> {
    let List { state, kind, queue, dealership, before, limit } = which;
    let mut tx = db.system().await?;
    let filter = JobFilter { state, kind, queue, dealership, ..JobFilter::default() };
    check_kind(&mut tx, &filter).await?;
    if let Some(queue) = &filter.queue {
        check_queue(&mut tx, queue).await?;
    }
    let jobs = queue::list(&mut tx, &filter, before.map_or(Seek::Newest, Seek::OlderThan), limit.into()).await?;
    show(json, &jobs, ["id", "kind", "state", "tried", "run at", "last error"], jobs.iter().map(row))?;
    if let Some(last) = jobs.last().filter(|_| !json && jobs.len() == usize::from(limit)) {
        eprintln!("older ones: --before {}", last.id);
    }
    Ok(())
}

async fn retry(db: &Db, json: bool, filter: JobFilter) -> Result<(), CommandError> {
    let mut tx = db.system().await?;
    check_kind(&mut tx, &filter).await?;
    let retried = queue::retry(&mut tx, &filter, &operator()).await?;
    let dead = JobFilter { state: Some("dead".to_owned()), ..filter.clone() };
    for job in queue::list(&mut tx, &dead, Seek::Newest, 20).await? {
        eprintln!("job {} stays dead, since another one does the same", job.id);
    }
    explain(&mut tx, &filter, &retried, "dead").await?;
    tx.commit().await?;
    report(json, ["job", "jobs"], "run again", &retried)
}

async fn cancel(db: &Db, json: bool, filter: JobFilter, running: bool) -> Result<(), CommandError> {
    check_kind(&mut db.system().await?, &filter).await?;
    let which = if running || filter.id.is_some() { Cancel::Running } else { Cancel::Waiting };
    let cancelled = queue::cancel(db, &filter, which, &operator()).await?;
    explain(&mut db.system().await?, &filter, &cancelled, "waiting or running").await?;
    report(json, ["job", "jobs"], "cancelled", &cancelled)
}

async fn pause(db: &Db, json: bool, queue: &str, reason: Option<&str>) -> Result<(), CommandError> {
    let mut tx = db.system().await?;
    check_queue(&mut tx, queue).await?;
    let changed = queue::pause(&mut tx, queue, reason, &operator()).await?;
    tx.commit().await?;
    let said = if changed {
        format!("queue {queue} is paused: no more of its jobs begin, those that run go on")
    } else {
        format!("queue {queue} is paused already")
    };
    decided(json, queue, true, changed, &said)
}

async fn resume(db: &Db, json: bool, queue: &str) -> Result<(), CommandError> {
    let mut tx = db.system().await?;
    check_queue(&mut tx, queue).await?;
    let changed = queue::resume(&mut tx, queue, &operator()).await?;
    tx.commit().await?;
    let said = if changed { format!("queue {queue} goes on") } else { format!("queue {queue} is not paused") };
    decided(json, queue, false, changed, &said)
}

fn decided(json: bool, queue: &str, paused: bool, changed: bool, said: &str) -> Result<(), CommandError> {
    if json {
        let decision = serde_json::json!({ "queue": queue, "paused": paused, "changed": changed });
        println!("{}", serde_json::to_string(&decision)?);
    } else {
        println!("{said}");
    }
    Ok(())
}

/// A kind that nobody knows is a mistake of whoever typed it.
async fn check_kind(tx: &mut SystemTx, filter: &JobFilter) -> Result<(), CommandError> {
    let Some(kind) = &filter.kind else { return Ok(()) };
    if KINDS.iter().any(|(known, _)| known == kind) {
        return Ok(());
    }
    let mut known: BTreeSet<String> = queue::kinds(tx).await?.into_iter().collect();
    if known.contains(kind) {
        return Ok(());
    }
    known.extend(KINDS.iter().map(|(kind, _)| (*kind).to_owned()));
    Err(format!("no kind of job is called {kind:?}; there are {}", enumerate(&known)).into())
}

async fn check_queue(tx: &mut SystemTx, queue: &str) -> Result<(), CommandError> {
    let mut known: BTreeSet<String> = KINDS.iter().map(|(_, queue)| (*queue).to_owned()).collect();
    if known.contains(queue) {
        return Ok(());
    }
    known.extend(queue::queues(tx).await?);
    if known.contains(queue) {
        return Ok(());
    }
    Err(format!("no queue is called {queue:?}; there are {}", enumerate(&known)).into())
}

fn enumerate(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

async fn one(tx: &mut SystemTx, id: i64) -> Result<JobRecord, CommandError> {
    let filter = JobFilter { id: Some(id), ..JobFilter::default() };
    let job = queue::list(tx, &filter, Seek::Newest, 1).await?.pop();
    Ok(job.ok_or_else(|| format!("there is no job {id}"))?)
}

async fn prune(db: &Db, json: bool, which: &Prune) -> Result<(), CommandError> {
    let mut pruned = Vec::new();
    for over in [Over::Finished, Over::Dead] {
        if over == Over::Dead && !which.dead {
            continue;
        }
        let jobs = if which.dry_run {
            queue::prunable(&mut db.system().await?, over, which.older_than).await?
        } else {
            queue::prune(db, over, which.older_than).await?
        };
        pruned.push(Pruned { over, jobs });
    }
    let rows = pruned.iter().map(|pruned| [format!("{:?}", pruned.over).to_lowercase(), pruned.jobs.to_string()]);
    show(json, &pruned, ["jobs", if which.dry_run { "to be pruned" } else { "pruned" }], rows)
}

/// Says of one job that was named why nothing was done to it.
async fn explain(tx: &mut SystemTx, filter: &JobFilter, done: &[i64], wanted: &str) -> Result<(), CommandError> {
    let (Some(id), []) = (filter.id, done) else { return Ok(()) };
    let job = one(tx, id).await?;
    if job.state != wanted {
        eprintln!("job {id} is {}, not {wanted}", job.state);
    }
    Ok(())
}

fn row(job: &JobRecord) -> [String; 6] {
    let tried = format!("{}/{}", job.attempts, job.max_attempts);
    let error = job.last_error().unwrap_or_default();
    [job.id.to_string(), job.kind.clone(), job.state.clone(), tried, time(job.run_at), error]
}

fn dealership(text: &str) -> Result<DealershipId, &'static str> {
    text.parse().map_err(|_| "not the id of a dealership; norvalt dealership list shows them")
}

/// An age such as `7d` or `12h`.
fn age(text: &str) -> Result<Duration, String> {
    let hours = match (text.strip_suffix('d'), text.strip_suffix('h')) {
        (Some(days), _) => days.parse::<u32>().ok().and_then(|days| days.checked_mul(24)),
        (_, Some(hours)) => hours.parse().ok(),
        _ => None,
    };
    hours.map(|hours| Duration::from_hours(hours.into())).ok_or_else(|| "not an age such as 7d or 12h".to_owned())
}

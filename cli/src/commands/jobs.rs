use std::time::Duration;

use common::{
    config::CliConfig,
    db::{Db, SystemTx},
    queue::{self, JobFilter, JobRecord, Over, STATES},
};
use serde::Serialize;

use crate::{
    CommandError,
    table::{report, show, time},
};

/// Looks at the queue, and mends it.
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
    /// Count the jobs by kind and state.
    Stats,
    /// List jobs, newest first.
    List {
        /// Only in this state.
        #[arg(long, value_parser = STATES)]
        state: Option<String>,
        /// Only of this kind.
        #[arg(long)]
        kind: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 20)]
        limit: u16,
    },
    /// Show one job with its payload and why its attempts failed.
    Show {
        /// The job.
        id: i64,
    },
    /// Run dead jobs again. Twice has the effect of once.
    Retry(Which),
    /// Cancel jobs that wait.
    Cancel(Which),
    /// Delete jobs that were done or cancelled long ago. Workers do so after a week by themselves.
    Prune(Prune),
}

#[derive(Debug, clap::Args)]
struct Prune {
    /// How long ago, in days (7d) or hours (12h).
    #[arg(long, default_value = "7d", value_parser = age)]
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
        Self { id: which.id, kind: which.kind, state: None }
    }
}

pub(crate) async fn run(config: &CliConfig, args: Args) -> Result<(), CommandError> {
    let db = Db::new(&config.database_url, 2, "norvalt jobs");
    let mut tx = db.system().await?;
    match args.command {
        Command::Stats => {
            let counts = queue::count(&mut tx).await?;
            let rows = counts.iter().map(|c| [c.kind.clone(), c.state.clone(), c.count.to_string(), time(c.oldest)]);
            show(args.json, &counts, ["kind", "state", "count", "oldest"], rows)?;
        }
        Command::List { state, kind, limit } => {
            let filter = JobFilter { id: None, state, kind };
            let jobs = queue::list(&mut tx, &filter, limit.into()).await?;
            show(args.json, &jobs, ["id", "kind", "state", "tried", "run at", "last error"], jobs.iter().map(row))?;
        }
        Command::Show { id } => {
            let filter = JobFilter { id: Some(id), ..JobFilter::default() };
            let job = queue::list(&mut tx, &filter, 1).await?.pop().ok_or_else(|| format!("there is no job {id}"))?;
            println!("{}", serde_json::to_string_pretty(&job)?);
        }
        Command::Retry(which) => {
            let filter = JobFilter::from(which);
            let revived = queue::revive(&mut tx, &filter).await?;
            let dead = JobFilter { state: Some("dead".to_owned()), ..filter.clone() };
            for job in queue::list(&mut tx, &dead, 20).await? {
                eprintln!("job {} stays dead, since another one does the same", job.id);
            }
            explain(&mut tx, &filter, &revived, "dead").await?;
            report(args.json, "job", "run again", &revived)?;
        }
        Command::Cancel(which) => {
            let filter = JobFilter::from(which);
            let cancelled = queue::cancel(&db, &filter).await?;
            explain(&mut tx, &filter, &cancelled, "waiting").await?;
            report(args.json, "job", "cancelled", &cancelled)?;
        }
        Command::Prune(which) => {
            // It has transactions of its own.
            drop(tx);
            prune(&db, args.json, &which).await?;
            db.close().await;
            return Ok(());
        }
    }
    tx.commit().await?;
    db.close().await;
    Ok(())
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
    let job = queue::list(tx, filter, 1).await?.pop().ok_or_else(|| format!("there is no job {id}"))?;
    if job.state != wanted {
        eprintln!("job {id} is {}, not {wanted}", job.state);
    }
    Ok(())
}

fn row(job: &JobRecord) -> [String; 6] {
    let tried = format!("{}/{}", job.attempts, job.max_attempts);
    let error = job.errors.as_array().and_then(|errors| errors.last()?["error"].as_str()).unwrap_or_default();
    let error = error.chars().take(60).collect();
    [job.id.to_string(), job.kind.clone(), job.state.clone(), tried, time(job.run_at), error]
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

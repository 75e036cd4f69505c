use common::{
    audit::{Subject, Verb, record},
    clerk::{EVENT_STATUSES, EventFilter, StoredEvent, events, replay},
    config::CliConfig,
    db::Db,
    queue::Seek,
};

use crate::{
    CommandError, operator,
    table::{report, show, time},
};

/// Tells what Clerk sent, and what it changed or why it did not.
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
    /// List events, newest first.
    List {
        /// Only with this status.
        #[arg(long, value_parser = EVENT_STATUSES)]
        status: Option<String>,
        /// Only about this user, organization or membership: user_…, org_… or orgmem_….
        #[arg(long, value_parser = subject)]
        about: Option<String>,
        /// Only those older than this event, to go on with a longer list.
        #[arg(long, value_name = "ID")]
        before: Option<i64>,
        /// How many at most.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
        limit: u16,
    },
    /// Show one event with its body.
    Show {
        /// The event.
        id: i64,
    },
    /// Process events again. What is known already does not change, and what cannot be read stays dead.
    Replay(Which),
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The event.
    id: Option<i64>,
    /// All about this user, organization or membership.
    #[arg(long, value_parser = subject)]
    about: Option<String>,
    /// All with this status: dead ones after a release that can read them, quarantined ones that are ours after all,
    /// pending ones whose job was cancelled or is dead.
    #[arg(long, value_parser = ["processed", "dead", "quarantined", "pending"])]
    status: Option<String>,
    /// All that were processed.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(config: &CliConfig, args: Args) -> Result<(), CommandError> {
    let db = Db::new(&config.database_url, 2, "norvalt events");
    let mut tx = db.system().await?;
    match args.command {
        Command::List { status, about, before, limit } => {
            let found = events(
                &mut tx,
                &EventFilter { id: None, status, about, seek: before.map_or(Seek::Newest, Seek::OlderThan) },
                limit.into(),
            )
            .await?;
            let without_bodies: Vec<_> = found.into_iter().map(|event| StoredEvent { body: None, ..event }).collect();
            let head = ["id", "received", "type", "about", "status", "outcome and changes"];
            show(args.json, &without_bodies, head, without_bodies.iter().map(row))?;
            if let Some(last) =
                without_bodies.last().filter(|_| !args.json && without_bodies.len() == usize::from(limit))
            {
                eprintln!("older ones: --before {}", last.id);
            }
        }
        Command::Show { id } => {
            let filter = EventFilter { id: Some(id), ..EventFilter::default() };
            let event = events(&mut tx, &filter, 1).await?.pop().ok_or_else(|| format!("there is no event {id}"))?;
            println!("{}", serde_json::to_string_pretty(&event)?);
        }
        Command::Replay(which) => {
            let filter = EventFilter { id: which.id, about: which.about, status: which.status, seek: Seek::Newest };
            let replayed = replay(&mut tx, &filter).await?;
            record(&mut tx, &operator(), Verb::Replay, Subject::Events(&replayed)).await?;
            report(args.json, "event", "will be processed again", &replayed)?;
        }
    }
    tx.commit().await?;
    db.close().await;
    Ok(())
}

fn row(event: &StoredEvent) -> [String; 6] {
    let mut outcome = event.outcome.clone().unwrap_or_default();
    if event.repetitions > 0 {
        outcome = format!("{outcome} (came {} times)", event.repetitions + 1);
    }
    if !event.effects.is_empty() {
        outcome = format!("{outcome}: {}", event.effects.join("; "));
    }
    let about = event.user_id.clone().unwrap_or_default();
    [event.id.to_string(), time(event.received_at), event.event_type.clone(), about, event.status.clone(), outcome]
}

/// What events can be about.
fn subject(text: &str) -> Result<String, &'static str> {
    let known = ["user_", "org_", "orgmem_"];
    let is_one = known.iter().any(|prefix| text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
    if is_one {
        Ok(text.to_owned())
    } else {
        Err("must be the id of a user (user_…), an organization (org_…) or a membership (orgmem_…)")
    }
}

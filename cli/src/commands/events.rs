use common::{
    clerk::{EVENT_STATUSES, EventFilter, StoredEvent, events, replay},
    config::CliConfig,
    db::Db,
};

use crate::{
    CommandError,
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
        #[arg(long)]
        about: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 20)]
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
    #[arg(long)]
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
        Command::List { status, about, limit } => {
            let found = events(&mut tx, &EventFilter { id: None, status, about }, limit.into()).await?;
            let without_bodies: Vec<_> = found.into_iter().map(|event| StoredEvent { body: None, ..event }).collect();
            let head = ["id", "received", "type", "about", "status", "outcome", "changed"];
            show(args.json, &without_bodies, head, without_bodies.iter().map(row))?;
        }
        Command::Show { id } => {
            let filter = EventFilter { id: Some(id), ..EventFilter::default() };
            let event = events(&mut tx, &filter, 1).await?.pop().ok_or_else(|| format!("there is no event {id}"))?;
            println!("{}", serde_json::to_string_pretty(&event)?);
        }
        Command::Replay(which) => {
            let filter = EventFilter { id: which.id, about: which.about, status: which.status };
            report(args.json, "event", "will be processed again", &replay(&mut tx, &filter).await?)?;
        }
    }
    tx.commit().await?;
    db.close().await;
    Ok(())
}

fn row(event: &StoredEvent) -> [String; 7] {
    let mut outcome: String = event.outcome.as_deref().unwrap_or_default().chars().take(60).collect();
    if event.repetitions > 0 {
        outcome = format!("{outcome} (came {} times)", event.repetitions + 1);
    }
    let about = event.user_id.clone().unwrap_or_default();
    let changed = event.effects.join("; ");
    let (kind, status) = (event.event_type.clone(), event.status.clone());
    [event.id.to_string(), time(event.received_at), kind, about, status, outcome, changed]
}

use clap::builder::{PossibleValuesParser, TypedValueParser};
use common::{
    audit::{Subject, Verb, record},
    config::CliConfig,
    db::Db,
    deliveries::{DeliveryFilter, LedgerRow, Source, Status, StoredDelivery, ledger_of_all, list, replay},
    queue::Seek,
};

use crate::{
    CommandError, operator,
    table::{report, show, time},
};

/// Tells what came in from outside, and what it changed or why it did not.
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
    /// List deliveries, newest first.
    List {
        /// Only from there.
        #[arg(long, value_parser = sources())]
        source: Option<Source>,
        /// Only with this status.
        #[arg(long, value_parser = statuses(&Status::ALL))]
        status: Option<Status>,
        /// Only about this user, organization or membership: user_…, org_… or orgmem_….
        #[arg(long, value_name = "ID", value_parser = subject)]
        about: Option<String>,
        /// Only those older than this delivery, to go on with a longer list.
        #[arg(long, value_name = "ID")]
        before: Option<i64>,
        /// How many at most.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
        limit: u16,
    },
    /// Show one delivery with its body.
    Show {
        /// The delivery.
        id: i64,
    },
    /// Count what came from each source on each day, and what became of it. All that came is in one of the columns.
    Ledger {
        /// So many days until today, in Norwegian time.
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(1..=90))]
        days: u8,
    },
    /// Process deliveries again. What is known already does not change, and what cannot be read stays dead.
    Replay(Which),
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The delivery.
    id: Option<i64>,
    /// All about this user, organization or membership.
    #[arg(long, value_name = "ID", value_parser = subject)]
    about: Option<String>,
    /// All with this status: dead ones after a release that can read them, quarantined ones that are ours after all,
    /// pending ones whose job was cancelled or is dead.
    #[arg(long, value_parser = statuses(&[Status::Processed, Status::Dead, Status::Quarantined, Status::Pending]))]
    status: Option<Status>,
    /// All that were processed.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(config: &CliConfig, args: Args) -> Result<(), CommandError> {
    let db = Db::new(&config.database_url, 2, "norvalt deliveries");
    let mut tx = db.system().await?;
    match args.command {
        Command::List { source, status, about, before, limit } => {
            let found = list(
                &mut tx,
                &DeliveryFilter { id: None, source, status, about, seek: before.map_or(Seek::Newest, Seek::OlderThan) },
                limit.into(),
            )
            .await?;
            let without_bodies: Vec<_> =
                found.into_iter().map(|delivery| StoredDelivery { body: None, ..delivery }).collect();
            let head = ["id", "received", "source", "type", "about", "status", "outcome and changes"];
            show(args.json, &without_bodies, head, without_bodies.iter().map(row))?;
            if let Some(last) =
                without_bodies.last().filter(|_| !args.json && without_bodies.len() == usize::from(limit))
            {
                eprintln!("older ones: --before {}", last.id);
            }
        }
        Command::Show { id } => {
            let filter = DeliveryFilter { id: Some(id), ..DeliveryFilter::default() };
            let delivery =
                list(&mut tx, &filter, 1).await?.pop().ok_or_else(|| format!("there is no delivery {id}"))?;
            println!("{}", serde_json::to_string_pretty(&delivery)?);
        }
        Command::Ledger { days } => {
            let rows = ledger_of_all(&mut tx, days.into()).await?;
            let head = [
                "day",
                "source",
                "received",
                "processed",
                "ignored",
                "parked",
                "quarantined",
                "dead",
                "pending",
                "Meta lists",
            ];
            show(args.json, &rows, head, rows.iter().map(ledger_row))?;
        }
        Command::Replay(which) => {
            let filter =
                DeliveryFilter { id: which.id, about: which.about, status: which.status, ..DeliveryFilter::default() };
            let replayed = replay(&mut tx, &filter).await?;
            record(&mut tx, &operator(), Verb::Replay, Subject::Deliveries(&replayed)).await?;
            report(args.json, ["delivery", "deliveries"], "will be processed again", &replayed)?;
        }
    }
    tx.commit().await?;
    db.close().await;
    Ok(())
}

fn ledger_row(row: &LedgerRow) -> [String; 10] {
    let LedgerRow { day, source, received, processed, ignored, parked, quarantined, dead, pending, meta_leads } = row;
    let counts = [received, processed, ignored, parked, quarantined, dead, pending].map(ToString::to_string);
    let [received, processed, ignored, parked, quarantined, dead, pending] = counts;
    let (day, source) = (day.to_string(), source.as_str().to_owned());
    let meta_leads = meta_leads.map(|leads| leads.to_string()).unwrap_or_default();
    [day, source, received, processed, ignored, parked, quarantined, dead, pending, meta_leads]
}

fn sources() -> impl TypedValueParser<Value = Source> {
    PossibleValuesParser::new(Source::ALL.map(Source::as_str)).try_map(|word| word.parse::<Source>())
}

fn statuses(which: &[Status]) -> impl TypedValueParser<Value = Status> + use<> {
    let words: Vec<_> = which.iter().map(|status| status.as_str()).collect();
    PossibleValuesParser::new(words).try_map(|word| word.parse::<Status>())
}

fn row(delivery: &StoredDelivery) -> [String; 7] {
    let mut outcome = delivery.outcome.clone().unwrap_or_default();
    if delivery.repetitions > 0 {
        outcome = format!("{outcome} (came {} times)", delivery.repetitions + 1);
    }
    if !delivery.effects.is_empty() {
        outcome = format!("{outcome}: {}", delivery.effects.join("; "));
    }
    let StoredDelivery { id, source, status, .. } = delivery;
    let about = delivery.subject.clone().unwrap_or_default();
    let (source, status) = (source.as_str().to_owned(), status.as_str().to_owned());
    [id.to_string(), time(delivery.received_at), source, delivery.event_type.clone(), about, status, outcome]
}

/// What deliveries can be about.
fn subject(text: &str) -> Result<String, &'static str> {
    let known = ["user_", "org_", "orgmem_"];
    let is_one = known.iter().any(|prefix| text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
    if is_one {
        Ok(text.to_owned())
    } else {
        Err("must be the id of a user (user_…), an organization (org_…) or a membership (orgmem_…)")
    }
}

use std::path::PathBuf;

use common::{
    config::CliConfig,
    db::Db,
    moving::{self, Exported, Importing, Known, Opening, State, Summary},
};

use crate::{
    CommandError, operator,
    table::{show, time},
};

/// List dealerships; move one to another server and back.
///
/// On the server that it leaves: freeze, export. On the other one: import. On the first: release, which says a code. On the
/// other: open with that code. On the first, when all is well: discard. Whatever was interrupted is run again. The page
/// docs/operations/moving.md has the whole procedure.
///
/// A dealership is named by its id, its organization (org_…), its name, or a key of its form.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
#[expect(clippy::doc_markdown, reason = "the text is shown on a terminal")]
enum Command {
    /// List dealerships, and where those are that are on their way.
    List {
        /// Only those whose names contain this.
        #[arg(default_value = "")]
        containing: String,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
        limit: u16,
    },
    /// Close a dealership, so that it can be exported: its people wait, senders come again later, no job of it begins.
    Freeze(Which),
    /// Write a frozen dealership to an archive.
    Export {
        #[command(flatten)]
        which: Which,
        /// The archive, a file that is not there yet. It holds personal data.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Also secrets that the dealership gave us to keep, sealed as they are: the other server needs the same SECRETS_KEYS.
        #[arg(long)]
        with_secrets: bool,
    },
    /// Read an archive into this database. The dealership is closed here until it is opened.
    Import {
        /// The archive.
        file: PathBuf,
        /// Do all of it but the commit.
        #[arg(long)]
        dry_run: bool,
        /// Although the archive is of another Clerk instance than this database.
        #[arg(long)]
        other_clerk_instance: bool,
    },
    /// Hand an exported dealership over, and say the code that opens it on the other server. It is never opened here again.
    Release(Which),
    /// Open a dealership that arrived here, or give up a move before it was handed over.
    Open {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        how: How,
    },
    /// Destroy what is here of a dealership that another server has: handed over, or imported and never opened.
    Discard {
        #[command(flatten)]
        which: Which,
        /// Do it. Without it, only says what that would be.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Id, organization, name, or a key of its form.
    dealership: String,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct How {
    /// What `release` said on the server that it came from.
    #[arg(long)]
    code: Option<String>,
    /// The server that it came from is lost for good, and cannot say a code.
    #[arg(long)]
    without_code: bool,
    /// It was handed over, and the other server has discarded it without ever opening it.
    #[arg(long)]
    take_back: bool,
}

impl From<How> for Opening {
    fn from(how: How) -> Self {
        match how {
            How { code: Some(code), .. } => Self::Code(code.trim().to_owned()),
            How { without_code: true, .. } => Self::WithoutCode,
            How { take_back: true, .. } => Self::TakeBack,
            How { .. } => Self::Plain,
        }
    }
}

pub(crate) async fn run(config: &CliConfig, args: Args) -> Result<(), CommandError> {
    let db = Db::new(&config.database_url, 2, "norvalt dealership");
    match args.command {
        Command::List { containing, limit } => list(&db, args.json, &containing, limit).await?,
        Command::Freeze(which) => freeze(&db, args.json, &which).await?,
        Command::Export { which, to, with_secrets } => {
            let known = one(&db, &which).await?;
            let exported = moving::export(&db, &known.clerk_org_id, &to, with_secrets).await?;
            tell_exported(args.json, &exported, &to, with_secrets)?;
        }
        Command::Import { file, dry_run, other_clerk_instance } => {
            import(&db, config, args.json, &file, (dry_run, other_clerk_instance)).await?;
        }
        Command::Release(which) => release(&db, args.json, &which).await?,
        Command::Open { which, how } => {
            let known = one(&db, &which).await?;
            moving::open(&db, &known.clerk_org_id, &how.into(), &operator()).await?;
            tell(args.json, &known, "open", "open: its people have access, and its jobs run")?;
        }
        Command::Discard { which, yes } => discard(&db, args.json, &which, yes).await?,
    }
    db.close().await;
    Ok(())
}

async fn list(db: &Db, json: bool, containing: &str, limit: u16) -> Result<(), CommandError> {
    let known = moving::list(&mut db.system().await?, containing.trim(), limit.into()).await?;
    let head = ["dealership", "people", "leads", "state", "organization", "id"];
    let rows = known.iter().map(|d| {
        let name = d.name.clone().unwrap_or_else(|| "(not here any more)".to_owned());
        [name, d.people.to_string(), d.leads.to_string(), state(d), d.clerk_org_id.to_string(), d.id.to_string()]
    });
    show(json, &known, head, rows)?;
    if !json && known.len() == usize::from(limit) {
        eprintln!("there may be more: --limit, or a part of the name");
    }
    Ok(())
}

fn state(known: &Known) -> String {
    match (known.moving, known.closed_at) {
        (Some(State::Leaving), _) if known.archive.is_some() => "leaving, exported".to_owned(),
        (Some(State::Leaving), _) => "leaving, frozen".to_owned(),
        (Some(State::Gone), _) => "handed over".to_owned(),
        (Some(State::Arriving), _) => "arriving, not open".to_owned(),
        (None, Some(closed_at)) => format!("closed {}", closed_at.format("%F")),
        (None, None) => "open".to_owned(),
    }
}

/// The dealership that is meant.
async fn one(db: &Db, Which { dealership }: &Which) -> Result<Known, CommandError> {
    let mut found = moving::find(&mut db.system().await?, dealership.trim()).await?;
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        0 => Err(format!("no dealership is called {dealership:?}; see norvalt dealership list").into()),
        _ => {
            let ids: Vec<_> = found.iter().map(|known| format!("{} ({})", known.id, known.clerk_org_id)).collect();
            Err(format!("several dealerships are called {dealership:?}; say which: {}", ids.join(", ")).into())
        }
    }
}

fn tell(json: bool, known: &Known, state: &str, said: &str) -> Result<(), CommandError> {
    let name = known.name.as_deref().unwrap_or(known.clerk_org_id.as_str());
    if json {
        println!("{}", serde_json::to_string(&serde_json::json!({ "dealership": known.id, "state": state }))?);
    } else {
        println!("{name} is {said}.");
    }
    Ok(())
}

async fn freeze(db: &Db, json: bool, which: &Which) -> Result<(), CommandError> {
    let known = one(db, which).await?;
    let frozen = moving::freeze(db, &known.clerk_org_id, &operator()).await?;
    let said = format!("frozen, with {} jobs that wait", frozen.held_jobs);
    tell(json, &known, "leaving", &said)?;
    if !json {
        if frozen.in_doubt > 0 {
            println!("Of {} messages nobody knows whether they were sent; its people are told.", frozen.in_doubt);
        }
        println!("Next: norvalt dealership export {} --to FILE", known.id);
        println!("To give the move up: norvalt dealership open {}", known.id);
    }
    Ok(())
}

fn tell_exported(json: bool, exported: &Exported, to: &std::path::Path, secrets: bool) -> Result<(), CommandError> {
    let Exported { manifest, tables, archive } = exported;
    if json {
        let told = serde_json::json!({ "manifest": manifest, "tables": tables, "archive": archive });
        println!("{}", serde_json::to_string_pretty(&told)?);
        return Ok(());
    }
    let head = ["table", "rows"];
    show(false, &(), head, tables.iter().map(|part| [part.table.clone(), part.rows.to_string()]))?;
    println!("\n{} is in {}, known as {archive}.", manifest.name, to.display());
    println!("It holds personal data{}: encrypt it on its way.", if secrets { " and sealed secrets" } else { "" });
    println!("Next, on the other server: norvalt dealership import {}", to.display());
    Ok(())
}

async fn import(
    db: &Db,
    config: &CliConfig,
    json: bool,
    file: &std::path::Path,
    (dry_run, other_clerk_instance): (bool, bool),
) -> Result<(), CommandError> {
    let refused = |error| CommandError::from(format!("{}: {}", file.display(), common::telemetry::error_chain(&error)));
    let summary = moving::check(file).map_err(refused)?;
    let how = Importing { keyring: &config.keyring, other_clerk_instance, dry_run, by: &operator() };
    let imported = moving::import(db, file, &summary, how).await?;
    if json {
        let told = serde_json::json!({
            "archive": summary.archive, "dealership": summary.manifest.dealership, "imported_before": imported.before,
            "dry_run": dry_run, "without_secrets": imported.without_secrets,
        });
        println!("{}", serde_json::to_string(&told)?);
        return Ok(());
    }
    let Summary { manifest, .. } = &summary;
    let rows: u64 = summary.tables.iter().map(|part| part.rows).sum();
    if imported.before {
        println!("{} was imported from this archive before; nothing was done.", manifest.name);
    } else {
        let leads = summary.rows("leads");
        println!(
            "{}: {rows} rows in {} tables, {leads} leads, each the same as in the archive.",
            manifest.name,
            summary.tables.len()
        );
        println!("Exported at {} by release {}.", time(manifest.exported_at), manifest.release);
    }
    if imported.replaced {
        println!("It was here already as Clerk's events had made it, with nothing in it; that was replaced.");
    }
    if imported.known_events > 0 {
        println!("{} events of Clerk were here already.", imported.known_events);
    }
    if imported.without_secrets > 0 {
        println!(
            "{} sources or accounts go without their secrets; the admins are told to give them again.",
            imported.without_secrets
        );
    }
    if dry_run {
        println!("Nothing was written; without --dry-run, it is.");
    } else {
        println!(
            "It is not open here yet. Next, on the server that it came from: norvalt dealership release {}",
            manifest.dealership
        );
    }
    Ok(())
}

async fn release(db: &Db, json: bool, which: &Which) -> Result<(), CommandError> {
    let known = one(db, which).await?;
    let code = moving::release(db, &known.clerk_org_id, &operator()).await?;
    if json {
        println!("{}", serde_json::to_string(&serde_json::json!({ "dealership": known.id, "code": code }))?);
        return Ok(());
    }
    tell(false, &known, "gone", "handed over, and is not opened here again")?;
    println!("Next, on the other server: norvalt dealership open {} --code {code}", known.id);
    println!("When all is well there, here: norvalt dealership discard {} --yes", known.id);
    Ok(())
}

async fn discard(db: &Db, json: bool, which: &Which, yes: bool) -> Result<(), CommandError> {
    let known = one(db, which).await?;
    if !yes {
        let what = match known.moving {
            Some(State::Gone | State::Arriving) => {
                format!("{} leads and all else of it would be destroyed here; with --yes, that is done", known.leads)
            }
            _ => "live here, or not handed over yet: nothing of it can be discarded".to_owned(),
        };
        return tell(json, &known, "unchanged", &format!("{}. {what}", state(&known)));
    }
    let was_there = moving::discard(db, &known.clerk_org_id, &operator()).await?;
    let said =
        if was_there { "destroyed here; the other server has it" } else { "not here any more; nothing was done" };
    tell(json, &known, "discarded", said)
}

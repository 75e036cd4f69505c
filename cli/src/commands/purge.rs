use chrono::TimeDelta;
use common::{
    clerk::{closed_dealerships, purge},
    clock::Clock,
    config::CliConfig,
    db::Db,
};

use crate::{
    CommandError,
    table::{show, time},
};

/// Destroy the data of dealerships whose organization was deleted in Clerk.
///
/// Only shows what that would be, unless told to do it. Dealerships that were moved to another server are not among them: norvalt
/// dealership discard.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those closed at least this many days ago.
    #[arg(long, default_value_t = 30)]
    days: u16,
    /// Do it. There is no way back but a backup.
    #[arg(long)]
    yes: bool,
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(config: &CliConfig, args: &Args) -> Result<(), CommandError> {
    let db = Db::new(&config.database_url, 1, "norvalt purge");
    let mut tx = db.system().await?;
    let before = Clock::system().now() - TimeDelta::days(args.days.into());
    let closed = closed_dealerships(&mut tx, before).await?;
    let rows = closed.iter().map(|d| {
        let counts = [d.leads, d.messages, d.vehicles, d.users].map(|count| count.to_string());
        let [leads, messages, vehicles, users] = counts;
        [d.name.clone(), d.clerk_org_id.to_string(), time(d.closed_at), leads, messages, vehicles, users]
    });
    let head = ["dealership", "organization", "closed", "leads", "messages", "vehicles", "people"];
    show(args.json, &closed, head, rows)?;
    if args.yes {
        for dealership in &closed {
            purge(&mut tx, &dealership.clerk_org_id).await?;
        }
        tx.commit().await?;
    } else {
        // Closing waits for it otherwise.
        drop(tx);
    }
    if !args.json && !closed.is_empty() {
        println!(
            "{}",
            if args.yes { "All of this is gone." } else { "Nothing was done; with --yes, all of this is destroyed." }
        );
    }
    db.close().await;
    Ok(())
}

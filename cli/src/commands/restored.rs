use common::{
    config::CliConfig,
    db::Db,
    restored::{Held, hold, on_its_way},
};

use crate::{CommandError, operator};

/// After a restore from a backup: leave to people what may have been sent since.
///
/// Before any worker starts. What the backup says is on its way may have gone out since. Messages become `unknown`, so that people decide whether to send
/// them again, and leads that were to be answered automatically are left to people, who are told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only count them.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(config: &CliConfig, args: &Args) -> Result<(), CommandError> {
    let db = Db::new(&config.database_url, 1, "norvalt restored");
    let held = if args.dry_run { on_its_way(&db).await? } else { hold(&db, &operator()).await? };
    db.close().await;
    if args.json {
        println!("{}", serde_json::to_string(&held)?);
        return Ok(());
    }
    let Held { messages, answers } = held;
    println!("{messages} messages on their way, {answers} leads to be answered automatically.");
    match (held == Held::default(), args.dry_run) {
        (true, _) => println!("Nothing is to be done; the workers may start."),
        (_, true) => println!("Nothing was changed; without --dry-run, they are left to people."),
        (_, false) => println!("They are left to people, who are told; the workers may start."),
    }
    Ok(())
}

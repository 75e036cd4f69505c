use common::{
    clerk::{Drift, Reconciliation, reconcile},
    config::CliConfig,
    db::Db,
};

use crate::CommandError;

/// Compare with Clerk, and repair what webhooks missed.
///
/// Compares dealerships, people and memberships with what Clerk's Backend API says, and imports the difference. A worker does so
/// by itself, every CLERK_SYNC_HOURS. Fails without writing anything when the key is another Clerk instance's, or when too much is
/// gone to be meant; so does a dry run.
#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "the text is shown on a terminal")]
pub(crate) struct Args {
    /// Only show the difference.
    #[arg(long)]
    dry_run: bool,
    /// Withdraw access also when Clerk no longer has much of what is known here.
    #[arg(long)]
    allow_mass_deletion: bool,
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(config: &CliConfig, args: &Args) -> Result<(), CommandError> {
    let clerk = config.clerk.as_ref().ok_or("set CLERK_SECRET_KEY to ask Clerk; its dashboard has it, API keys")?;
    let db = Db::new(&config.database_url, 1, "norvalt sync");
    let how = Reconciliation { dry_run: args.dry_run, allow_mass_deletion: args.allow_mass_deletion };
    let drift = reconcile(&db, clerk, how).await?;
    db.close().await;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&drift)?);
    } else {
        report(&drift, args.dry_run);
    }
    Ok(())
}

fn report(drift: &Drift, dry_run: bool) {
    let Drift { organizations, users, memberships, missing, news, effects, skipped } = drift;
    println!("Clerk has {organizations} organizations, {users} people and {memberships} memberships.");
    for effect in effects {
        println!("  {effect}");
    }
    for object in skipped {
        println!("  skipped one of the {}, which cannot be read: {}", object.listing, object.reason);
    }
    if !skipped.is_empty() {
        println!("{} objects were skipped. What is not listed beside them is left alone.", skipped.len());
    }
    if *missing > 0 {
        println!("{missing} objects are not in Clerk any more; access is withdrawn until they are seen there again.");
    }
    match (news, dry_run) {
        (0, _) => println!("No drift."),
        (news, true) => println!("{news} objects differ. Nothing was changed; without --dry-run, all of this is."),
        (news, false) => println!("{news} objects differed and were imported."),
    }
}

use common::{
    clerk::{BackendApi, Drift, Reconciliation, reconcile},
    config::CliConfig,
    db::Db,
};

use crate::CommandError;

/// Compares dealerships, people and memberships with what Clerk's Backend API says, and takes over the difference.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only show the difference.
    #[arg(long)]
    dry_run: bool,
    /// Go on also when Clerk no longer has much of what is known here. People are erased for good.
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
    let drift = reconcile(&db, &BackendApi::of(clerk).await?, how).await?;
    db.close().await;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&drift)?);
    } else {
        tell(&drift, args.dry_run);
    }
    Ok(())
}

fn tell(drift: &Drift, dry_run: bool) {
    let Drift { organizations, users, memberships, news, effects } = drift;
    println!("Clerk has {organizations} organizations, {users} people and {memberships} memberships.");
    for effect in effects {
        println!("  {effect}");
    }
    match (news, dry_run) {
        (0, _) => println!("No drift."),
        (news, true) => println!("{news} objects differ. Nothing was changed; without --dry-run, all of this is."),
        (news, false) => println!("{news} objects differed and were taken over."),
    }
}

use common::{
    config::CliConfig,
    db::{Migration, migrate, pending_migrations},
};

use crate::CommandError;

/// Applies the pending migrations. Safe to run again, and safe when two run at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the pending SQL instead of running it.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(config: &CliConfig, args: &Args) -> Result<(), CommandError> {
    if args.dry_run {
        let pending = pending_migrations(&config.database_url).await?;
        let one = |m: &Migration| format!("-- {} {}\n\n{}\n", m.version, m.description, m.sql);
        let mut sql: String = pending.iter().map(one).collect();
        if pending.is_empty() {
            sql.push_str("-- Nothing to do: the schema is up to date.\n");
        }
        print!("{sql}");
        return Ok(());
    }
    let applied = migrate(&config.database_url).await?;
    for migration in &applied {
        println!("applied {} {}", migration.version, migration.description);
    }
    match applied.len() {
        0 => println!("The schema is up to date."),
        1 => println!("The schema is up to date: 1 migration applied."),
        n => println!("The schema is up to date: {n} migrations applied."),
    }
    Ok(())
}

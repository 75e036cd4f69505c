//! The `norvalt` command: migrate, seed and operate the backend.

mod commands;
pub mod demo;
mod table;

use std::{env, process::ExitCode};

use clap::{Parser, Subcommand};
use common::{
    audit::{Operator, Via},
    config::{CliConfig, Settings},
    db::{self, NotUsable},
    process::WRONG_CONFIGURATION,
    telemetry,
};

/// Migrates, seeds and operates the Norvalt backend.
///
/// Reads DATABASE_URL and the other settings from the environment or a .env file; .env.example describes them.
///
/// Exit codes: 0 done, 1 failed (the error says why), 2 wrong usage, 78 wrong settings.
#[derive(Debug, Parser)]
#[command(name = "norvalt", version, arg_required_else_help = true)]
#[expect(clippy::doc_markdown, reason = "the text is shown on a terminal")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Configured(ConfiguredCommand),
    /// Check settings, database, policies, queue and Clerk, and say how to fix what is wrong.
    Doctor,
}

/// Commands that need their settings to be right.
#[derive(Debug, Subcommand)]
#[expect(clippy::doc_markdown, reason = "the text is shown on a terminal")]
enum ConfiguredCommand {
    /// Bring the database schema up to date.
    Migrate(commands::migrate::Args),
    /// Add two demo dealerships with people, leads and conversations.
    Seed,
    Instance(commands::instance::Args),
    Dealership(commands::dealership::Args),
    /// Look at what came in from outside and what became of it, and process it again.
    Deliveries(commands::deliveries::Args),
    /// Hand over what came in elsewhere.
    Inbound(commands::inbound::Args),
    /// Look at the queue; retry and cancel jobs, pause queues.
    Jobs(commands::jobs::Args),
    Purge(commands::purge::Args),
    /// Say what hurts first and when, from the database's own numbers.
    Report(commands::report::Args),
    Restored(commands::restored::Args),
    Secrets(commands::secrets::Args),
    Sync(commands::sync::Args),
    /// Provision one person and their dealerships, as the webhooks would.
    ///
    /// With CLERK_SECRET_KEY set, asks Clerk for the person and all their memberships. With --org and --membership, which
    /// go together, takes what is given instead; that yields to whatever Clerk says later.
    SyncUser(commands::sync_user::Args),
}

/// What tells a mail server to keep the mail: `EX_TEMPFAIL` of `sysexits.h`.
const TRY_AGAIN: u8 = 75;

/// Any error of a command: what it says goes to the terminal, with its causes.
type CommandError = Box<dyn std::error::Error + Send + Sync>;

/// The person who runs the command, by the name that the shell has for them.
fn operator() -> Operator {
    let name = ["USER", "LOGNAME"].iter().find_map(|name| env::var(name).ok().filter(|name| !name.is_empty()));
    Operator::new(name.unwrap_or_else(|| "unknown".to_owned()), Via::Command)
}

impl Cli {
    /// Runs the command. Exit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration.
    pub async fn run(self) -> ExitCode {
        match self.command {
            Command::Doctor => commands::doctor::run().await,
            Command::Configured(command) => match CliConfig::read(&mut Settings::from_env()) {
                Ok(config) => command.run(&config).await,
                Err(error) => {
                    eprintln!("norvalt: {error}");
                    match command {
                        ConfiguredCommand::Inbound(_) => ExitCode::from(TRY_AGAIN),
                        _ => ExitCode::from(WRONG_CONFIGURATION),
                    }
                }
            },
        }
    }
}

impl ConfiguredCommand {
    /// How it exits when it fails.
    fn failure(&self) -> ExitCode {
        match self {
            Self::Inbound(_) => ExitCode::from(TRY_AGAIN),
            _ => ExitCode::FAILURE,
        }
    }

    async fn run(self, config: &CliConfig) -> ExitCode {
        let failure = self.failure();
        let outcome = match self {
            Self::Migrate(args) => commands::migrate::run(config, &args).await,
            Self::Seed => commands::seed::run(config).await,
            Self::Instance(args) => commands::instance::run(config, &args).await,
            Self::Dealership(args) => commands::dealership::run(config, args).await,
            Self::Deliveries(args) => commands::deliveries::run(config, args).await,
            Self::Inbound(args) => commands::inbound::run(config, args).await,
            Self::Jobs(args) => commands::jobs::run(config, args).await,
            Self::Purge(args) => commands::purge::run(config, &args).await,
            Self::Report(args) => commands::report::run(config, args).await,
            Self::Restored(args) => commands::restored::run(config, &args).await,
            Self::Secrets(args) => commands::secrets::run(config, args).await,
            Self::Sync(args) => commands::sync::run(config, &args).await,
            Self::SyncUser(args) => commands::sync_user::run(config, args).await,
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                match error.downcast_ref::<db::Error>() {
                    Some(error) if error.means_not_migrated() => eprintln!("norvalt: {}", NotUsable::NotMigrated),
                    _ => eprintln!("norvalt: {}", telemetry::error_chain(&*error)),
                }
                failure
            }
        }
    }
}

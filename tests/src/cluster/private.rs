//! A cluster for one test alone: one that may be stopped and crashed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
};

use common::db::{self, DatabaseUrl};
use dev::postgres::socket_url;
use sqlx::{Connection, PgConnection};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::{
    Outcome, execute,
    lease::{Place, supervisor_binary},
    or_panic,
};

/// A durable PostgreSQL of one test. It ends, with everything in it, when this value is dropped or the process ends.
#[derive(Debug)]
pub struct PrivateCluster {
    /// Connects as the superuser, to a database with all migrations applied.
    pub url: String,
    place: Place,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    // Not ended when this is dropped: it notices by itself, and has to clear up first.
    _supervisor: Child,
}

/// Starts a cluster that the test may stop, start and crash.
pub async fn private_cluster() -> PrivateCluster {
    or_panic(PrivateCluster::create().await)
}

impl PrivateCluster {
    /// Ends the server as a power cut would, and starts it again.
    pub async fn restart_immediate(&mut self) {
        or_panic(self.tell("crash").await);
        or_panic(self.tell("start").await);
    }

    /// Ends the server; all connections are cut.
    pub async fn stop(&mut self) {
        or_panic(self.tell("stop").await);
    }

    /// Starts the server again.
    pub async fn start(&mut self) {
        or_panic(self.tell("start").await);
    }

    /// Connects as the superuser, whom no policy binds.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("the test has started the server")
    }

    /// Moves the tables that a webhook is written to into this directory, which belongs to the server's user.
    pub async fn move_tables_to(&self, directory: &Path) {
        for statement in [
            format!("CREATE TABLESPACE elsewhere LOCATION '{}'", directory.display()),
            "ALTER TABLE jobs SET TABLESPACE elsewhere".to_owned(),
            "ALTER TABLE deliveries SET TABLESPACE elsewhere".to_owned(),
        ] {
            or_panic(execute(&self.url, &statement).await.map_err(Into::into));
        }
    }

    /// The directory of the cluster, which belongs to the server's user.
    pub fn directory(&self) -> PathBuf {
        self.place.cluster()
    }

    /// What the server writes down.
    pub fn log(&self) -> PathBuf {
        self.place.cluster().join("postgres.log")
    }

    async fn create() -> Outcome<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let place = Place::private(NUMBER.fetch_add(1, Ordering::Relaxed))?;
        place.create()?;
        let mut command = Command::new(supervisor_binary()?);
        command.arg("--private").arg(place.root()).process_group(0).current_dir("/").stderr(File::create(place.log())?);
        let mut supervisor = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = "both ends of a pipe exist";
        let commands = supervisor.stdin.take().expect(pipes);
        let answers = BufReader::new(supervisor.stdout.take().expect(pipes)).lines();
        let url = socket_url(&place.cluster(), "norvalt");
        let mut cluster = Self { url, place, commands, answers, _supervisor: supervisor };
        cluster.tell("start").await?;
        execute(&socket_url(&cluster.place.cluster(), "postgres"), "CREATE DATABASE norvalt").await?;
        db::migrate(&cluster.url.parse::<DatabaseUrl>()?).await?;
        Ok(cluster)
    }

    async fn tell(&mut self, command: &str) -> Outcome<()> {
        self.commands.write_all(format!("{command}\n").as_bytes()).await?;
        match self.answers.next_line().await? {
            Some(answer) if answer == "done" => Ok(()),
            Some(problem) => Err(problem.into()),
            None => {
                let log = fs::read_to_string(self.place.log()).unwrap_or_default();
                Err(format!("the supervisor of the private cluster ended:\n{log}").into())
            }
        }
    }
}

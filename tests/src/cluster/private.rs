//! A cluster for one test alone: one that may be stopped and crashed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use common::db::{self, DatabaseUrl};
use dev::postgres::socket_url;
use sqlx::{Connection, PgConnection};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::OnceCell,
};

use super::{
    Outcome, execute,
    lease::{Place, supervisor_binary},
    or_panic,
    processes::{self, Frozen},
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

    /// Moves them back, and leaves nothing there.
    pub async fn move_tables_back(&self) {
        for statement in [
            "ALTER TABLE jobs SET TABLESPACE pg_default",
            "ALTER TABLE deliveries SET TABLESPACE pg_default",
            "DROP TABLESPACE elsewhere",
        ] {
            or_panic(execute(&self.url, statement).await.map_err(Into::into));
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

    /// Ends the server as the loss of its host would: nobody says goodbye.
    pub fn kill(&self) {
        processes::kill(&self.data());
    }

    /// Stops all of the server's processes in the middle of whatever they do, until the value is dropped.
    pub fn freeze(&self) -> Frozen {
        Frozen::of(&self.data())
    }

    /// Makes a standby the primary, and returns when it is.
    pub async fn promote(&self) {
        let mut superuser = self.connect().await;
        let promoted = sqlx::query_scalar::<_, bool>("SELECT pg_promote()").fetch_one(&mut superuser).await;
        assert!(promoted.expect("a standby"), "it is promoted within a minute");
    }

    /// Starts a hot standby of this cluster that calls itself `standby`. The cluster is stopped for it and started again.
    pub async fn standby(&mut self) -> Self {
        self.stop().await;
        let standby = or_panic(self.copy_as_standby().await);
        self.start().await;
        let mut standby = standby;
        standby.start().await;
        standby
    }

    /// The same, and from now on each commit waits for it.
    pub async fn synchronous_standby(&mut self) -> Self {
        let standby = self.standby().await;
        let mut superuser = self.connect().await;
        for statement in ["ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (standby)'", "SELECT pg_reload_conf()"] {
            sqlx::raw_sql(statement).execute(&mut superuser).await.expect("the superuser may");
        }
        let confirms = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'quorum')";
        while !sqlx::query_scalar::<_, bool>(confirms).fetch_one(&mut superuser).await.expect("valid") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        standby
    }

    /// A copy of a stopped server's files, as a standby. This takes no tool that not every PostgreSQL comes with.
    async fn copy_as_standby(&self) -> Outcome<Self> {
        let place = self.copy_files().await?;
        let home = place.cluster();
        let settings = home.join("data/postgresql.auto.conf");
        let host = self.directory();
        let primary = format!(
            "primary_conninfo = 'host={} user=postgres application_name=standby'\nwal_retrieve_retry_interval = '100ms'\n",
            host.display()
        );
        fs::write(&settings, fs::read_to_string(&settings)? + &primary)?;
        fs::write(home.join("data/standby.signal"), "")?;
        Self::supervise(place)
    }

    /// The files of a stopped server, in a place of their own.
    async fn copy_files(&self) -> Outcome<Place> {
        let place = Self::place()?;
        let copied = Command::new("cp").arg("-a").arg(self.directory()).arg(place.cluster()).status().await?;
        if copied.success() { Ok(place) } else { Err("cp failed".into()) }
    }

    /// A copy of one that was made once for all tests of the process: it takes a second to make one.
    async fn create() -> Outcome<Self> {
        static MODEL: OnceCell<PrivateCluster> = OnceCell::const_new();
        let model = MODEL.get_or_try_init(Self::model).await?;
        let mut cluster = Self::supervise(model.copy_files().await?)?;
        cluster.tell("start").await?;
        Ok(cluster)
    }

    /// One with all migrations applied, stopped.
    async fn model() -> Outcome<Self> {
        let mut cluster = Self::supervise(Self::place()?)?;
        cluster.tell("start").await?;
        execute(&socket_url(&cluster.place.cluster(), "postgres"), "CREATE DATABASE norvalt").await?;
        db::migrate(&cluster.url.parse::<DatabaseUrl>()?).await?;
        cluster.tell("stop").await?;
        Ok(cluster)
    }

    fn place() -> Outcome<Place> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let place = Place::private(NUMBER.fetch_add(1, Ordering::Relaxed))?;
        place.create()?;
        Ok(place)
    }

    fn supervise(place: Place) -> Outcome<Self> {
        let mut command = Command::new(supervisor_binary()?);
        command.arg("--private").arg(place.root()).process_group(0).current_dir("/").stderr(File::create(place.log())?);
        let mut supervisor = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = "both ends of a pipe exist";
        let commands = supervisor.stdin.take().expect(pipes);
        let answers = BufReader::new(supervisor.stdout.take().expect(pipes)).lines();
        let url = socket_url(&place.cluster(), "norvalt");
        Ok(Self { url, place, commands, answers, _supervisor: supervisor })
    }

    fn data(&self) -> PathBuf {
        self.directory().join("data")
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

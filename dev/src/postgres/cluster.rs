use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::Child,
    time::{Instant, sleep, timeout},
};

use super::{
    Account, Binaries, PostgresError,
    binaries::program,
    initialise::{Authentication, initialise},
};
use crate::{
    files::{self, During},
    process_table,
};

/// Recovery after a crash takes its time; an ordinary start takes a tenth of a second.
const START_TIMEOUT: Duration = Duration::from_mins(1);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// How a server is reached, always as the superuser `postgres`.
#[derive(Clone, PartialEq, Eq)]
pub enum Access {
    /// At 127.0.0.1.
    Tcp { port: u16, password: String },
    /// Through a socket in the cluster's own directory, by whoever may enter that directory: its owner and root.
    Socket,
}

/// How to end a server. <https://www.postgresql.org/docs/current/server-shutdown.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Cuts all connections, rolls back what they were at, and writes everything to disk.
    Fast,
    /// Like a power cut: the next start recovers from the log.
    Immediate,
}

/// What the data survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the host.
    HostCrash,
    /// A crash of the server, but not necessarily one of the host soon after the cluster was created.
    ServerCrash,
    /// Nothing but an orderly end, and everything is faster for it.
    Nothing,
}

/// Settings of a cluster that is thrown away after use.
const THROW_AWAY: [&str; 10] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=off",
    "max_connections=300",
    "shared_buffers=64MB",
    "jit=off",
    "checkpoint_timeout=1h",
];

/// A PostgreSQL server with a data directory of its own, in a directory that is nobody else's.
pub struct Cluster {
    binaries: Binaries,
    account: Account,
    home: PathBuf,
    access: Access,
    durability: Durability,
    server: Option<Child>,
}

impl Cluster {
    /// A cluster in the directory `home`, whether it exists already or not. Nothing runs before [`Cluster::start`].
    pub fn new(binaries: Binaries, account: Account, home: PathBuf, access: Access, durability: Durability) -> Self {
        Self { binaries, account, home, access, durability, server: None }
    }

    /// The programs in use.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The URL of a database of this cluster. It may hold the password.
    pub fn url(&self, database: &str) -> String {
        match &self.access {
            Access::Tcp { port, password } => format!("postgres://postgres:{password}@127.0.0.1:{port}/{database}"),
            Access::Socket => socket_url(&self.home, database),
        }
    }

    /// Creates the cluster unless there is one, and starts its server. A server that an earlier run left behind on the
    /// same data is ended first.
    pub async fn start(&mut self) -> Result<(), PostgresError> {
        self.prepare_home()?;
        end_leftover(&self.home).await?;
        let authentication = match &self.access {
            Access::Tcp { password, .. } => Authentication::Password(password),
            Access::Socket => Authentication::Trust,
        };
        initialise(&self.binaries, &self.account, &data(&self.home), authentication, self.durability).await?;
        self.check_version()?;
        self.server = Some(self.spawn()?);
        self.wait_until_ready().await
    }

    /// Ends the server and waits until it is gone. Nothing to do if it does not run.
    pub async fn stop(&mut self, how: Shutdown) -> Result<(), PostgresError> {
        let Some(server) = &mut self.server else { return Ok(()) };
        for how in [how, Shutdown::Immediate] {
            signal(server, how);
            if let Ok(ended) = timeout(STOP_TIMEOUT, server.wait()).await {
                ended.map_err(|source| PostgresError::Run { program: "postgres".to_owned(), source })?;
                self.server = None;
                return Ok(());
            }
        }
        let pid = server.id().unwrap_or_default().to_string();
        Err(PostgresError::Leftover { pid, directory: self.home.clone() })
    }

    /// Waits until the server ends by itself, and tells how. Never returns if it was not started.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        match &mut self.server {
            Some(server) => server.wait().await,
            None => std::future::pending().await,
        }
    }

    fn prepare_home(&self) -> Result<(), PostgresError> {
        match DirBuilder::new().mode(0o700).create(&self.home) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
        .during("create", &self.home)?;
        Ok(self.account.own(&self.home)?)
    }

    fn check_version(&self) -> Result<(), PostgresError> {
        match data_major(&self.home)? {
            Some(data_major) if data_major != self.binaries.major => Err(PostgresError::OtherMajor {
                directory: data(&self.home),
                data_major,
                found_major: self.binaries.major,
            }),
            _ => Ok(()),
        }
    }

    fn spawn(&self) -> Result<Child, PostgresError> {
        let log_path = log(&self.home);
        let log = File::create(&log_path).during("create", &log_path)?;
        let log_too = log.try_clone().during("open", &log_path)?;
        let mut command = program(&self.binaries.directory.join("postgres"), &self.account);
        command.arg("-D").arg(data(&self.home));
        match &self.access {
            Access::Tcp { port, .. } => command.args(["-h", "127.0.0.1", "-k", "", "-p", &port.to_string()]),
            Access::Socket => command.args(["-h", "", "-p", "5432", "-k"]).arg(&self.home),
        };
        if self.durability == Durability::Nothing {
            command.args(THROW_AWAY.iter().flat_map(|setting| ["-c", setting]));
        }
        // In a group of its own a Ctrl-C on the terminal does not reach it: what it serves is stopped first.
        command.process_group(0).stdout(Stdio::from(log)).stderr(Stdio::from(log_too));
        command.spawn().map_err(|source| PostgresError::Run { program: "postgres".to_owned(), source })
    }

    /// The same test that `pg_ctl --wait` makes.
    async fn wait_until_ready(&mut self) -> Result<(), PostgresError> {
        let deadline = Instant::now() + START_TIMEOUT;
        let pid = self.server.as_ref().and_then(Child::id).unwrap_or_default().to_string();
        while Instant::now() < deadline {
            if let Some(file) = files::read(&pid_file(&self.home))?
                && file.lines().next() == Some(&pid)
                && file.lines().nth(7).is_some_and(|status| status.trim() == "ready")
            {
                return Ok(());
            }
            if let Some(Ok(Some(status))) = self.server.as_mut().map(Child::try_wait) {
                self.server = None;
                return Err(PostgresError::Failed { program: "postgres".to_owned(), status, output: self.log_end() });
            }
            sleep(Duration::from_millis(10)).await;
        }
        Err(PostgresError::NotReady { seconds: START_TIMEOUT.as_secs(), log: self.log_end() })
    }

    fn log_end(&self) -> String {
        let text = fs::read(log(&self.home)).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Cluster {
    /// Where nobody waits for the end, the server still gets word of it.
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            signal(server, Shutdown::Fast);
        }
    }
}

/// Ends the server of an earlier run that was killed before it could do so; `home` is the directory of its cluster.
pub async fn end_leftover(home: &Path) -> Result<(), PostgresError> {
    let data = data(home);
    let Some(pid) = files::read(&pid_file(home))?.and_then(|file| process_table::parse_pid(file.lines().next()?))
    else {
        return Ok(());
    };
    // The file outlives its server, whose id may belong to anybody by now.
    let is_ours =
        |pid: Pid| process_table::command_line(pid).is_some_and(|line| line.contains(data.to_string_lossy().as_ref()));
    let signals =
        [(Signal::INT, STOP_TIMEOUT), (Signal::QUIT, Duration::from_secs(5)), (Signal::KILL, Duration::from_secs(5))];
    if process_table::end(pid, kill_process, &signals, is_ours).await {
        Ok(())
    } else {
        Err(PostgresError::Leftover { pid: pid.to_string(), directory: data })
    }
}

/// The major version that made the data, if there are any.
pub(super) fn data_major(home: &Path) -> Result<Option<u32>, PostgresError> {
    let version = files::read(&data(home).join("PG_VERSION"))?;
    Ok(version.and_then(|version| version.trim().parse().ok()))
}

fn data(home: &Path) -> PathBuf {
    home.join("data")
}

fn log(home: &Path) -> PathBuf {
    home.join("postgres.log")
}

fn pid_file(home: &Path) -> PathBuf {
    data(home).join("postmaster.pid")
}

fn signal(server: &Child, how: Shutdown) {
    let signal = match how {
        Shutdown::Fast => Signal::INT,
        Shutdown::Immediate => Signal::QUIT,
    };
    // No id: it ended and was waited for.
    if let Some(pid) = server.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// The URL of a database of a cluster that is reached through its socket; `home` is the cluster's directory.
pub fn socket_url(home: &Path, database: &str) -> String {
    format!("postgres://postgres@localhost/{database}?host={}", escaped(home))
}

/// A path as the value of a URL's query.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().bytes().fold(String::new(), |escaped, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => escaped + &char::from(byte).to_string(),
        other => escaped + &format!("%{other:02X}"),
    })
}

//! `PgBouncer` in front of a test's PostgreSQL, where it is installed.

use std::{env, fmt::Write, fs, path::PathBuf, process::Stdio, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::{sleep, timeout},
};

/// What is printed where it is not installed, or too old for a test.
pub const SKIPPED: &str = "skipped: needs PgBouncer";

/// One that runs. It ends when it is dropped.
#[derive(Debug)]
pub struct PgBouncer {
    /// The database's URL, through it.
    pub url: String,
    directory: PathBuf,
    _process: Child,
}

/// `major.minor` of the one that is installed, if one is.
pub async fn version() -> Option<(u32, u32)> {
    let output = program().arg("--version").output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.lines().next()?.strip_prefix("PgBouncer ")?.split('.').map_while(|part| part.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

impl PgBouncer {
    /// Starts one in front of the database with this URL. With `settings` of its own, one a line.
    pub async fn before(database_url: &str, settings: &str) -> Self {
        let (address, socket) = database_url.split_once("?host=").unwrap_or((database_url, ""));
        let (before, database) = address.rsplit_once('/').expect("a URL");
        let server = match (socket, before.rsplit_once(':')) {
            ("", Some((_, port))) => format!("127.0.0.1 port={port}"),
            _ => socket.to_owned(),
        };
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let directory = env::temp_dir().join(format!("norvalt-pgbouncer-{}-{port}", std::process::id()));
        fs::create_dir_all(&directory).expect("a writable directory");
        let mut configuration = String::new();
        let _ = write!(
            configuration,
            "[databases]\n{database} = host={server} dbname={database} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nunix_socket_dir =\n{settings}\n"
        );
        let file = directory.join("pgbouncer.ini");
        fs::write(&file, configuration).expect("a writable directory");
        let mut command = program();
        if rustix::process::getuid().is_root() {
            command.args(["-u", "postgres"]);
        }
        command
            .arg("-q")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let process = command.spawn().expect("it is installed");
        let listening = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(10), listening).await.expect("PgBouncer starts");
        Self { url: format!("postgres://postgres@127.0.0.1:{port}/{database}"), directory, _process: process }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // What is left is a file in the directory for what is temporary.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The first in `PATH`. Debian has it where only administrators look.
fn program() -> Command {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|directory| directory.join("pgbouncer").is_file());
    Command::new(if found { "pgbouncer" } else { "/usr/sbin/pgbouncer" })
}

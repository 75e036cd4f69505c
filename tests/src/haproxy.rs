//! `HAProxy` in front of a primary and its standby, where it is installed.

use std::{fmt::Write, fs, path::PathBuf, process::Stdio, time::Duration};

use sqlx::{Connection, PgConnection};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::cluster::PrivateCluster;

/// As `docs/scaling/fail-over.md` has it: who is no standby gets the connections, and whoever was chosen keeps them. Asked as
/// `postgres` in the database `postgres`.
const CONFIGURATION: &str = "
defaults
  mode tcp
  timeout connect 2s
  timeout client 30m
  timeout server 30m
  timeout check 1s
listen postgresql
  bind 127.0.0.1:PORT
  option tcp-check
  tcp-check connect
  tcp-check send-binary 00000029000300007573657200706f73746772657300646174616261736500706f7374677265730000
  tcp-check expect binary 5a0000000549
  tcp-check send-binary 510000001f53454c4543542070675f69735f696e5f7265636f76657279282900
  tcp-check expect binary 440000000b00010000000166
  stick-table type ip size 16 nopurge
  stick on dst
  option redispatch
  default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
";

/// One that runs. It ends when it is dropped.
#[derive(Debug)]
pub struct HaProxy {
    /// The database's URL, through it.
    pub url: String,
    directory: PathBuf,
    _process: Child,
}

impl HaProxy {
    /// Starts one in front of these servers. Nothing where it is not installed.
    pub async fn before(servers: &[&PrivateCluster]) -> Option<Self> {
        program().arg("-v").stdout(Stdio::null()).status().await.ok()?;
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let directory = std::env::temp_dir().join(format!("norvalt-haproxy-{}-{port}", std::process::id()));
        fs::create_dir_all(&directory).expect("a writable directory");
        let mut configuration = CONFIGURATION.replace("PORT", &port.to_string());
        for (number, server) in servers.iter().enumerate() {
            let socket = server.directory().join(".s.PGSQL.5432");
            let _ = writeln!(configuration, "  server pg{number} unix@{} check", socket.display());
        }
        let file = directory.join("haproxy.cfg");
        fs::write(&file, configuration).expect("a writable directory");
        let mut command = program();
        command.arg("-db").arg("-q").arg("-f").arg(&file).stdin(Stdio::null()).kill_on_drop(true);
        let process = command.spawn().expect("it is installed");
        let url = format!("postgres://postgres@127.0.0.1:{port}/norvalt");
        // At first it takes every server for good, also a standby.
        let leads_to_primary = async {
            while !is_primary(&url).await.unwrap_or(false) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(20), leads_to_primary).await.expect("HAProxy finds it");
        Some(Self { url, directory, _process: process })
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        // What is left is a file in the directory for what is temporary.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

async fn is_primary(url: &str) -> sqlx::Result<bool> {
    let mut superuser = PgConnection::connect(url).await?;
    sqlx::query_scalar("SELECT NOT pg_is_in_recovery()").fetch_one(&mut superuser).await
}

/// Debian has it where only administrators look.
fn program() -> Command {
    let debian = "/usr/sbin/haproxy";
    Command::new(if fs::exists(debian).unwrap_or(false) { debian } else { "haproxy" })
}

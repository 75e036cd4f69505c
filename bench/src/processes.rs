use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use dev::clerk::StandIn;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{Outcome, binaries::Binaries, http::Connection, options::Options};

/// Signs the webhooks of the load.
pub const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The issuer `https://clerk.localhost`, which is that of the stand-in's tokens.
const PUBLISHABLE_KEY: &str = "pk_test_Y2xlcmsubG9jYWxob3N0JA==";
const PATIENCE: Duration = Duration::from_secs(30);

/// A process of the program, with the defaults of its configuration. It ends with this value.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// SIGTERM, and waits.
    pub(crate) async fn stop(mut self) -> Outcome<()> {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        timeout(PATIENCE, self.child.wait()).await??;
        Ok(())
    }
}

/// What starts processes of the program.
pub(crate) struct Launcher<'a> {
    pub(crate) binaries: &'a Binaries,
    pub(crate) clerk: &'a StandIn,
    pub(crate) options: &'a Options,
}

impl Launcher<'_> {
    /// Starts the API, waits until it is ready, and tells where it is and how long that took.
    pub(crate) async fn api(&self, url: &str) -> Outcome<(Process, SocketAddr, Duration)> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut command = self.command(&self.binaries.path("api"), url);
        command.env("PORT", port.to_string()).env("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY);
        command.env("CLERK_JWKS_URL", self.clerk.jwks_url()).env("CLERK_WEBHOOK_SECRET", WEBHOOK_SECRET);
        command.envs(self.options.database_connections.map(|count| ("DATABASE_CONNECTIONS", count.to_string())));
        let begin = Instant::now();
        let child = command.spawn()?;
        until_ready(address, begin).await?;
        Ok((Process { child }, address, begin.elapsed()))
    }

    /// Starts a worker with so many slots.
    pub(crate) fn worker(&self, url: &str, concurrency: usize) -> Outcome<Process> {
        let mut command = self.command(&self.binaries.path("worker"), url);
        Ok(Process { child: command.env("WORKER_CONCURRENCY", concurrency.to_string()).spawn()? })
    }

    /// Starts a worker, waits until it is ready, and tells how long that took.
    pub(crate) async fn ready_worker(&self, url: &str) -> Outcome<(Process, Duration)> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut command = self.command(&self.binaries.path("worker"), url);
        let begin = Instant::now();
        let child = command.env("WORKER_ADMIN_ADDRESS", address.to_string()).spawn()?;
        until_ready(address, begin).await?;
        Ok((Process { child }, begin.elapsed()))
    }

    /// Not in the environment of whoever runs the benchmarks, and with no `.env` file either. What is logged is formatted
    /// as in production, and thrown away.
    fn command(&self, binary: &Path, url: &str) -> Command {
        let mut command = Command::new(binary);
        command.env_clear().env("DATABASE_URL", url).env("LOG_FORMAT", "json").current_dir("/").kill_on_drop(true);
        if !self.options.logs {
            command.stdout(Stdio::null());
        }
        command.stdin(Stdio::null());
        command
    }
}

async fn until_ready(address: SocketAddr, begin: Instant) -> Outcome<()> {
    while !is_ready(address).await {
        if begin.elapsed() > PATIENCE {
            return Err("a process does not become ready; --logs shows what it says".into());
        }
        sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut connection) = Connection::open(address).await else { return false };
    let answer = connection.exchange(b"GET /health/ready HTTP/1.1\r\nHost: bench\r\n\r\n").await;
    answer.is_ok_and(|answer| answer.status == 200)
}

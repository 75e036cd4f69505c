use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Stdio,
    time::{Duration, Instant},
};

use dev::stand_ins::clerk::StandIn;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{Outcome, binaries::Binaries, http::Connection, options::Options, output::Output};

/// Signs the webhooks of the load.
pub const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The issuer `https://clerk.localhost`, which is that of the stand-in's tokens.
const PUBLISHABLE_KEY: &str = "pk_test_Y2xlcmsubG9jYWxob3N0JA==";
const READY_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A process of the program, with the defaults of its configuration. It ends with this value.
pub(crate) struct Process {
    child: Child,
    output: Option<Output>,
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
        timeout(STOP_LIMIT, self.child.wait()).await??;
        Ok(())
    }

    /// Waits until it is ready. If it never is, says how it ended and what it said last.
    async fn until_ready(&mut self, name: &str, address: SocketAddr, begin: Instant) -> Outcome<()> {
        while !is_ready(address).await {
            let problem = match self.child.try_wait()? {
                Some(status) => format!("ended before it was ready ({status})"),
                None if begin.elapsed() > READY_LIMIT => format!("is not ready after {READY_LIMIT:?}, but runs"),
                None => {
                    sleep(Duration::from_millis(2)).await;
                    continue;
                }
            };
            let said = self.output.as_ref().map(Output::last_lines).transpose()?.unwrap_or_default();
            return Err(format!("{name} {problem}; the last that it said:\n{said}").into());
        }
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
        self.api_with(url, &[]).await
    }

    /// The same, with these settings beside.
    pub(crate) async fn api_with(
        &self,
        url: &str,
        settings: &[(&str, &str)],
    ) -> Outcome<(Process, SocketAddr, Duration)> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (mut command, output) = self.command("api", url)?;
        command.env("PORT", port.to_string()).env("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY);
        command.env("CLERK_JWKS_URL", self.clerk.jwks_url()).env("CLERK_WEBHOOK_SECRET", WEBHOOK_SECRET);
        command.envs(self.options.database_connections.map(|count| ("DATABASE_CONNECTIONS", count.to_string())));
        command.envs(settings.iter().copied());
        let begin = Instant::now();
        let mut process = Process { child: command.spawn()?, output };
        process.until_ready("the API", address, begin).await?;
        Ok((process, address, begin.elapsed()))
    }

    /// Starts a worker with so many slots.
    pub(crate) fn worker(&self, url: &str, concurrency: usize) -> Outcome<Process> {
        self.worker_with(url, concurrency, &[])
    }

    /// The same, with these settings beside.
    pub(crate) fn worker_with(&self, url: &str, concurrency: usize, settings: &[(&str, &str)]) -> Outcome<Process> {
        let (mut command, output) = self.command("worker", url)?;
        command.envs(settings.iter().copied());
        Ok(Process { child: command.env("WORKER_CONCURRENCY", concurrency.to_string()).spawn()?, output })
    }

    /// Starts a worker, waits until it is ready, and tells how long that took.
    pub(crate) async fn ready_worker(&self, url: &str) -> Outcome<(Process, Duration)> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (mut command, output) = self.command("worker", url)?;
        let begin = Instant::now();
        let mut process = Process { child: command.env("WORKER_ADMIN_ADDRESS", address.to_string()).spawn()?, output };
        process.until_ready("the worker", address, begin).await?;
        Ok((process, begin.elapsed()))
    }

    /// Not in the environment of whoever runs the benchmarks, and with no `.env` file either. What is logged is formatted
    /// as in production, and soon thrown away.
    fn command(&self, program: &str, url: &str) -> Outcome<(Command, Option<Output>)> {
        let mut command = Command::new(self.binaries.path(program));
        command.env_clear().env("DATABASE_URL", url).env("LOG_FORMAT", "json").current_dir("/").kill_on_drop(true);
        command.stdin(Stdio::null());
        if self.options.logs {
            return Ok((command, None));
        }
        let output = Output::new()?;
        command.stdout(output.writer()?).stderr(output.writer()?);
        Ok((command, Some(output)))
    }
}

async fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut connection) = Connection::open(address).await else { return false };
    let answer = connection.exchange(b"GET /health/ready HTTP/1.1\r\nHost: bench\r\n\r\n").await;
    answer.is_ok_and(|answer| answer.status == 200)
}

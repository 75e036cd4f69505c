//! The real binaries as processes of a test: they end with the value that stands for them.

use std::{
    collections::{HashMap, VecDeque},
    env, fs,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use common::clock::Clock;
use dev::stand_ins::clerk::{StandIn, signed_headers};
use reqwest::Client;
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::{answer::Answer, app::WEBHOOK_SECRET, binaries::binary};

/// The issuer `https://clerk.localhost`, which is that of the stand-in's tokens.
const PUBLISHABLE_KEY: &str = "pk_test_Y2xlcmsubG9jYWxob3N0JA==";

/// How many of a process's complaints are kept.
const LINES: usize = 40;
/// By process.
static READERS: LazyLock<Mutex<HashMap<u32, JoinHandle<VecDeque<String>>>>> = LazyLock::new(Mutex::default);

/// A binary on this database: not in the environment of whoever runs the tests, and with no `.env` file either.
pub fn command(name: &str, database_url: &str) -> Command {
    prepared(Command::new(binary(name)), database_url)
}

/// The same of another release, whose binaries are in this directory.
pub fn command_of(binaries: &Path, name: &str, database_url: &str) -> Command {
    prepared(Command::new(binaries.join(name)), database_url)
}

/// The same, started by a shell that does something first, such as `ulimit`.
pub fn command_after(script: &str, name: &str, database_url: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{script}; exec \"$0\"")).arg(binary(name));
    prepared(shell, database_url)
}

fn prepared(mut command: Command, database_url: &str) -> Command {
    command.env_clear().env("DATABASE_URL", database_url).env("LOG_FORMAT", "json");
    command.env("DRAIN_SECONDS", "0");
    command.current_dir(env::temp_dir()).kill_on_drop(true).stdin(Stdio::null());
    command
}

/// The same on a host whose clock is off, such as by `+1h`. Nothing where Debian's package `libfaketime` is not installed.
/// Its command `faketime` would be a process of its own, which passes no signals on.
pub fn command_at(offset: &str, name: &str, database_url: &str) -> Option<Command> {
    let directories = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let library = directories.map(|path| path.join("faketime/libfaketimeMT.so.1")).find(|library| library.is_file())?;
    let mut command = command(name, database_url);
    command.env("LD_PRELOAD", library).env("FAKETIME", offset).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Some(command)
}

/// Starts the API on any free port and returns where that is, which its log tells.
pub async fn start_api(database_url: &str, clerk: &StandIn) -> (Child, String) {
    start_api_as(command("api", database_url), clerk).await
}

/// The same with a command of one's own.
pub async fn start_api_as(mut command: Command, clerk: &StandIn) -> (Child, String) {
    command.env("PORT", "0").env("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY).stdout(Stdio::piped());
    command.env("CLERK_JWKS_URL", clerk.jwks_url()).env("CLERK_WEBHOOK_SECRET", WEBHOOK_SECRET);
    let mut api = command.spawn().expect("the binary runs");
    let mut log = BufReader::new(api.stdout.take().expect("it is piped")).lines();
    let serving = async {
        loop {
            let line = log.next_line().await.expect("readable").expect("it serves before it ends");
            let line: Value = serde_json::from_str(&line).expect("JSON lines");
            if let Some(address) = line["address"].as_str() {
                return address.replace("[::]", "127.0.0.1").replace("0.0.0.0", "127.0.0.1");
            }
        }
    };
    let address = timeout(Duration::from_secs(30), serving).await.expect("it serves soon");
    keep(&api, log);
    (api, format!("http://{address}"))
}

/// Reads what a process says: a pipe that nobody reads would stop it.
fn keep(process: &Child, mut log: Lines<BufReader<ChildStdout>>) {
    let pid = process.id().expect("it has just been started");
    let reader = tokio::spawn(async move {
        let mut complaints = VecDeque::new();
        while let Ok(Some(line)) = log.next_line().await {
            if !line.contains(r#""level":"INFO""#) {
                complaints.push_back(line);
                if complaints.len() > LINES {
                    complaints.pop_front();
                }
            }
        }
        complaints
    });
    READERS.lock().unwrap_or_else(PoisonError::into_inner).insert(pid, reader);
}

/// The last warnings and errors of a process of this test that has ended.
pub async fn complaints(pid: u32) -> String {
    let reader = READERS.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid).expect("it was started here");
    let complaints =
        timeout(Duration::from_secs(30), reader).await.expect("its pipe ends with it").expect("it reads on");
    complaints.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// The API as [`start_api`] starts it, with an address for operators, and not started yet.
pub fn api_command(database_url: &str, clerk: &StandIn) -> Command {
    let mut command = command("api", database_url);
    command.env("PORT", "0").env("API_ADMIN_ADDRESS", "127.0.0.1:0").env("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY);
    command.env("CLERK_JWKS_URL", clerk.jwks_url()).env("CLERK_WEBHOOK_SECRET", WEBHOOK_SECRET);
    command
}

/// The worker with an address for operators, not started yet.
pub fn worker_command(database_url: &str) -> Command {
    let mut command = command("worker", database_url);
    command.env("WORKER_ADMIN_ADDRESS", "127.0.0.1:0");
    command
}

/// Sends a signal to a process of this test.
pub fn signal(process: &Child, signal: Signal) {
    let pid = process.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it has not ended yet");
    kill_process(pid, signal).expect("it is our own child");
}

/// Waits for a process of this test that has to end.
pub async fn ended(process: &mut Child) -> ExitStatus {
    timeout(Duration::from_secs(30), process.wait()).await.expect("it ends").expect("it is our own child")
}

/// The physical memory of a process of this test, in MiB.
pub fn resident_memory(process: &Child) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id().expect("it has not ended yet")));
    let status = status.expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it is a process");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok()).expect("a number of kB") / 1024
}

/// Starts a worker whose jobs are taken over soon after it dies.
pub fn start_worker(database_url: &str) -> Child {
    let mut command = command("worker", database_url);
    command.env("WORKER_LEASE_SECONDS", "2");
    start_worker_as(command)
}

/// Starts a worker with a command of one's own.
pub fn start_worker_as(mut command: Command) -> Child {
    let mut worker = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
    let log = BufReader::new(worker.stdout.take().expect("it is piped")).lines();
    keep(&worker, log);
    worker
}

/// Delivers a webhook as Svix would, to the API at this URL.
pub async fn deliver(url: &str, svix_id: &str, body: &str) -> Answer {
    let headers = signed_headers(WEBHOOK_SECRET, svix_id, Clock::system().now(), body.as_bytes()).expect("valid");
    let request = Client::new().post(format!("{url}/webhooks/clerk")).body(body.to_owned());
    Answer::of(headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))).await
}

//! The real binaries as processes of a test: they end with the value that stands for them.

use std::{env, process::Stdio, sync::Arc, time::Duration};

use common::clock::Clock;
use dev::clerk::{StandIn, signed_headers};
use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use crate::{answer::Answer, app::WEBHOOK_SECRET, binaries::binary};

/// The issuer `https://clerk.localhost`, which is that of the stand-in's tokens.
const PUBLISHABLE_KEY: &str = "pk_test_Y2xlcmsubG9jYWxob3N0JA==";

/// A binary on this database: not in the environment of whoever runs the tests, and with no `.env` file either.
pub fn command(name: &str, database_url: &str) -> Command {
    let mut command = Command::new(binary(name));
    command.env_clear().env("DATABASE_URL", database_url).env("LOG_FORMAT", "json");
    command.env("DRAIN_SECONDS", "0");
    command.current_dir(env::temp_dir()).kill_on_drop(true).stdin(Stdio::null());
    command
}

/// Starts the API on any free port and returns where that is, which its log tells.
pub async fn start_api(database_url: &str, clerk: &StandIn) -> (Child, String) {
    let mut command = command("api", database_url);
    command.env("PORT", "0").env("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY).stdout(Stdio::piped());
    command.env("CLERK_JWKS_URL", clerk.jwks_url()).env("CLERK_WEBHOOK_SECRET", WEBHOOK_SECRET);
    let mut api = command.spawn().expect("the binary runs");
    let mut log = BufReader::new(api.stdout.take().expect("it is piped")).lines();
    let serving = async {
        loop {
            let line = log.next_line().await.expect("readable").expect("it serves before it ends");
            let line: Value = serde_json::from_str(&line).expect("JSON lines");
            if let Some(address) = line["address"].as_str() {
                return address.replace("0.0.0.0", "127.0.0.1");
            }
        }
    };
    let address = timeout(Duration::from_secs(30), serving).await.expect("it serves soon");
    // A pipe that nobody reads would stop it.
    tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    (api, format!("http://{address}"))
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

/// A binary of which everything is kept that it says.
pub struct Talking {
    child: Child,
    said: watch::Receiver<String>,
    listening: Vec<JoinHandle<()>>,
}

impl Talking {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let (saying, said) = watch::channel(String::new());
        let saying = Arc::new(saying);
        let out = tokio::spawn(listen(child.stdout.take().expect("it is piped"), saying.clone()));
        let err = tokio::spawn(listen(child.stderr.take().expect("it is piped"), saying));
        Self { child, said, listening: vec![out, err] }
    }

    /// Waits for a JSON line with this field, and returns its value.
    pub async fn field(&mut self, name: &str) -> String {
        let value = |said: &str| {
            let mut lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find_map(|line| line[name].as_str().map(str::to_owned))
        };
        let said = timeout(PATIENCE, self.said.wait_for(|said| value(said).is_some())).await;
        let said = said.unwrap_or_else(|_| panic!("no line has {name}")).expect("it lives");
        value(&said).expect("it was waited for")
    }

    /// `http://` and the address that a field has.
    pub async fn url(&mut self, field: &str) -> String {
        format!("http://{}", self.field(field).await.replace("0.0.0.0", "127.0.0.1"))
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it has not ended yet");
        kill_process(pid, Signal::TERM).expect("it is our own child");
    }

    /// Waits for its end, and returns its exit code and everything that it said.
    pub async fn ended(mut self) -> (Option<i32>, String) {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it is our own child");
        for listening in self.listening {
            listening.await.expect("it only reads");
        }
        (status.code(), self.said.borrow().clone())
    }

    /// Stops it cleanly, and returns everything that it said.
    pub async fn stop(self) -> String {
        self.terminate();
        let (code, said) = self.ended().await;
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

async fn listen(log: impl AsyncRead + Unpin, saying: Arc<watch::Sender<String>>) {
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        saying.send_modify(|said| *said += &(line + "\n"));
    }
}

/// Far longer than anything should take, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a worker whose jobs are taken over soon after it dies.
pub fn start_worker(database_url: &str) -> Child {
    let mut command = command("worker", database_url);
    command.env("WORKER_LEASE_SECONDS", "2").stdout(Stdio::null()).spawn().expect("the binary runs")
}

/// Delivers a webhook as Svix would, to the API at this URL.
pub async fn deliver(url: &str, svix_id: &str, body: &str) -> Answer {
    let headers = signed_headers(WEBHOOK_SECRET, svix_id, Clock::system().now(), body.as_bytes()).expect("valid");
    let request = Client::new().post(format!("{url}/webhooks/clerk")).body(body.to_owned());
    Answer::of(headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))).await
}

//! The real binaries as processes of a test: they end with the value that stands for them.

use std::{env, process::Stdio, time::Duration};

use common::clock::Clock;
use dev::clerk::{StandIn, signed_headers};
use reqwest::Client;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{answer::Answer, app::WEBHOOK_SECRET, binaries::binary};

/// The issuer `https://clerk.localhost`, which is that of the stand-in's tokens.
const PUBLISHABLE_KEY: &str = "pk_test_Y2xlcmsubG9jYWxob3N0JA==";

/// A binary on this database: not in the environment of whoever runs the tests, and with no `.env` file either.
pub fn command(name: &str, database_url: &str) -> Command {
    let mut command = Command::new(binary(name));
    command.env_clear().env("DATABASE_URL", database_url).env("LOG_FORMAT", "json");
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

//! What operators see of the real binaries: metrics, health, log lines and traces.

mod metrics;
mod monitoring;
mod refusals;
mod traces;

use dev::stand_ins::clerk::{Options, SigningKey, StandIn};
use tests::{
    clerk_events::Membership,
    cluster::{TestDatabase, database},
    logged_process::LoggedProcess,
    processes::{api_command, worker_command},
};
use tokio::net::TcpListener;

/// An API and a worker, each with what it says.
struct Pair {
    database: TestDatabase,
    clerk: StandIn,
    api: LoggedProcess,
    worker: LoggedProcess,
    /// Where the API is.
    url: String,
    api_admin: String,
    worker_admin: String,
}

impl Pair {
    async fn start(environment: &[(&str, &str)]) -> Self {
        let database = database().await;
        let clerk = stand_in().await;
        let (mut api, mut worker) = (api_command(&database.url, &clerk), worker_command(&database.url));
        api.envs(environment.iter().copied());
        worker.envs(environment.iter().copied());
        let (mut api, mut worker) = (LoggedProcess::start(api), LoggedProcess::start(worker));
        let (url, api_admin) = (api.url("address").await, api.url("admin_address").await);
        let worker_admin = worker.url("admin_address").await;
        Self { database, clerk, api, worker, url, api_admin, worker_admin }
    }
}

async fn stand_in() -> StandIn {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file")
}

/// Kari is an admin of Tesla Oslo from now on.
fn kari_joins() -> String {
    let membership = Membership {
        id: "orgmem_1",
        org: "org_demo_tesla_oslo",
        org_name: "Tesla Oslo",
        org_at: 1_000,
        user: "user_demo_kari",
        first_name: "Kari",
        identifier: Some("kari@example.no"),
        role: "org:admin",
        at: 2_000,
    };
    membership.event("created").to_string()
}

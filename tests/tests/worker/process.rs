//! The binary itself.

use std::{
    env,
    process::{Output, Stdio},
    time::Duration,
};

use common::{
    clerk::{self, Receipt},
    db::Db,
};
use sqlx::PgConnection;
use tests::{
    binaries::binary,
    clerk_events,
    cluster::{TestDatabase, database, empty_database},
    jobs::JobTable,
    processes::{Signal, ended, signal},
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

fn command() -> Command {
    let mut command = Command::new(binary("worker"));
    // Not the environment of whoever runs the tests, and no .env file either.
    command.env_clear().current_dir(env::temp_dir()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn start(database: &TestDatabase) -> Child {
    let mut command = command();
    command.env("DATABASE_URL", &database.url).env("WORKER_LEASE_SECONDS", "2").env("WORKER_POLL_SECONDS", "60");
    command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().expect("the binary runs")
}

async fn output(mut command: Command) -> Output {
    timeout(Duration::from_secs(30), command.output()).await.expect("it ends").expect("the binary runs")
}

/// Stores a Clerk event and returns a lock on it, which keeps whoever processes it waiting.
async fn blocked_event(database: &TestDatabase) -> PgConnection {
    let db = Db::new(&database.url.parse().expect("it is a PostgreSQL URL"), 2, "tests");
    let event = clerk_events::organization("organization.created", "org_1", "Tesla Oslo", 1_700_000_000_000);
    let body = event.to_string();
    let receipt =
        clerk::receive(&db, None, &clerk_events::delivery("msg_1", &body)).await.expect("the database is there");
    assert!(matches!(receipt, Receipt::Accepted { .. }), "{receipt:?}");
    let mut lock = database.connect().await;
    sqlx::raw_sql("BEGIN; SELECT FROM deliveries FOR UPDATE").execute(&mut lock).await.expect("the lock is free");
    lock
}

const WAITS_FOR_THE_LOCK: &str = "
    SELECT $1 = (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";

#[tokio::test]
async fn a_job_of_a_killed_process_is_finished_by_another_exactly_once() {
    let database = database().await;
    let mut superuser = JobTable::at(&database.url).await;
    let mut lock = blocked_event(&database).await;
    let mut killed = start(&database);
    superuser.wait_until(WAITS_FOR_THE_LOCK, 1).await;
    signal(&killed, Signal::KILL);
    assert!(!ended(&mut killed).await.success());

    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.expect("the lock is ours");
    let mut other = start(&database);
    superuser.wait_for_count("clerk.process_event", "done", 1).await;
    let dealerships: (i64, String) = sqlx::query_as("SELECT count(*), min(name) FROM dealerships")
        .fetch_one(&mut lock)
        .await
        .expect("dealerships can be counted");
    assert_eq!(dealerships, (1, "Tesla Oslo".to_owned()));
    superuser.wait_until("SELECT attempts = $1 FROM jobs WHERE kind = 'clerk.process_event'", 2).await;
    signal(&other, Signal::TERM);
    assert_eq!(ended(&mut other).await.code(), Some(0));
}

#[tokio::test]
async fn the_first_signal_lets_jobs_finish() {
    let database = database().await;
    let mut superuser = JobTable::at(&database.url).await;
    let mut lock = blocked_event(&database).await;
    let mut worker = start(&database);
    superuser.wait_until(WAITS_FOR_THE_LOCK, 1).await;
    signal(&worker, Signal::INT);
    // The connection of the claimer goes when it has stopped: the signal has arrived.
    let stopping = "SELECT $1 = count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'norvalt worker claimer'";
    superuser.wait_until(stopping, 0).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.expect("the lock is ours");
    assert_eq!(ended(&mut worker).await.code(), Some(0));
    assert_eq!(superuser.count("clerk.process_event", "done").await, 1);
}

#[tokio::test]
async fn the_second_signal_aborts() {
    let database = database().await;
    let mut superuser = JobTable::at(&database.url).await;
    let _lock = blocked_event(&database).await;
    let mut worker = start(&database);
    superuser.wait_until(WAITS_FOR_THE_LOCK, 1).await;
    signal(&worker, Signal::TERM);
    let stopping = "SELECT $1 = count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'norvalt worker claimer'";
    superuser.wait_until(stopping, 0).await;
    signal(&worker, Signal::TERM);
    assert_eq!(ended(&mut worker).await.code(), Some(130));
}

#[tokio::test]
async fn everything_that_is_wrong_with_the_configuration_is_told_at_once() {
    let mut command = command();
    command.env("WORKER_CONCURRENCY", "many");
    let output = output(command).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78));
    assert!(told.contains("DATABASE_URL") && told.contains("WORKER_CONCURRENCY"), "{told}");
}

#[tokio::test]
async fn a_database_that_is_not_migrated_is_refused_with_the_remedy() {
    let database = empty_database().await;
    let mut command = command();
    command.env("DATABASE_URL", &database.url);
    let output = output(command).await;
    let log = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(log.contains("run: norvalt migrate"), "{log}");
}

#[tokio::test]
async fn arguments_are_not_ignored() {
    for (argument, code, says) in
        [("--help", 0, "Usage: worker"), ("--version", 0, "worker 0."), ("--hlep", 2, "Usage")]
    {
        let mut command = command();
        command.arg(argument);
        let output = output(command).await;
        let said = String::from_utf8_lossy(if code == 0 { &output.stdout } else { &output.stderr }).into_owned();
        assert_eq!(output.status.code(), Some(code), "{argument}");
        assert!(said.contains(says), "{argument}: {said}");
    }
}

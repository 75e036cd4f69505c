use std::os::unix::process::ExitStatusExt;

use tests::{
    cluster::{TestDatabase, database},
    jobs::JobTable,
    processes::{Signal, command, ended},
    test_system::TestSystem,
};
use tokio::{process::Command, time::Instant};

const ATTEMPTS: i16 = 3;

fn test_worker(database_url: &str) -> Command {
    let mut command = command("test-worker", database_url);
    command.env("WORKER_LEASE_SECONDS", "2");
    command
}

/// Writes down a job that misbehaves, where only a `test-worker` takes it from.
async fn misbehave(database: &TestDatabase, payload: &str, attempts: i16) -> i64 {
    sqlx::query_scalar(
        "INSERT INTO jobs (queue, kind, payload, payload_version, state, max_attempts)
         VALUES ('test.misbehave', 'test.misbehave', $1::text::jsonb, 1, 'available', $2) RETURNING id",
    )
    .bind(payload)
    .bind(attempts)
    .fetch_one(&mut database.connect().await)
    .await
    .expect("a job can be written down")
}

#[tokio::test]
async fn a_job_that_aborts_its_process_each_time() {
    let database = database().await;
    let mut system = TestSystem::open(&database.url, &database.url, 1).await;
    let mut jobs = JobTable::at(&database.url).await;
    let poison = misbehave(&database, r#"{"how": "abort"}"#, ATTEMPTS).await;
    for _ in 0..ATTEMPTS {
        // As whoever watches over processes would.
        system.hire_by(test_worker(&database.url));
        let mut aborted = system.workers.pop().expect("it was just hired");
        assert_eq!(ended(&mut aborted).await.signal(), Some(Signal::ABORT.as_raw()));
    }
    let aborted = Instant::now();
    jobs.wait_for(poison, "dead").await;
    system.hire_by(test_worker(&database.url));
    system.recover("a job that aborts its process", aborted).await;
    system.close().await.expect_exactly_once();
    // What ran beside it was not buried with it.
    jobs.wait_until("SELECT count(*) = $1 FROM jobs WHERE state = 'dead'", 1).await;
}

#[tokio::test]
async fn jobs_that_panic_hang_and_cannot_be_read() {
    let database = database().await;
    let mut system = TestSystem::open(&database.url, &database.url, 1).await;
    system.hire_by(test_worker(&database.url));
    let mut jobs = JobTable::at(&database.url).await;
    for (payload, reason) in [
        (r#"{"how": "panic"}"#, "panicked: as it was meant to"),
        (r#"{"how": "hang"}"#, "did not finish within 200ms"),
        (r#"{"how": 7}"#, "the payload cannot be read"),
    ] {
        // More than there are slots: each is free again.
        let mut last = 0;
        for _ in 0..12 {
            last = misbehave(&database, payload, 1).await;
        }
        jobs.wait_for_count("test.misbehave", "dead", 12).await;
        let row = jobs.row(last).await;
        assert!(row.errors[0]["error"].as_str().is_some_and(|error| error.starts_with(reason)), "{row:?}");
        jobs.change("DELETE FROM jobs WHERE id <= $1 AND kind = 'test.misbehave'", last).await;
    }
    system.recover("jobs that panic, hang and cannot be read", Instant::now()).await;
    system.close().await.expect_exactly_once();
}

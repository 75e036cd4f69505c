use std::{collections::BTreeSet, time::Duration};

use common::{
    db::Db,
    queue::{Job, NewJob, enqueue},
};
use sqlx::{Connection, PgConnection};
use tests::{cluster::private_cluster, jobs::JobTable};
use tokio::time::timeout;
use worker::RunError;

use super::{
    TestWorker,
    kinds::{Effect, Gate, Gated, Hopeless, Plain},
};

const JOBS: i64 = 400;

async fn add_many(db: &Db, jobs: i64) {
    let mut tx = db.system().await.expect("the database is there");
    for _ in 0..jobs {
        enqueue(&mut tx, &NewJob::now(&Plain {})).await.expect("it can be enqueued");
    }
    tx.commit().await.expect("it can be committed");
}

/// Every job has had its effect, and none twice.
async fn assert_exactly_once(table: &mut JobTable, jobs: i64) {
    let effects: Vec<_> = table.payloads(Effect::KIND).await.iter().map(|payload| payload["of"].as_i64()).collect();
    let distinct: BTreeSet<_> = effects.iter().collect();
    let jobs = usize::try_from(jobs).expect("it is a number of jobs");
    assert_eq!((effects.len(), distinct.len()), (jobs, jobs));
}

async fn cut_the_workers_connections(url: &str) {
    let mut superuser = PgConnection::connect(url).await.expect("the database is there");
    let cut: i64 = sqlx::query_scalar(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'norvalt worker%'",
    )
    .fetch_one(&mut superuser)
    .await
    .expect("a superuser may");
    assert!(cut >= 3, "there was hardly anything to cut");
}

#[tokio::test]
async fn cut_connections_neither_lose_nor_double_anything() {
    let mut test = TestWorker::open().await;
    let worker = test.worker();
    add_many(&test.db, JOBS).await;
    for progress in [20, 100, 200, 300] {
        test.table.wait_for_count(Plain::KIND, "done", progress).await;
        cut_the_workers_connections(&test.url).await;
    }
    test.table.wait_for_count(Plain::KIND, "done", JOBS).await;
    assert_exactly_once(&mut test.table, JOBS).await;

    // It listens again: nothing but the announcement brings this job to it.
    let after = test.add(&Plain {}).await;
    test.table.wait_for(after, "done").await;
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_crash_of_the_database_neither_loses_nor_doubles_anything() {
    let mut cluster = private_cluster().await;
    let test = TestWorker::at(&cluster.url).await;
    let worker = test.worker();
    add_many(&test.db, JOBS).await;
    for progress in [20, 200] {
        JobTable::at(&cluster.url).await.wait_for_count(Plain::KIND, "done", progress).await;
        cluster.restart_immediate().await;
    }
    let mut table = JobTable::at(&cluster.url).await;
    table.wait_for_count(Plain::KIND, "done", JOBS).await;
    assert_exactly_once(&mut table, JOBS).await;
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_worker_waits_for_a_database_that_is_away() {
    let mut cluster = private_cluster().await;
    let test = TestWorker::at(&cluster.url).await;
    let job = test.add(&Plain {}).await;
    test.db.close().await;
    cluster.stop().await;
    let worker = test.worker();
    assert!(!worker.task.is_finished());
    cluster.start().await;
    JobTable::at(&cluster.url).await.wait_for(job, "done").await;
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_worker_stops_in_time_and_says_so_when_the_database_is_away() {
    let mut cluster = private_cluster().await;
    let mut test = TestWorker::at(&cluster.url).await;
    test.config.shutdown = Duration::from_millis(200);
    let gate = Gate::of("when_the_database_is_away");
    let id = test.add(&Gated { gate: "when_the_database_is_away".into() }).await;
    let worker = test.worker();
    gate.arrived(1).await;
    cluster.stop().await;
    gate.open(1);
    let stopped = timeout(Duration::from_secs(30), worker.stop()).await.expect("it does not hang");
    assert!(matches!(stopped, Err(RunError::Interrupted { jobs: 1, .. })), "{stopped:?}");
    cluster.start().await;
    assert_eq!(JobTable::at(&cluster.url).await.state(id).await, "running");
}

#[tokio::test]
async fn a_failure_that_cannot_be_written_down_ends_with_the_lease() {
    let mut test = TestWorker::open().await;
    test.config.lease = Duration::from_secs(2);
    let refuse = "
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON jobs FOR EACH ROW WHEN (NEW.state = 'dead') EXECUTE FUNCTION refuse()";
    let mut superuser = PgConnection::connect(&test.url).await.expect("the database is there");
    sqlx::raw_sql(refuse).execute(&mut superuser).await.expect("a superuser may");
    let _worker = test.worker();
    let id = test.add(&Hopeless {}).await;
    // The lease ran out and the job was claimed again.
    test.table.wait_until("SELECT attempts = 2 FROM jobs WHERE id = $1", id).await;
    sqlx::raw_sql("DROP TRIGGER refuse ON jobs").execute(&mut superuser).await.expect("a superuser may");
    test.table.wait_for(id, "dead").await;
}

#[tokio::test]
async fn a_job_whose_worker_vanished_is_run_by_another() {
    let mut test = TestWorker::open().await;
    let gate = Gate::of("a_job_whose_worker_vanished");
    let vanishing = test.worker();
    let id = test.add(&Gated { gate: "a_job_whose_worker_vanished".into() }).await;
    gate.arrived(1).await;
    vanishing.task.abort();
    assert!(vanishing.task.await.is_err_and(|error| error.is_cancelled()));

    let other = test.worker();
    test.table.change("UPDATE jobs SET lease_until = now() WHERE id = $1", id).await;
    gate.arrived(1).await;
    gate.open(2);
    test.table.wait_for(id, "done").await;
    assert_eq!(test.table.row(id).await.attempts, 2);
    assert_exactly_once(&mut test.table, 1).await;
    other.stop().await.expect("it stops cleanly");
}

//! Work that may be repeated, and work that repeats itself.

use std::time::Duration;

use common::{
    db::Db,
    queue::{Job, NewJob, enqueue},
};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};
use tests::proxy::{Mode, Proxy};
use worker::{IdempotentJob, JobContext, JobError, Registry, Services};

use super::{
    TestWorker,
    kinds::{Effect, Gate, Gated, Plain},
};

/// Has its effect, and then waits at a gate as if for an answer from the network.
#[derive(Debug, Serialize, Deserialize)]
struct Asking {
    gate: String,
}

impl Job for Asking {
    const KIND: &'static str = "test.asking";
}

impl IdempotentJob for Asking {
    const TIMEOUT: Duration = Duration::from_mins(10);

    async fn perform(self, context: &JobContext, db: &Db, _: &Services) -> Result<(), JobError> {
        let mut tx = db.system().await?;
        enqueue(&mut tx, &NewJob::now(&Effect { of: context.job_id })).await?;
        tx.commit().await?;
        Gate::of(&self.gate).pass().await;
        if self.gate == "panics" { panic!("as it was meant to") } else { Ok(()) }
    }
}

/// Takes all connections that there are for four slots, and then waits at a gate.
#[derive(Debug, Serialize, Deserialize)]
struct Greedy {
    gate: String,
}

impl Job for Greedy {
    const KIND: &'static str = "test.greedy";
}

impl IdempotentJob for Greedy {
    const TIMEOUT: Duration = Duration::from_mins(10);

    async fn perform(self, _: &JobContext, db: &Db, _: &Services) -> Result<(), JobError> {
        let mut taken = Vec::new();
        for _ in 0..6 {
            taken.push(db.system().await?);
        }
        Gate::of(&self.gate).pass().await;
        Ok(())
    }
}

fn registry() -> Registry {
    Registry::default().idempotent::<Asking>().idempotent::<Greedy>().system::<Plain>()
}

#[tokio::test]
async fn idempotent_work_holds_no_transaction_and_keeps_its_lease() {
    let mut test = TestWorker::open().await;
    test.config.lease = Duration::from_secs(2);
    let worker = test.worker_of(registry());
    let gate = Gate::of("holds_no_transaction");
    let id = test.add(&Asking { gate: "holds_no_transaction".into() }).await;
    gate.arrived(1).await;
    let open = "SELECT count(*) = $1 FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    test.table.wait_until(open, 0).await;
    test.table.wait_until("SELECT now() > created_at + interval '4 s' FROM jobs WHERE id = $1", id).await;
    gate.open(1);
    test.table.wait_for(id, "done").await;
    assert_eq!((test.table.row(id).await.attempts, test.effects().await), (1, 1));
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn idempotent_work_that_panics_is_tried_again() {
    let mut test = TestWorker::open().await;
    let worker = test.worker_of(registry());
    let gate = Gate::of("panics");
    let id = test.add(&Asking { gate: "panics".into() }).await;
    gate.open(1);
    test.table.wait_for(id, "retryable").await;
    assert_eq!(test.table.row(id).await.errors[0]["error"], "panicked: as it was meant to");
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn idempotent_work_is_not_repeated_because_its_end_could_not_be_written_down() {
    let mut test = TestWorker::open().await;
    let refuse = "
        CREATE SEQUENCE refusals;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
          $$ BEGIN PERFORM nextval('refusals'); RAISE 'refused'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON jobs FOR EACH ROW WHEN (NEW.state = 'done') EXECUTE FUNCTION refuse()";
    let mut superuser = PgConnection::connect(&test.url).await.expect("the database is there");
    sqlx::raw_sql(refuse).execute(&mut superuser).await.expect("a superuser may");
    let worker = test.worker_of(registry());
    let id = test.add(&Asking { gate: "could_not_be_written_down".into() }).await;
    Gate::of("could_not_be_written_down").open(1);
    test.table.wait_until("SELECT last_value > $1 FROM refusals", 1).await;
    sqlx::raw_sql("DROP TRIGGER refuse ON jobs").execute(&mut superuser).await.expect("a superuser may");
    test.table.wait_for(id, "done").await;
    assert_eq!((test.table.row(id).await.attempts, test.effects().await), (1, 1));
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_locked_job_does_not_hold_up_what_ends_after_it() {
    let mut test = TestWorker::open().await;
    let worker = test.worker_of(registry());
    let (locked, other) = (Gate::of("is_locked"), Gate::of("ends_after_it"));
    let first = test.add(&Asking { gate: "is_locked".into() }).await;
    let second = test.add(&Asking { gate: "ends_after_it".into() }).await;
    locked.arrived(1).await;
    other.arrived(1).await;
    let mut somebody = PgConnection::connect(&test.url).await.expect("the database is there");
    let mut lock = somebody.begin().await.expect("it begins");
    sqlx::query("SELECT FROM jobs WHERE id = $1 FOR UPDATE").bind(first).execute(&mut *lock).await.expect("it waits");
    locked.open(1);
    let tried = "SELECT count(*) = $1 FROM pg_stat_activity
                 WHERE datname = current_database() AND query LIKE '-- queue::complete_all%'";
    test.table.wait_until(tried, 1).await;
    other.open(1);
    // While the other one is still locked.
    test.table.wait_for(second, "done").await;
    lock.rollback().await.expect("it is released");
    test.table.wait_for(first, "done").await;
    assert_eq!((test.table.row(first).await.attempts, test.effects().await), (1, 2));
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn idempotent_work_does_not_complete_a_job_that_another_worker_has() {
    let mut test = TestWorker::open().await;
    let worker = test.worker_of(registry());
    let gate = Gate::of("another_worker_has");
    let id = test.add(&Asking { gate: "another_worker_has".into() }).await;
    gate.arrived(1).await;
    let steal = "UPDATE jobs SET lease_token = gen_random_uuid(), attempts = attempts + 1 WHERE id = $1";
    assert_eq!(test.table.change(steal, id).await, 1);
    gate.open(1);
    // Stopping waits until the loser has ended.
    worker.stop().await.expect("it stops cleanly");
    assert_eq!(test.table.state(id).await, "running");

    test.table.change("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = $1", id).await;
    let worker = test.worker_of(registry());
    test.table.retry_once_reaped(id).await;
    gate.open(1);
    test.table.wait_for(id, "done").await;
    assert_eq!((test.table.row(id).await.attempts, test.effects().await), (3, 2));
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_periodic_job_is_run_once_however_many_workers_there_are() {
    let mut test = TestWorker::open().await;
    let century = Duration::from_hours(24 * 36_500);
    let workers: Vec<_> = (0..3).map(|_| test.worker_of(registry().every(century, &Plain {}))).collect();
    test.table.wait_for_count(Plain::KIND, "done", 1).await;
    // Each of them has looked more than once by then.
    test.table.wait_until("SELECT now() > max(created_at) + $1 * interval '3 s' FROM jobs", 1).await;
    assert_eq!((test.table.payloads(Plain::KIND).await.len(), test.effects().await), (1, 1));
    test.table.change("UPDATE periodic_jobs SET interval_start = '1900-01-01 00:00:00+00' WHERE $1 = 1", 1).await;
    test.table.wait_for_count(Plain::KIND, "done", 2).await;
    for worker in workers {
        worker.stop().await.expect("it stops cleanly");
    }
    assert_eq!(test.effects().await, 2);
}

#[tokio::test]
async fn a_job_that_cannot_begin_waits_and_has_not_failed() {
    let mut test = TestWorker::open().await;
    test.config.connections = 6;
    let worker = test.worker_of(registry());
    test.add(&Greedy { gate: "cannot_begin".into() }).await;
    let gate = Gate::of("cannot_begin");
    gate.arrived(1).await;
    let id = test.add(&Plain {}).await;
    // Longer than a connection is waited for.
    test.table.wait_until("SELECT now() > created_at + interval '4 s' FROM jobs WHERE id = $1", id).await;
    assert_eq!(test.table.state(id).await, "running");
    gate.open(1);
    test.table.wait_for(id, "done").await;
    let row = test.table.row(id).await;
    assert_eq!((row.attempts, row.errors), (1, serde_json::json!([])));
    worker.stop().await.expect("it stops cleanly");
}

/// Each has ten minutes, and keeps its lease meanwhile.
#[tokio::test]
async fn jobs_whose_server_goes_without_a_word_run_again_soon() {
    let mut test = TestWorker::open().await;
    let proxy = Proxy::before(&test.url).await;
    test.config.database_url = proxy.url().parse().expect("it is a PostgreSQL URL");
    let worker = test.worker_of(registry().system::<Gated>());
    let gate = Gate::of("goes_without_a_word");
    let own = test.add(&Greedy { gate: "goes_without_a_word".into() }).await;
    let given = test.add(&Gated { gate: "goes_without_a_word".into() }).await;
    gate.arrived(2).await;
    proxy.set(Mode::Vanish);
    gate.arrived(2).await;
    gate.open(2);
    for id in [own, given] {
        test.table.wait_for(id, "done").await;
        assert_eq!(test.table.row(id).await.attempts, 2);
    }
    assert_eq!(test.effects().await, 1);
    worker.stop().await.expect("it stops cleanly");
}

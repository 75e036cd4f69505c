//! How many connections a worker has, and how many of a queue's jobs begin.

use std::{num::NonZero, thread, time::Duration};

use common::{
    config::{QueueLimit, Rate},
    db::{Db, SystemTx},
    jobs::ReadInquiry,
    queue::{Job, NewJob, enqueue},
};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;
use worker::{IdempotentJob, JobContext, JobError, Registry, Services, SystemJob};

use super::{
    TestWorker,
    kinds::{Gate, Plain},
};

const QUEUES: [&str; 5] = ["test.one", "test.two", "test.three", "test.four", "test.five"];
const REPEATED: &str = "test.repeated";

/// Waits at a gate with a transaction open, in a queue of its own.
#[derive(Debug, Serialize, Deserialize)]
struct InQueue<const N: usize> {
    gate: String,
}

impl<const N: usize> Job for InQueue<N> {
    const KIND: &'static str = QUEUES[N];
    const QUEUE: &'static str = QUEUES[N];
}

impl<const N: usize> SystemJob for InQueue<N> {
    const TIMEOUT: Duration = Duration::from_mins(10);

    async fn perform(self, _: &JobContext, _: &mut SystemTx) -> Result<(), JobError> {
        Gate::of(&self.gate).pass().await;
        Ok(())
    }
}

/// Waits at a gate between two short transactions of its own.
#[derive(Debug, Serialize, Deserialize)]
struct Repeated {
    gate: String,
}

impl Job for Repeated {
    const KIND: &'static str = REPEATED;
    const QUEUE: &'static str = REPEATED;
}

impl IdempotentJob for Repeated {
    const TIMEOUT: Duration = Duration::from_mins(10);

    async fn perform(self, _: &JobContext, db: &Db, _: &Services) -> Result<(), JobError> {
        db.system().await?.commit().await?;
        Gate::of(&self.gate).pass().await;
        Ok(db.system().await?.commit().await?)
    }
}

/// In the queue that spares others.
#[derive(Debug, Serialize, Deserialize)]
struct Sparing {}

impl Job for Sparing {
    const KIND: &'static str = "test.sparing";
    const QUEUE: &'static str = ReadInquiry::QUEUE;
}

impl SystemJob for Sparing {
    const TIMEOUT: Duration = Duration::from_mins(10);

    async fn perform(self, _: &JobContext, _: &mut SystemTx) -> Result<(), JobError> {
        Ok(())
    }
}

fn registry() -> Registry {
    Registry::default()
        .system::<InQueue<0>>()
        .system::<InQueue<1>>()
        .system::<InQueue<2>>()
        .system::<InQueue<3>>()
        .system::<InQueue<4>>()
        .system::<Plain>()
        .system::<Sparing>()
        .idempotent::<Repeated>()
}

async fn add_to<const N: usize>(test: &TestWorker, gate: &str) {
    test.add(&InQueue::<N> { gate: gate.to_owned() }).await;
}

async fn add_many<J: Job>(test: &TestWorker, job: &J, jobs: usize) {
    let mut tx = test.db.system().await.expect("the database is there");
    for _ in 0..jobs {
        enqueue(&mut tx, &NewJob::now(job)).await.expect("it can be enqueued");
    }
    tx.commit().await.expect("it can be committed");
}

impl TestWorker {
    /// The names of the connections of all workers.
    async fn connections(&self) -> Vec<String> {
        let mut superuser = PgConnection::connect(&self.url).await.expect("the database is there");
        sqlx::query_scalar(
            "SELECT application_name FROM pg_stat_activity
             WHERE datname = current_database() AND application_name LIKE 'norvalt worker%' ORDER BY 1",
        )
        .fetch_all(&mut superuser)
        .await
        .expect("a superuser may")
    }

    fn limit(&mut self, queue: &str, limit: QueueLimit) {
        self.config.queue_limits.insert(queue.to_owned(), limit);
    }
}

#[tokio::test]
async fn connections_do_not_multiply_with_queues() {
    let mut test = TestWorker::open().await;
    test.config.connections = 5;
    let worker = test.worker_of(registry());
    let gate = Gate::of("do_not_multiply");
    for _ in 0..4 {
        add_to::<0>(&test, "do_not_multiply").await;
        add_to::<1>(&test, "do_not_multiply").await;
        add_to::<2>(&test, "do_not_multiply").await;
        add_to::<3>(&test, "do_not_multiply").await;
        add_to::<4>(&test, "do_not_multiply").await;
        test.add(&Repeated { gate: "do_not_multiply".into() }).await;
    }
    // All of them have slots, and as many as there are connections for have come to the gate.
    test.table.wait_until("SELECT count(*) = $1 FROM jobs WHERE state = 'running'", 24).await;
    gate.arrived(3).await;
    for left in (0..24).rev() {
        let connections = test.connections().await;
        let of_pool = connections.iter().filter(|name| *name == "norvalt worker").count();
        assert!((1..=5).contains(&of_pool) && connections.len() <= 5 + 5, "{connections:?}");
        assert!(gate.is_empty(), "more jobs at once than there are connections for");
        gate.open(1);
        if left >= 3 {
            gate.arrived(1).await;
        }
    }
    test.table.wait_until("SELECT count(*) = $1 FROM jobs WHERE state = 'done'", 24).await;
    let dedicated = ["claimer", "completer", "listener", "maintainer"].map(|name| format!("norvalt worker {name}"));
    let connections = test.connections().await;
    assert!(connections.ends_with(&dedicated) && connections.len() <= 5 + 5, "{connections:?}");
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn each_queue_has_its_own_concurrency() {
    let mut test = TestWorker::open().await;
    test.config.concurrency = 2;
    test.config.connections = 20;
    test.limit(QUEUES[0], QueueLimit { concurrency: Some(6), rate: None });
    let worker = test.worker_of(registry());
    let (wide, narrow) = (Gate::of("wide"), Gate::of("narrow"));
    for _ in 0..6 {
        add_to::<0>(&test, "wide").await;
        add_to::<1>(&test, "narrow").await;
    }
    wide.arrived(6).await;
    narrow.arrived(2).await;
    wide.open(6);
    test.table.wait_for_count(QUEUES[0], "done", 6).await;
    assert!(narrow.is_empty(), "more than two at once");
    narrow.open(6);
    test.table.wait_for_count(QUEUES[1], "done", 6).await;
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_rate_holds_and_does_not_slow_others() {
    let mut test = TestWorker::open().await;
    test.limit(QUEUES[0], QueueLimit { concurrency: None, rate: Some(Rate::per_second(20)) });
    Gate::of("rated").open(1_000);
    add_many(&test, &InQueue::<0> { gate: "rated".into() }, 100).await;
    add_many(&test, &Plain {}, 100).await;
    let begin = Instant::now();
    let worker = test.worker_of(registry());
    test.table.wait_for_count(Plain::KIND, "done", 100).await;
    assert!(test.table.count(QUEUES[0], "done").await < 100, "the others waited for it");
    test.table.wait_for_count(QUEUES[0], "done", 40).await;
    let done = test.table.count(QUEUES[0], "done").await;
    assert!(done <= most(20, begin.elapsed()), "{done} jobs within {:?}", begin.elapsed());
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn workers_keep_a_rate_together() {
    let mut test = TestWorker::open().await;
    test.limit(QUEUES[0], QueueLimit { concurrency: None, rate: Some(Rate::per_second(20)) });
    Gate::of("together").open(1_000);
    add_many(&test, &InQueue::<0> { gate: "together".into() }, 100).await;
    let begin = Instant::now();
    let workers = [test.worker_of(registry()), test.worker_of(registry()), test.worker_of(registry())];
    // Longer than three times that rate would take.
    test.table.wait_for_count(QUEUES[0], "done", 40).await;
    let done = test.table.count(QUEUES[0], "done").await;
    assert!(done <= most(20, begin.elapsed()), "{done} jobs within {:?}", begin.elapsed());
    for worker in workers {
        worker.stop().await.expect("they stop cleanly");
    }
}

#[tokio::test]
async fn a_queue_that_spares_others_is_as_fast_as_what_waits_requires() {
    let mut test = TestWorker::open().await;
    // In a second.
    let slowly = 10 * thread::available_parallelism().map_or(1, NonZero::get);
    let all = (slowly * 40).min(4_000);
    let count = |jobs: usize| i64::try_from(jobs).expect("it is small");
    add_many(&test, &Sparing {}, all).await;
    let begin = Instant::now();
    let worker = test.worker_of(registry());
    test.table.wait_for_count(Sparing::KIND, "done", count(all / 10)).await;
    let done = test.table.count(Sparing::KIND, "done").await;
    // What it may begin at once, and that of half a second for the count.
    let most = count(slowly) * (1_500 + i64::try_from(begin.elapsed().as_millis()).expect("soon")) / 1_000;
    assert!(done <= most, "{done} jobs within {:?}", begin.elapsed());

    let waiting_long = "UPDATE jobs SET run_at = run_at - interval '1 min' WHERE id > $1 AND state = 'available'";
    test.table.change(waiting_long, 0).await;
    let begin = Instant::now();
    test.table.wait_for_count(Sparing::KIND, "done", count(all)).await;
    assert!(begin.elapsed() < Duration::from_secs(18), "the others took {:?}", begin.elapsed());
    worker.stop().await.expect("it stops cleanly");
}

/// How many jobs may have begun since a worker started, which first counts the others.
fn most(rate: u64, elapsed: Duration) -> i64 {
    let since = elapsed.saturating_sub(Duration::from_secs(2)) + Duration::from_millis(100);
    i64::try_from(since.as_millis() * u128::from(rate) / 1_000 + 1).expect("it is small")
}

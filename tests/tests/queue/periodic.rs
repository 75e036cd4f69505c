use std::time::Duration;

use common::queue::{DedicatedConnection, Periodic, Retry, fail};
use sqlx::Connection;

use super::{Errand, Queue};

/// No test meets the end of such an interval: the present one began with the year 2000.
const CENTURY: Duration = Duration::from_hours(24 * 36_500);

fn errand() -> [Periodic; 1] {
    [Periodic::new(&Errand { number: 1 }, CENTURY)]
}

async fn enqueue_due(queue: &mut Queue) -> u64 {
    queue.connection.enqueue_due(&errand()).await.expect("it can be enqueued")
}

/// As if the last job had been enqueued for the interval that began in that year.
async fn last_enqueued_in(queue: &mut Queue, year: i64) {
    let change = "UPDATE periodic_jobs SET interval_start = make_timestamptz($1::int, 1, 1, 0, 0, 0, 'UTC')";
    assert_eq!(queue.table.change(change, year).await, 1);
}

async fn finish_one(queue: &mut Queue) {
    let lease = queue.claim_one().await.lease;
    let mut tx = queue.tx().await;
    fail(&mut tx, &lease, "over", Retry::Never).await.expect("the lease is ours");
    tx.commit().await.expect("it can be committed");
}

#[tokio::test]
async fn there_is_one_job_for_each_interval() {
    let mut queue = Queue::start().await;
    assert_eq!(enqueue_due(&mut queue).await, 1);
    finish_one(&mut queue).await;
    assert_eq!(enqueue_due(&mut queue).await, 0);
    last_enqueued_in(&mut queue, 1999).await;
    assert_eq!(enqueue_due(&mut queue).await, 1);
    let job = queue.claim_one().await;
    assert_eq!((job.kind.as_str(), job.payload.as_str(), job.max_attempts), ("test.errand", r#"{"number": 1}"#, 3));
}

#[tokio::test]
async fn intervals_without_a_worker_are_not_made_up_for() {
    let mut queue = Queue::start().await;
    enqueue_due(&mut queue).await;
    finish_one(&mut queue).await;
    last_enqueued_in(&mut queue, 1000).await;
    assert_eq!(enqueue_due(&mut queue).await, 1);
    finish_one(&mut queue).await;
    assert_eq!(enqueue_due(&mut queue).await, 0);
}

#[tokio::test]
async fn an_interval_is_skipped_while_the_job_before_is_unfinished() {
    let mut queue = Queue::start().await;
    enqueue_due(&mut queue).await;
    last_enqueued_in(&mut queue, 1900).await;
    assert_eq!(enqueue_due(&mut queue).await, 0);
    finish_one(&mut queue).await;
    assert_eq!(enqueue_due(&mut queue).await, 0, "the interval was to be skipped, not put off");
    last_enqueued_in(&mut queue, 1900).await;
    assert_eq!(enqueue_due(&mut queue).await, 1);
}

#[tokio::test]
async fn of_any_number_of_workers_one_enqueues_it() {
    let queue = Queue::start().await;
    let mut superuser = sqlx::PgConnection::connect(&queue.url).await.expect("the database is there");
    // As if each job were done at once: otherwise the unique key would hide that there were two.
    let done_at_once = "
        CREATE FUNCTION finish() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN NEW.state := 'done'; NEW.finished_at := now(); RETURN NEW; END $$;
        CREATE TRIGGER finish BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION finish()";
    sqlx::raw_sql(done_at_once).execute(&mut superuser).await.expect("a superuser may");
    let mut connections: Vec<_> =
        (0..8).map(|_| DedicatedConnection::new(&queue.db, "tests", Duration::from_secs(10))).collect();
    for round in 1..=20 {
        let tries = connections.into_iter().map(|mut connection| {
            tokio::spawn(async move {
                let enqueued = connection.enqueue_due(&errand()).await.expect("it can be enqueued");
                (connection, enqueued)
            })
        });
        let (mut used, mut enqueued) = (Vec::new(), 0);
        for tried in tries.collect::<Vec<_>>() {
            let (connection, count) = tried.await.expect("it does not panic");
            used.push(connection);
            enqueued += count;
        }
        assert_eq!(enqueued, 1, "in round {round}");
        connections = used;
        let again = "UPDATE periodic_jobs SET interval_start = '1900-01-01 00:00:00+00'";
        sqlx::raw_sql(again).execute(&mut superuser).await.expect("a superuser may");
    }
}

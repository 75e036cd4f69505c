//! What operators decide while workers run.

use std::time::Duration;

use common::{
    audit::{Operator, Via},
    queue::{self, Cancel, Job, JobFilter},
};
use tokio::time::timeout;

use super::{
    TestWorker,
    kinds::{Elsewhere, Gate, Gated, Plain},
};

/// Far sooner than a lease runs out, and than workers look for work by themselves.
const SOON: Duration = Duration::from_secs(10);

fn kari() -> Operator {
    Operator::new("kari", Via::Command)
}

impl TestWorker {
    async fn pause(&self, queue: &str) {
        let mut tx = self.db.system().await.expect("the database is there");
        assert!(queue::pause(&mut tx, queue, Some("a test"), &kari()).await.expect("it can be paused"));
        tx.commit().await.expect("it can be committed");
    }

    async fn resume(&self, queue: &str) {
        let mut tx = self.db.system().await.expect("the database is there");
        assert!(queue::resume(&mut tx, queue, &kari()).await.expect("it can be resumed"));
        tx.commit().await.expect("it can be committed");
    }

    async fn cancel(&self, id: i64, which: Cancel) -> Vec<i64> {
        let only = JobFilter { id: Some(id), ..JobFilter::default() };
        queue::cancel(&self.db, &only, which, &kari()).await.expect("the database is there")
    }
}

#[tokio::test]
async fn a_paused_queue_lets_no_job_begin_and_keeps_them_all() {
    let mut test = TestWorker::open().await;
    test.pause("default").await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(test.add(&Plain {}).await);
    }
    // Before a worker starts and while one runs, and another queue goes on.
    let worker = test.worker();
    waiting.push(test.add(&Plain {}).await);
    let elsewhere = test.add(&Elsewhere {}).await;
    test.table.wait_for(elsewhere, "done").await;
    assert_eq!(test.table.count(Plain::KIND, "available").await, 21);
    worker.stop().await.expect("it stops cleanly");

    // A worker that starts anew does not forget it.
    let worker = test.worker();
    let elsewhere = test.add(&Elsewhere {}).await;
    test.table.wait_for(elsewhere, "done").await;
    assert_eq!(test.table.count(Plain::KIND, "available").await, 21);
    test.resume("default").await;
    test.table.wait_for_count(Plain::KIND, "done", 21).await;
    worker.stop().await.expect("it stops cleanly");
    assert_eq!(test.effects().await, 23);
    test.table.wait_until("SELECT count(*) = $1 FROM jobs WHERE attempts = 1 AND kind = 'test.plain'", 21).await;
}

#[tokio::test]
async fn pausing_gives_back_what_was_fetched_ahead_and_lets_finish_what_runs() {
    let mut test = TestWorker::open().await;
    test.config.concurrency = 2;
    let gate = Gate::of("pausing_gives_back");
    for _ in 0..10 {
        test.add(&Gated { gate: "pausing_gives_back".into() }).await;
    }
    let worker = test.worker();
    gate.arrived(2).await;
    test.pause("default").await;
    let given_back = test.table.wait_for_count(Gated::KIND, "available", 8);
    timeout(SOON, given_back).await.expect("it takes no more than a moment");
    // Both may end, and none begins in their place.
    gate.open(10);
    test.table.wait_for_count(Gated::KIND, "done", 2).await;
    let elsewhere = test.add(&Elsewhere {}).await;
    test.table.wait_for(elsewhere, "done").await;
    assert_eq!(test.table.count(Gated::KIND, "available").await, 8);
    test.table
        .wait_until(
            "SELECT count(*) = $1 FROM jobs WHERE state = 'available' AND attempts = 0 AND kind = 'test.gated'",
            8,
        )
        .await;
    test.resume("default").await;
    test.table.wait_for_count(Gated::KIND, "done", 10).await;
    worker.stop().await.expect("it stops cleanly");
    assert_eq!(test.effects().await, 11);
}

#[tokio::test]
async fn pausing_and_resuming_under_load_loses_and_doubles_nothing() {
    let mut test = TestWorker::open().await;
    let workers = [test.worker(), test.worker()];
    for round in 0..10 {
        for _ in 0..30 {
            test.add(&Plain {}).await;
        }
        if round % 2 == 0 { test.pause("default").await } else { test.resume("default").await }
    }
    test.table.wait_for_count(Plain::KIND, "done", 300).await;
    for worker in workers {
        worker.stop().await.expect("it stops cleanly");
    }
    assert_eq!(test.effects().await, 300);
}

#[tokio::test]
async fn a_job_that_runs_is_cancelled_and_rolled_back() {
    let mut test = TestWorker::open().await;
    let worker = test.worker();
    let gate = Gate::of("cancelled_and_rolled_back");
    let cancelled = test.add(&Gated { gate: "cancelled_and_rolled_back".into() }).await;
    let kept = test.add(&Gated { gate: "cancelled_and_rolled_back".into() }).await;
    gate.arrived(2).await;
    assert_eq!(test.cancel(cancelled, Cancel::Waiting).await, Vec::<i64>::new(), "it does not wait");
    assert_eq!(test.cancel(cancelled, Cancel::Running).await, [cancelled]);
    assert_eq!(test.table.state(cancelled).await, "cancelled");
    // Its transaction, which was idle at the gate, ends without the gate.
    let open = "SELECT count(*) = $1 FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'norvalt worker' AND state = 'idle in transaction'";
    timeout(SOON, test.table.wait_until(open, 1)).await.expect("it takes no more than a moment");
    gate.open(1);
    test.table.wait_for(kept, "done").await;
    worker.stop().await.expect("it stops cleanly");
    let row = test.table.row(cancelled).await;
    assert_eq!((row.state.as_str(), test.effects().await), ("cancelled", 1));
    assert_eq!(test.cancel(kept, Cancel::Running).await, Vec::<i64>::new(), "what is done stays done");
}

#[tokio::test]
async fn a_cancelled_job_of_a_worker_that_is_gone_is_never_run_again() {
    let mut test = TestWorker::open().await;
    let gate = Gate::of("of_a_worker_that_is_gone");
    let id = test.add(&Gated { gate: "of_a_worker_that_is_gone".into() }).await;
    let vanishing = test.worker();
    gate.arrived(1).await;
    vanishing.task.abort();
    assert_eq!(test.cancel(id, Cancel::Running).await, [id]);
    let worker = test.worker();
    let after = test.add(&Plain {}).await;
    test.table.wait_for(after, "done").await;
    worker.stop().await.expect("it stops cleanly");
    assert_eq!((test.table.state(id).await.as_str(), test.effects().await), ("cancelled", 1));
}

#[tokio::test]
async fn workers_are_known_while_they_are_there() {
    let mut test = TestWorker::open().await;
    let worker = test.worker();
    test.table.wait_until("SELECT count(*) = $1 FROM workers", 1).await;
    let mut tx = test.db.system().await.expect("the database is there");
    let known = queue::workers(&mut tx).await.expect("the database is there");
    drop(tx);
    assert_eq!((known[0].pid.unsigned_abs(), known[0].slots, known[0].missing), (std::process::id(), 8, false));
    assert_eq!(known[0].queues, ["default", "test.elsewhere"]);
    worker.stop().await.expect("it stops cleanly");
    test.table.wait_until("SELECT count(*) = $1 FROM workers", 0).await;
}

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use common::{
    ids::DealershipId,
    queue::{Enqueued, Job, NewJob, enqueue},
};
use tokio::time::timeout;
use uuid::Uuid;
use worker::RunError;

use super::{
    TestWorker,
    kinds::{Effect, Elsewhere, Gate, Gated, Plain},
};

/// Sooner than a worker looks for work by itself, or a listener that has heard nothing has it look.
const HEARD: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_announced_job_is_run_at_once() {
    let mut test = TestWorker::open().await;
    let worker = test.worker();
    let first = test.add(&Plain {}).await;
    test.table.wait_for(first, "done").await;
    // The worker is idle now, and would not look for work by itself before the test gives up.
    let second = test.add(&Plain {}).await;
    let heard = test.table.wait_for(second, "done");
    timeout(HEARD, heard).await.expect("nothing else brings it to the worker before");
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_job_that_nobody_announced_is_found() {
    let mut test = TestWorker::open().await;
    test.config.poll = Duration::from_millis(100);
    let _worker = test.worker();
    // Several, since what it heard at the start may lead it to the first.
    for _ in 0..5 {
        let job = test.table.insert(Plain::KIND, 1, "{}").await;
        test.table.wait_for(job, "done").await;
    }
}

#[tokio::test]
async fn a_scheduled_job_is_run_when_its_time_has_come() {
    let mut test = TestWorker::open().await;
    let _worker = test.worker();
    let mut tx = test.db.system().await.expect("the database is there");
    let run_at = Some("2999-01-01T00:00:00Z".parse().expect("it is a time"));
    let later = NewJob { run_at, ..NewJob::now(&Plain {}) };
    let Enqueued::As(id) = enqueue(&mut tx, &later).await.expect("it can be enqueued") else {
        panic!("it has no key");
    };
    tx.commit().await.expect("it can be committed");
    let now = test.add(&Plain {}).await;
    test.table.wait_for(now, "done").await;
    assert_eq!(test.table.state(id).await, "scheduled");
    test.table.change("UPDATE jobs SET run_at = now() WHERE id = $1", id).await;
    test.table.wait_for(id, "done").await;
}

#[tokio::test]
async fn stopping_gives_back_what_waits_and_finishes_what_runs() {
    let mut test = TestWorker::open().await;
    test.config.concurrency = 2;
    let gate = Gate::of("stopping_gives_back");
    for _ in 0..10 {
        test.add(&Gated { gate: "stopping_gives_back".into() }).await;
    }
    let worker = test.worker();
    gate.arrived(2).await;

    let stopping = tokio::spawn(worker.stop());
    // At once, while two of them still run.
    test.table.wait_for_count(Gated::KIND, "available", 8).await;
    assert_eq!(test.table.count(Gated::KIND, "running").await, 2);
    gate.open(10);
    stopping.await.expect("it does not panic").expect("it stops cleanly");

    assert_eq!(test.table.count(Gated::KIND, "done").await, 2);
    assert_eq!(test.effects().await, 2);
    let uncounted = "SELECT count(*) = $1 FROM jobs WHERE state = 'available' AND attempts = 0 AND kind = 'test.gated'";
    test.table.wait_until(uncounted, 8).await;
}

#[tokio::test]
async fn a_job_that_does_not_finish_in_time_is_rolled_back_and_given_back() {
    let mut test = TestWorker::open().await;
    test.config.shutdown = Duration::from_millis(100);
    let gate = Gate::of("does_not_finish_in_time");
    let id = test.add(&Gated { gate: "does_not_finish_in_time".into() }).await;
    let worker = test.worker();
    gate.arrived(1).await;
    let stopped = worker.stop().await;
    assert!(matches!(stopped, Err(RunError::Interrupted { jobs: 1, .. })), "{stopped:?}");
    let row = test.table.row(id).await;
    assert_eq!((row.state.as_str(), row.attempts), ("available", 0));
    gate.open(1);
    assert_eq!(test.effects().await, 0);
}

#[tokio::test]
async fn a_job_does_not_wait_behind_a_long_one_while_another_worker_is_idle() {
    let mut test = TestWorker::open().await;
    test.config.concurrency = 1;
    let gate = Gate::of("behind_a_long_one");
    for _ in 0..2 {
        test.add(&Gated { gate: "behind_a_long_one".into() }).await;
    }
    // It fetches both, and cannot know that the first one is long.
    let one = test.worker();
    gate.arrived(1).await;
    let other = test.worker();
    gate.arrived(1).await;
    gate.open(2);
    test.table.wait_for_count(Gated::KIND, "done", 2).await;
    for worker in [one, other] {
        worker.stop().await.expect("it stops cleanly");
    }
    assert_eq!(test.effects().await, 2);
}

#[tokio::test]
async fn more_dealerships_than_fit_a_claim_are_served_in_turn() {
    let mut test = TestWorker::open().await;
    let mut owners = BTreeMap::new();
    let mut tx = test.db.system().await.expect("the database is there");
    for number in 1..=40 {
        let dealership = DealershipId::from(Uuid::from_u128(number));
        for _ in 0..10 {
            let new = NewJob { dealership: Some(dealership), ..NewJob::now(&Plain {}) };
            if let Enqueued::As(id) = enqueue(&mut tx, &new).await.expect("it can be enqueued") {
                owners.insert(id, dealership);
            }
        }
    }
    tx.commit().await.expect("it can be committed");
    let worker = test.worker();
    test.table.wait_for_count(Plain::KIND, "done", 400).await;
    worker.stop().await.expect("it stops cleanly");
    let effects = test.table.payloads(Effect::KIND).await;
    let early = effects.iter().take(100).map(|effect| owners[&effect["of"].as_i64().expect("it is an id")]);
    assert_eq!(early.collect::<BTreeSet<_>>().len(), 40, "of which dealerships are the first hundred of 400");
}

#[tokio::test]
async fn each_queue_has_slots_of_its_own() {
    let mut test = TestWorker::open().await;
    test.config.concurrency = 2;
    let gate = Gate::of("slots_of_its_own");
    for _ in 0..3 {
        test.add(&Gated { gate: "slots_of_its_own".into() }).await;
    }
    let worker = test.worker();
    gate.arrived(2).await;
    // There is no slot for the third.
    test.table.wait_for_count(Gated::KIND, "available", 1).await;
    let elsewhere = test.add(&Elsewhere {}).await;
    test.table.wait_for(elsewhere, "done").await;
    assert_eq!(test.table.count(Gated::KIND, "running").await, 2);
    gate.open(3);
    test.table.wait_for_count(Gated::KIND, "done", 3).await;
    worker.stop().await.expect("it stops cleanly");
}

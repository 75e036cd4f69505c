use std::time::Duration;

use common::queue::{Job, NewJob, enqueue};

use super::{
    TestWorker,
    kinds::{Blocked, Effect, Elsewhere, Gate, Gated, Hanging, Hopeless, Panicking, Plain, SecondTime, Versioned},
};

#[tokio::test]
async fn a_job_has_its_effect_and_is_done() {
    let mut test = TestWorker::open().await;
    let worker = test.worker();
    let plain = test.add(&Plain {}).await;
    let elsewhere = test.add(&Elsewhere {}).await;
    test.table.wait_for(plain, "done").await;
    test.table.wait_for(elsewhere, "done").await;
    assert_eq!(test.effects().await, 2);
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_failed_attempt_leaves_no_effect_and_the_next_one_does() {
    let mut test = TestWorker::open().await;
    let _worker = test.worker();
    let id = test.add(&SecondTime {}).await;
    test.table.wait_for(id, "retryable").await;
    assert_eq!(test.effects().await, 0);
    test.table.wait_for(id, "done").await;
    let row = test.table.row(id).await;
    assert_eq!((row.attempts, &row.errors[0]["error"]), (2, &"not the first time".into()));
    assert_eq!(test.effects().await, 1);
}

#[tokio::test]
async fn a_job_that_cannot_succeed_is_not_tried_again() {
    let mut test = TestWorker::open().await;
    let _worker = test.worker();
    let id = test.add(&Hopeless {}).await;
    test.table.wait_for(id, "dead").await;
    let row = test.table.row(id).await;
    assert_eq!((row.attempts, &row.errors[0]["error"]), (1, &"it is no use".into()));
    assert_eq!(test.effects().await, 0);
}

#[tokio::test]
async fn a_panic_and_a_timeout_fail_their_attempts_and_nothing_else() {
    let mut test = TestWorker::open().await;
    let worker = test.worker();
    // More than there are slots: each slot must become free again.
    let mut panicking = Vec::new();
    let mut hanging = Vec::new();
    for _ in 0..6 {
        panicking.push(test.add(&Panicking {}).await);
        hanging.push(test.add(&Hanging {}).await);
    }
    let plain = test.add(&Plain {}).await;
    test.table.wait_for(plain, "done").await;
    for (jobs, reason) in [(panicking, "panicked: as it was meant to"), (hanging, "did not finish within 100ms")] {
        for id in jobs {
            test.table.wait_for(id, "dead").await;
            assert_eq!(test.table.row(id).await.errors[0]["error"], reason);
        }
    }
    assert_eq!(test.effects().await, 1);
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_statement_that_is_given_up_does_not_keep_its_connection() {
    let mut test = TestWorker::open().await;
    let mut holder = test.db.system().await.expect("the database is there");
    let key = NewJob { unique_key: Some("taken"), ..NewJob::now(&Effect { of: 0 }) };
    enqueue(&mut holder, &key).await.expect("it can be enqueued");
    let _worker = test.worker();
    // More than the worker has connections.
    for _ in 0..10 {
        test.add(&Blocked { key: "taken".into() }).await;
    }
    test.table.wait_for_count(Blocked::KIND, "dead", 10).await;
    let plain = test.add(&Plain {}).await;
    test.table.wait_for(plain, "done").await;
}

#[tokio::test]
async fn a_payload_that_cannot_be_read_is_dead_and_says_so() {
    let mut test = TestWorker::open().await;
    let nested = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let mut odd = Vec::new();
    for payload in [r#"{"gate": 7}"#, r#""nonsense""#, "1e400", &nested] {
        odd.push(test.table.insert("test.gated", 1, payload).await);
    }
    let _worker = test.worker();
    for id in odd {
        test.table.wait_for(id, "dead").await;
        let row = test.table.row(id).await;
        let reason = row.errors[0]["error"].as_str().unwrap_or_default();
        assert!(row.attempts == 1 && reason.starts_with("the payload cannot be read"), "{row:?}");
    }
}

#[tokio::test]
async fn a_job_of_a_newer_release_is_left_for_it() {
    let mut test = TestWorker::open().await;
    let unknown = test.table.insert("test.unheard_of", 1, "{}").await;
    let newer = test.table.insert("test.versioned", 3, "{}").await;
    let older = test.table.insert("test.versioned", 1, "{}").await;
    let worker = test.worker();
    let present = test.add(&Versioned { wanted: true }).await;
    for id in [unknown, newer] {
        test.table.wait_for(id, "scheduled").await;
        let row = test.table.row(id).await;
        assert_eq!((row.attempts, row.errors), (0, serde_json::json!([])));
    }
    test.table.wait_for(present, "done").await;
    // No release to come will know that one: somebody must look.
    test.table.wait_for(older, "dead").await;
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_rolls_back() {
    let mut test = TestWorker::open().await;
    let worker = test.worker();
    let gate = Gate::of("a_worker_that_lost_its_lease_rolls_back");
    let id = test.add(&Gated { gate: "a_worker_that_lost_its_lease_rolls_back".into() }).await;
    gate.arrived(1).await;
    let steal = "UPDATE jobs SET lease_token = gen_random_uuid(), attempts = attempts + 1 WHERE id = $1";
    assert_eq!(test.table.change(steal, id).await, 1);
    gate.open(1);
    let after = test.add(&Plain {}).await;
    test.table.wait_for(after, "done").await;
    // Stopping waits until the loser has ended.
    worker.stop().await.expect("it stops cleanly");
    assert_eq!((test.table.state(id).await.as_str(), test.effects().await), ("running", 1));

    test.table.change("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = $1", id).await;
    let _worker = test.worker();
    test.table.retry_once_reaped(id).await;
    gate.open(1);
    test.table.wait_for(id, "done").await;
    assert_eq!((test.table.row(id).await.attempts, test.effects().await), (3, 2));
}

#[tokio::test]
async fn a_job_may_run_longer_than_its_lease() {
    let mut test = TestWorker::open().await;
    test.config.lease = Duration::from_secs(3);
    let worker = test.worker();
    let gate = Gate::of("a_job_may_run_longer_than_its_lease");
    let id = test.add(&Gated { gate: "a_job_may_run_longer_than_its_lease".into() }).await;
    gate.arrived(1).await;
    // Had it not been renewed, it would have been taken back by then.
    test.table.wait_until("SELECT now() > created_at + interval '4 s' FROM jobs WHERE id = $1", id).await;
    gate.open(1);
    test.table.wait_for(id, "done").await;
    assert_eq!((test.table.row(id).await.attempts, test.effects().await), (1, 1));
    worker.stop().await.expect("it stops cleanly");
}

use chrono::TimeDelta;
use common::queue::{Lease, NextState, Retry, fail};

use super::{Errand, Queue, Stubborn};

async fn fail_with(queue: &Queue, lease: &Lease, reason: &str, retry: Retry) -> NextState {
    let mut tx = queue.tx().await;
    let next = fail(&mut tx, lease, reason, retry).await.expect("the lease is ours");
    tx.commit().await.expect("it can be committed");
    next
}

#[tokio::test]
async fn a_failed_job_waits_as_long_as_is_written_down() {
    waits(Retry::Later, &[1, 3, 9, 27, 81, 243, 729, 2187, 3600, 3600]).await;
}

#[tokio::test]
async fn a_job_that_failed_for_lack_of_a_database_waits_for_seconds() {
    waits(Retry::Soon, &[1, 3, 9, 15, 15, 15]).await;
}

async fn waits(retry: Retry, longest: &[i64]) {
    let mut queue = Queue::start().await;
    let id = queue.add(&Stubborn).await;
    for &seconds in longest {
        let lease = queue.claim_one().await.lease;
        queue.table.change("UPDATE jobs SET run_at = now() WHERE id = $1", id).await;
        let before = queue.table.row(id).await.run_at;
        let NextState::RetriedAt(at) = fail_with(&queue, &lease, "not today", retry).await else {
            panic!("there are attempts left");
        };
        let row = queue.table.row(id).await;
        assert_eq!((row.state.as_str(), row.run_at), ("retryable", at));
        let (wait, full) = (at - before, TimeDelta::seconds(seconds));
        // The statement itself takes a little while.
        assert!(wait >= full / 2 && wait <= full + TimeDelta::seconds(1), "{wait} instead of up to {seconds} s");

        // Nobody can claim it before its time …
        assert_eq!(queue.promote().await, 0);
        assert_eq!(queue.claim(1).await.len(), 0);
        // … and everybody from then on.
        queue.table.change("UPDATE jobs SET run_at = now() WHERE id = $1", id).await;
        assert_eq!(queue.promote().await, 1);
    }
}

#[tokio::test]
async fn a_job_without_attempts_left_is_dead() {
    let mut queue = Queue::start().await;
    let id = queue.add(&Errand { number: 1 }).await;
    queue.table.change("UPDATE jobs SET attempts = 2 WHERE id = $1", id).await;
    let lease = queue.claim_one().await.lease;
    assert_eq!(fail_with(&queue, &lease, "once too often", Retry::Later).await, NextState::Dead);
    let row = queue.table.row(id).await;
    assert_eq!((row.state.as_str(), row.attempts), ("dead", 3));
    assert_eq!(row.errors[0]["error"], "once too often");
}

#[tokio::test]
async fn a_job_that_cannot_succeed_is_dead_at_once() {
    let mut queue = Queue::start().await;
    let id = queue.add(&Errand { number: 1 }).await;
    let lease = queue.claim_one().await.lease;
    assert_eq!(fail_with(&queue, &lease, "no such lead", Retry::Never).await, NextState::Dead);
    assert_eq!(queue.table.state(id).await, "dead");
}

#[tokio::test]
async fn the_last_ten_errors_are_kept() {
    let mut queue = Queue::start().await;
    let id = queue.add(&Stubborn).await;
    for attempt in 1..=12 {
        let lease = queue.claim_one().await.lease;
        fail_with(&queue, &lease, &format!("error {attempt}"), Retry::Later).await;
        queue.table.change("UPDATE jobs SET run_at = now() WHERE id = $1", id).await;
        queue.promote().await;
    }
    let errors = queue.table.row(id).await.errors;
    let errors = errors.as_array().expect("it is a list");
    assert_eq!(errors.len(), 10);
    assert_eq!((&errors[0]["attempt"], &errors[9]["error"]), (&3.into(), &"error 12".into()));
}

#[tokio::test]
async fn any_reason_can_be_recorded() {
    let mut queue = Queue::start().await;
    let id = queue.add(&Errand { number: 1 }).await;
    let lease = queue.claim_one().await.lease;
    let reason = format!("\0æ\"{}", "x".repeat(1_000_000));
    fail_with(&queue, &lease, &reason, Retry::Never).await;
    let stored = queue.table.row(id).await.errors[0]["error"].as_str().map(str::to_owned);
    assert_eq!(stored.map(|text| (text.starts_with("æ\"x"), text.chars().count())), Some((true, 2000)));
}

use std::time::Duration;

use common::queue::{ClaimToken, Lease, LeaseError, NewJob, Retry, complete, defer, enqueue, fail};

use super::{Errand, LEASE, Queue, ids};

/// A job that was claimed, lost, and claimed again by ourselves: the old lease and the new one.
async fn lost_and_claimed_again(queue: &mut Queue) -> (Lease, Lease) {
    queue.add(&Errand { number: 1 }).await;
    let old = queue.claim_one().await.lease;
    queue.table.expire(&old).await;
    assert_eq!(queue.reap().await, 1);
    let new = queue.claim_one().await.lease;
    assert_eq!(old.job_id(), new.job_id());
    (old, new)
}

#[tokio::test]
async fn an_old_lease_can_do_nothing() {
    let mut queue = Queue::start().await;
    let (old, new) = lost_and_claimed_again(&mut queue).await;

    let mut tx = queue.tx().await;
    assert!(matches!(complete(&mut tx, &old).await, Err(LeaseError::Lost)));
    assert!(matches!(fail(&mut tx, &old, "late", Retry::Never).await, Err(LeaseError::Lost)));
    assert!(matches!(defer(&mut tx, &old, LEASE).await, Err(LeaseError::Lost)));
    tx.commit().await.expect("it can be committed");
    assert_eq!(queue.connection.renew(&[old], LEASE).await.expect("it can be tried"), []);
    assert_eq!(queue.connection.release(&[old]).await.expect("it can be tried"), 0);

    assert_eq!(queue.table.state(old.job_id()).await, "running");
    assert_eq!(queue.connection.renew(&[old, new], LEASE).await.expect("it can be renewed"), [new]);
    let mut tx = queue.tx().await;
    complete(&mut tx, &new).await.expect("the lease is ours");
    tx.commit().await.expect("it can be committed");
    assert_eq!(queue.table.state(new.job_id()).await, "done");
}

#[tokio::test]
async fn effects_under_a_lost_lease_are_rolled_back() {
    let mut queue = Queue::start().await;
    let (old, _) = lost_and_claimed_again(&mut queue).await;
    let mut tx = queue.tx().await;
    enqueue(&mut tx, &NewJob::now(&Errand { number: 2 })).await.expect("it can be enqueued");
    if complete(&mut tx, &old).await.is_ok() {
        tx.commit().await.expect("it can be committed");
    }
    assert_eq!(queue.table.count("test.errand", "available").await, 0);
}

#[tokio::test]
async fn an_expired_lease_is_taken_back_and_the_attempt_counts() {
    let mut queue = Queue::start().await;
    let id = queue.add(&Errand { number: 1 }).await;
    let lease = queue.claim_one().await.lease;
    assert_eq!(queue.reap().await, 0, "a lease that holds was taken");
    queue.table.expire(&lease).await;
    assert_eq!(queue.reap().await, 1);

    let row = queue.table.row(id).await;
    assert_eq!((row.state.as_str(), row.attempts), ("available", 1));
    assert_eq!(row.errors[0]["attempt"], 1);
    assert_eq!(queue.claim_one().await.attempt, 2);
}

#[tokio::test]
async fn a_renewed_lease_is_not_taken_back() {
    let mut queue = Queue::start().await;
    queue.add(&Errand { number: 1 }).await;
    let lease = queue.claim_one().await.lease;
    queue.table.expire(&lease).await;
    assert_eq!(queue.connection.renew(&[lease], LEASE).await.expect("it can be renewed"), [lease]);
    assert_eq!(queue.reap().await, 0);
}

#[tokio::test]
async fn a_job_that_keeps_losing_its_worker_dies() {
    let mut queue = Queue::start().await;
    let id = queue.add(&Errand { number: 1 }).await;
    for attempt in 1..=3 {
        let job = queue.claim_one().await;
        assert_eq!(job.attempt, attempt);
        queue.table.expire(&job.lease).await;
        assert_eq!(queue.reap().await, 1);
        // From the second time on it waits for some seconds, not to come back together with its neighbours.
        queue.table.change("UPDATE jobs SET run_at = now() WHERE id = $1", id).await;
        queue.promote().await;
    }
    let row = queue.table.row(id).await;
    assert_eq!((row.state.as_str(), row.attempts), ("dead", 3));
    assert_eq!(row.errors.as_array().map(Vec::len), Some(3));
    assert!(queue.claim(1).await.is_empty());
}

#[tokio::test]
async fn what_was_not_begun_is_given_back_uncounted() {
    let mut queue = Queue::start().await;
    for number in 0..3 {
        queue.add(&Errand { number }).await;
    }
    let (known, lost) = (ClaimToken::new(), ClaimToken::new());
    let first = queue.claim_with(2, known).await;
    // The answer to this claim never arrived.
    let unseen = ids(&queue.claim_with(1, lost).await);
    let leases: Vec<_> = first.iter().map(|job| job.lease).collect();
    assert_eq!(queue.connection.release(&leases[..1]).await.expect("it can be given back"), 1);
    assert_eq!(queue.connection.release_claim(lost).await.expect("it can be given back"), 1);

    assert_eq!(queue.table.state(leases[1].job_id()).await, "running");
    for id in [leases[0].job_id(), unseen[0]] {
        let row = queue.table.row(id).await;
        assert_eq!((row.state.as_str(), row.attempts), ("available", 0));
    }
}

#[tokio::test]
async fn a_deferred_job_waits_and_its_attempt_does_not_count() {
    let mut queue = Queue::start().await;
    let id = queue.add(&Errand { number: 1 }).await;
    let lease = queue.claim_one().await.lease;
    let mut tx = queue.tx().await;
    let measured = Duration::from_mins(1) + Duration::from_nanos(1);
    defer(&mut tx, &lease, measured).await.expect("the lease is ours");
    tx.commit().await.expect("it can be committed");
    let row = queue.table.row(id).await;
    assert_eq!((row.state.as_str(), row.attempts), ("scheduled", 0));
    assert_eq!(queue.promote().await, 0);
}

use std::time::Duration;

use common::queue::{NewJob, Over, complete, prunable, prune};

use super::{Errand, Queue, ids};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_scheduled_job_is_promoted_when_its_time_has_come() {
    let mut queue = Queue::start().await;
    let errand = Errand { number: 1 };
    let run_at = Some("2999-01-01T00:00:00Z".parse().expect("it is a time"));
    let scheduled = queue.add_with(&NewJob { run_at, priority: -5, ..NewJob::now(&errand) }).await;
    assert_eq!(queue.table.state(scheduled).await, "scheduled");
    assert_eq!(queue.promote().await, 0);
    assert!(queue.claim(1).await.is_empty());

    queue.table.change("UPDATE jobs SET run_at = now() WHERE id = $1", scheduled).await;
    assert_eq!(queue.promote().await, 1);
    assert_eq!(ids(&queue.claim(1).await), [scheduled]);
}

#[tokio::test]
async fn a_time_that_has_passed_means_now() {
    let mut queue = Queue::start().await;
    let errand = Errand { number: 1 };
    let run_at = Some("2001-01-01T00:00:00Z".parse().expect("it is a time"));
    let late = queue.add_with(&NewJob { run_at, ..NewJob::now(&errand) }).await;
    assert_eq!(ids(&queue.claim(1).await), [late]);
}

#[tokio::test]
async fn jobs_are_promoted_and_reaped_in_bounded_batches() {
    let mut queue = Queue::start().await;
    for number in 0..5 {
        queue.add(&Errand { number }).await;
    }
    for job in queue.claim(3).await {
        queue.table.expire(&job.lease).await;
    }
    assert_eq!(queue.connection.reap(2).await.expect("leases can be reaped"), 2);
    assert_eq!(queue.connection.reap(2).await.expect("leases can be reaped"), 1);
    queue.table.change("UPDATE jobs SET state = 'scheduled' WHERE id > $1", 0).await;
    assert_eq!(queue.connection.promote(4).await.expect("jobs can be promoted"), 4);
    assert_eq!(queue.connection.promote(4).await.expect("jobs can be promoted"), 1);
}

#[tokio::test]
async fn old_finished_jobs_are_pruned_and_dead_ones_kept() {
    let mut queue = Queue::start().await;
    for number in 0..4 {
        queue.add(&Errand { number }).await;
    }
    for job in queue.claim(4).await {
        let mut tx = queue.tx().await;
        complete(&mut tx, &job.lease).await.expect("the lease is ours");
        tx.commit().await.expect("it can be committed");
    }
    let dead = queue.add(&Errand { number: 5 }).await;
    let unfinished = queue.add(&Errand { number: 6 }).await;
    queue.table.change("UPDATE jobs SET state = 'dead', finished_at = now() WHERE id = $1", dead).await;
    queue
        .table
        .change("UPDATE jobs SET finished_at = now() - interval '25 h' WHERE finished_at IS NOT NULL AND id > $1", 1)
        .await;

    for count in [3, 0] {
        let prunable = prunable(&mut queue.tx().await, Over::Finished, DAY).await.expect("jobs can be counted");
        assert_eq!(
            (prunable, prune(&queue.db, Over::Finished, DAY).await.expect("jobs can be pruned")),
            (count, count)
        );
    }
    assert_eq!(queue.table.count("test.errand", "done").await, 1);
    assert_eq!(queue.table.state(dead).await, "dead");
    assert_eq!(queue.table.state(unfinished).await, "available");
}

use std::collections::BTreeSet;

use common::{
    queue::{ClaimToken, DedicatedConnection, Enqueued, Heard, Listener, NewJob, complete, enqueue},
    telemetry::Trace,
};
use std::time::Duration;
use tokio::time::timeout;

use super::{Errand, LEASE, Queue, ids};

#[tokio::test]
async fn a_rolled_back_transaction_leaves_no_job() {
    let mut queue = Queue::start().await;
    let mut tx = queue.tx().await;
    enqueue(&mut tx, &NewJob::now(&Errand { number: 1 })).await.expect("it can be enqueued");
    drop(tx);
    queue.add(&Errand { number: 2 }).await;
    let claimed = queue.claim(10).await;
    assert_eq!(claimed.iter().map(|job| job.payload.as_str()).collect::<Vec<_>>(), [r#"{"number": 2}"#]);
}

#[tokio::test]
async fn a_job_is_claimed_as_it_was_written_down() {
    let mut queue = Queue::start().await;
    let request = Trace::of_request("POST /".to_owned(), None);
    request.of(queue.add(&Errand { number: 7 })).await;
    let job = queue.claim_one().await;
    assert_eq!((job.kind.as_str(), job.payload_version), ("test.errand", 1));
    assert_eq!((job.attempt, job.max_attempts), (1, 3));
    assert_eq!(job.trace_context, Some(request.traceparent()));
    queue.add(&Errand { number: 8 }).await;
    assert_eq!(queue.claim_one().await.trace_context, None, "nothing has caused it that is known");
}

#[tokio::test]
async fn a_duplicate_is_a_quiet_no_op_until_the_first_is_done() {
    let mut queue = Queue::start().await;
    let errand = Errand { number: 1 };
    let keyed = NewJob { unique_key: Some("daily"), ..NewJob::now(&errand) };
    let first = queue.add_with(&keyed).await;

    let mut tx = queue.tx().await;
    assert_eq!(enqueue(&mut tx, &keyed).await.expect("a duplicate is no error"), Enqueued::Duplicate);
    // The transaction goes on.
    enqueue(&mut tx, &NewJob::now(&errand)).await.expect("the transaction is as it was");
    tx.commit().await.expect("it can be committed");
    assert_eq!(queue.table.count("test.errand", "available").await, 2);

    let claimed = queue.claim(1).await;
    let mut tx = queue.tx().await;
    assert_eq!(enqueue(&mut tx, &keyed).await.expect("a duplicate is no error"), Enqueued::Duplicate);
    complete(&mut tx, &claimed[0].lease).await.expect("the lease is ours");
    tx.commit().await.expect("it can be committed");
    assert_eq!(queue.table.state(first).await, "done");
    queue.add_with(&keyed).await;
}

#[tokio::test]
async fn claims_follow_priority_and_then_age() {
    let mut queue = Queue::start().await;
    let errand = Errand { number: 1 };
    let old = queue.add(&errand).await;
    let young = queue.add(&errand).await;
    let urgent = queue.add_with(&NewJob { priority: -1, ..NewJob::now(&errand) }).await;
    let idle = queue.add_with(&NewJob { priority: 1, ..NewJob::now(&errand) }).await;
    assert_eq!(ids(&queue.claim(3).await), [urgent, old, young]);
    assert_eq!(ids(&queue.claim(3).await), [idle]);
}

#[tokio::test]
async fn no_two_claims_take_the_same_job() {
    let queue = Queue::start().await;
    for number in 0..200 {
        queue.add(&Errand { number }).await;
    }
    let claims = (0..4).map(|_| {
        let mut connection = DedicatedConnection::new(&queue.db, "tests", Duration::from_secs(5));
        tokio::spawn(async move {
            let mut claimed = Vec::new();
            loop {
                let claim = connection.claim("default", 7, LEASE, ClaimToken::new(), None).await;
                let jobs = claim.expect("jobs can be claimed").jobs;
                if jobs.is_empty() {
                    return claimed;
                }
                claimed.extend(ids(&jobs));
            }
        })
    });
    let mut all = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        all.extend(claim.await.expect("the claimer does not panic"));
    }
    assert_eq!(all.len(), 200);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 200);
}

#[tokio::test]
async fn a_payload_nobody_can_parse_does_not_spoil_the_claim_of_others() {
    let mut queue = Queue::start().await;
    let nested = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let odd = queue.table.insert("test.errand", 1, &nested).await;
    let fine = queue.add(&Errand { number: 1 }).await;
    assert_eq!(ids(&queue.claim(10).await), [odd, fine]);
}

#[tokio::test]
async fn what_is_committed_is_heard() {
    let queue = Queue::start().await;
    let mut listener = Listener::connect(&queue.db).await.expect("it can listen");
    let mut tx = queue.tx().await;
    enqueue(&mut tx, &NewJob::now(&Errand { number: 1 })).await.expect("it can be enqueued");
    drop(tx);
    let silence = timeout(Duration::from_millis(100), listener.heard()).await;
    assert!(silence.is_err(), "a job that does not exist was announced");
    queue.add(&Errand { number: 2 }).await;
    let heard = timeout(Duration::from_secs(20), listener.heard()).await;
    let heard = heard.expect("the job was announced").expect("the connection holds");
    assert_eq!(heard, Heard::WorkIn(vec!["default".to_owned()]));
}

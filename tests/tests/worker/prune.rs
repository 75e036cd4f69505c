use common::{clerk, queue::Job};
use tests::clerk_events;

use super::{TestWorker, kinds::Plain};

/// Three events of Clerk: one processed long ago, one lately, one not yet.
async fn receive_events(test: &mut TestWorker) {
    for org in ["org_1", "org_2", "org_3"] {
        let event = clerk_events::organization("organization.created", org, "Tesla Oslo", 1_700_000_000_000);
        let event = event.to_string();
        clerk::receive(&test.db, None, &clerk_events::delivery(org, &event)).await.expect("the database is there");
    }
    for event in [1, 2] {
        let mut tx = test.db.system().await.expect("the database is there");
        clerk::process(&mut tx, event).await.expect("the event is readable");
        tx.commit().await.expect("it can be committed");
    }
    // Nobody is to process the third meanwhile.
    test.table.change("DELETE FROM jobs WHERE payload ->> 'delivery_id' = $1::text", 3).await;
    test.table.change("UPDATE deliveries SET received_at = now() - $1 * interval '1 d'", 91).await;
    test.table.change("UPDATE deliveries SET processed_at = received_at WHERE id = $1", 1).await;
}

#[tokio::test]
async fn what_was_over_long_ago_is_pruned_and_the_rest_is_kept() {
    let mut test = TestWorker::open().await;
    receive_events(&mut test).await;
    let more_than_a_batch = "
        INSERT INTO jobs (queue, kind, payload, payload_version, state, max_attempts, finished_at)
        SELECT 'default', 'test.plain', '{}', 1, 'done', 1, now() - interval '8 d' FROM generate_series(1, $1)";
    test.table.change(more_than_a_batch, 1_200).await;
    let (recent, dead) = (test.table.insert(Plain::KIND, 1, "{}").await, test.table.insert(Plain::KIND, 1, "{}").await);
    test.table
        .change("UPDATE jobs SET state = 'done', finished_at = now() - interval '6 d' WHERE id = $1", recent)
        .await;
    test.table.change("UPDATE jobs SET state = 'dead', finished_at = now() - interval '1 y' WHERE id = $1", dead).await;

    let worker = test.worker_of(worker::jobs::registry(&test.config));
    test.table.wait_for_count("prune", "done", 1).await;
    worker.stop().await.expect("it stops cleanly");
    assert_eq!(test.table.count(Plain::KIND, "done").await, 1);
    assert_eq!((test.table.state(recent).await.as_str(), test.table.state(dead).await.as_str()), ("done", "dead"));
    test.table.wait_until("SELECT array_agg(id ORDER BY id) = ARRAY[2, $1] FROM deliveries", 3).await;

    // What Svix sends once more is processed once more, and changes nothing.
    let event = clerk_events::organization("organization.created", "org_1", "Tesla Oslo", 1_700_000_000_000);
    clerk::receive(&test.db, None, &clerk_events::delivery("org_1", &event.to_string()))
        .await
        .expect("the database is there");
    let worker = test.worker_of(worker::jobs::registry(&test.config));
    test.table.wait_until("SELECT count(*) = $1 FROM deliveries WHERE outcome = 'stale'", 1).await;
    worker.stop().await.expect("it stops cleanly");
}

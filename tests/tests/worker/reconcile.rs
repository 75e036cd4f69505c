use common::{
    clerk::{Reconciliation, reconcile},
    config::{CliConfig, Settings},
    jobs::{Prune, ReconcileClerk},
    queue::{NewJob, enqueue},
};
use dev::stand_ins::clerk::{Options, SigningKey, StandIn};
use tokio::net::TcpListener;

use super::TestWorker;

/// A worker's configuration that names a Clerk with the demo people, and this key for it.
async fn with_clerk(test: &mut TestWorker, key: &str) -> StandIn {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let clerk = StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file");
    let url = clerk.url();
    let settings = [("DATABASE_URL", test.url.as_str()), ("CLERK_API_URL", &url), ("CLERK_SECRET_KEY", key)];
    test.config.clerk = CliConfig::read(&mut Settings::from_values(settings)).expect("valid").clerk;
    clerk
}

#[tokio::test]
async fn workers_compare_with_clerk_by_themselves_and_only_one_of_them() {
    let mut test = TestWorker::open().await;
    let clerk = with_clerk(&mut test, "sk_test_stand_in").await;
    // Clerk asks to slow down.
    clerk.faults().refuse_requests(1);
    let workers: Vec<_> = (0..3).map(|_| test.worker_of(worker::jobs::registry(&test.config))).collect();
    test.table.wait_for_count("clerk.reconcile", "done", 1).await;
    test.table.wait_until("SELECT count(*) = $1 FROM users", 4).await;
    for worker in workers {
        worker.stop().await.expect("it stops cleanly");
    }
    assert_eq!(test.table.count("clerk.reconcile", "done").await, 1);
}

#[tokio::test]
async fn a_key_that_clerk_refuses_is_for_an_operator_to_see() {
    let mut test = TestWorker::open().await;
    let _clerk = with_clerk(&mut test, "sk_test_of_another_instance").await;
    let worker = test.worker_of(worker::jobs::registry(&test.config));
    test.table.wait_for_count("clerk.reconcile", "dead", 1).await;
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_worker_without_the_key_leaves_the_comparison_to_those_who_have_it() {
    let mut test = TestWorker::open().await;
    let job = NewJob::now(&ReconcileClerk {});
    let mut tx = test.db.system().await.expect("the database is there");
    enqueue(&mut tx, &job).await.expect("it is a valid job");
    enqueue(&mut tx, &NewJob::now(&Prune {})).await.expect("it is a valid job");
    tx.commit().await.expect("the database is there");
    let without = test.worker_of(worker::jobs::registry(&test.config));
    test.table.wait_for_count("prune", "done", 1).await;
    without.stop().await.expect("it stops cleanly");
    test.table.wait_until("SELECT count(*) = $1 FROM jobs WHERE kind = 'clerk.reconcile' AND attempts = 0", 1).await;

    let _clerk = with_clerk(&mut test, "sk_test_stand_in").await;
    let with = test.worker_of(worker::jobs::registry(&test.config));
    test.table.wait_until("SELECT count(*) >= $1 FROM jobs WHERE kind = 'clerk.reconcile' AND state = 'done'", 1).await;
    with.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_refused_comparison_is_dead_at_once() {
    let mut test = TestWorker::open().await;
    let clerk = with_clerk(&mut test, "sk_test_stand_in").await;
    reconcile(&test.db, test.config.clerk.as_ref().expect("it was set"), Reconciliation::default())
        .await
        .expect("both answer");
    let ids = clerk.instance().users.iter().map(|user| user.id.clone()).collect();
    clerk.faults().hide(ids);
    let worker = test.worker_of(worker::jobs::registry(&test.config));
    test.table.wait_for_count("clerk.reconcile", "dead", 1).await;
    worker.stop().await.expect("it stops cleanly");
    test.table.wait_until("SELECT count(*) = $1 FROM users WHERE NOT suspended", 4).await;
    test.table.wait_until("SELECT count(*) = $1 FROM jobs WHERE errors::text LIKE '%--allow-mass-deletion%'", 1).await;
}

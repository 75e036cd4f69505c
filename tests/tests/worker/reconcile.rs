use common::config::{CliConfig, Settings};
use dev::clerk::{Options, SigningKey, StandIn};
use tokio::net::TcpListener;

use super::Shop;

#[tokio::test]
async fn workers_compare_with_clerk_by_themselves_and_only_one_of_them() {
    let mut shop = Shop::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let clerk = StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file");
    let settings = [
        ("DATABASE_URL", shop.url.clone()),
        ("CLERK_API_URL", clerk.url()),
        ("CLERK_SECRET_KEY", "sk_test_stand_in".to_owned()),
    ];
    shop.config.clerk = CliConfig::read(&mut Settings::from_values(settings)).expect("valid").clerk;
    // Clerk asks to slow down, and is away for a while.
    clerk.refuse_requests(1);
    let workers: Vec<_> = (0..3).map(|_| shop.worker_of(worker::jobs::registry(&shop.config))).collect();
    shop.table.wait_for_count("clerk.reconcile", "done", 1).await;
    shop.table.wait_until("SELECT count(*) = $1 FROM users", 4).await;
    for worker in workers {
        worker.stop().await.expect("it stops cleanly");
    }
    let all = shop.table.count("clerk.reconcile", "done").await;
    assert_eq!(all, 1);
}

#[tokio::test]
async fn a_key_that_clerk_refuses_is_for_an_operator_to_see() {
    let mut shop = Shop::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let clerk = StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file");
    let settings = [
        ("DATABASE_URL", shop.url.clone()),
        ("CLERK_API_URL", clerk.url()),
        ("CLERK_SECRET_KEY", "sk_test_of_another_instance".to_owned()),
    ];
    shop.config.clerk = CliConfig::read(&mut Settings::from_values(settings)).expect("valid").clerk;
    let worker = shop.worker_of(worker::jobs::registry(&shop.config));
    shop.table.wait_for_count("clerk.reconcile", "dead", 1).await;
    worker.stop().await.expect("it stops cleanly");
}

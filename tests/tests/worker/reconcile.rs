use common::config::{CliConfig, Settings};
use dev::clerk::{Options, SigningKey, StandIn};
use tokio::net::TcpListener;

use super::Shop;

/// A worker's configuration that names a Clerk with the demo people, and this key for it.
async fn with_clerk(shop: &mut Shop, key: &str) -> StandIn {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let clerk = StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file");
    let url = clerk.url();
    let settings = [("DATABASE_URL", shop.url.as_str()), ("CLERK_API_URL", &url), ("CLERK_SECRET_KEY", key)];
    shop.config.clerk = CliConfig::read(&mut Settings::from_values(settings)).expect("valid").clerk;
    clerk
}

#[tokio::test]
async fn workers_compare_with_clerk_by_themselves_and_only_one_of_them() {
    let mut shop = Shop::open().await;
    let clerk = with_clerk(&mut shop, "sk_test_stand_in").await;
    // Clerk asks to slow down.
    clerk.refuse_requests(1);
    let workers: Vec<_> = (0..3).map(|_| shop.worker_of(worker::jobs::registry(&shop.config))).collect();
    shop.table.wait_for_count("clerk.reconcile", "done", 1).await;
    shop.table.wait_until("SELECT count(*) = $1 FROM users", 4).await;
    for worker in workers {
        worker.stop().await.expect("it stops cleanly");
    }
    assert_eq!(shop.table.count("clerk.reconcile", "done").await, 1);
}

#[tokio::test]
async fn a_key_that_clerk_refuses_is_for_an_operator_to_see() {
    let mut shop = Shop::open().await;
    let _clerk = with_clerk(&mut shop, "sk_test_of_another_instance").await;
    let worker = shop.worker_of(worker::jobs::registry(&shop.config));
    shop.table.wait_for_count("clerk.reconcile", "dead", 1).await;
    worker.stop().await.expect("it stops cleanly");
}

use std::time::Duration;

use tests::{
    cluster::{TestDatabase, database},
    proxy::{Mode, Proxy},
    test_system::TestSystem,
};
use tokio::time::{Instant, sleep};

async fn behind_a_proxy() -> (TestDatabase, Proxy, TestSystem) {
    let database = database().await;
    let proxy = Proxy::before(&database.url).await;
    let system = TestSystem::open(&database.url, proxy.url(), 2).await;
    (database, proxy, system)
}

#[tokio::test]
async fn connections_that_are_cut() {
    let (_database, proxy, system) = behind_a_proxy().await;
    for webhooks in [3, 10, 20, 30, 40, 50] {
        system.carry_on(webhooks).await;
        proxy.set(Mode::Cut);
        sleep(Duration::from_millis(100)).await;
        proxy.set(Mode::Pass);
    }
    system.recover("connections cut", Instant::now()).await;
    system.close().await.expect_exactly_once();
}

#[tokio::test]
async fn connections_that_are_half_closed() {
    let (_database, proxy, system) = behind_a_proxy().await;
    for webhooks in [3, 10, 20, 30, 40, 50] {
        system.carry_on(webhooks).await;
        proxy.set(Mode::HalfClose);
    }
    system.recover("connections half-closed", Instant::now()).await;
    system.close().await.expect_exactly_once();
}

#[tokio::test]
async fn a_network_that_stalls_for_longer_than_anybody_waits() {
    let (_database, proxy, system) = behind_a_proxy().await;
    system.carry_on(50).await;
    proxy.set(Mode::Stall);
    sleep(Duration::from_secs(8)).await;
    proxy.set(Mode::Pass);
    system.recover("a network that stalled for 8 s", Instant::now()).await;
    system.close().await.expect_exactly_once();
}

#[tokio::test]
async fn connections_that_vanish_without_a_word() {
    let (_database, proxy, system) = behind_a_proxy().await;
    system.carry_on(50).await;
    proxy.set(Mode::Vanish);
    system.recover("connections that vanished", Instant::now()).await;
    system.close().await.expect_exactly_once();
}

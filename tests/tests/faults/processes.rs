use std::time::Duration;

use tests::{
    cluster::database,
    processes::{Signal, command, signal},
    test_system::TestSystem,
};
use tokio::time::{Instant, sleep};

/// How long a worker's lease is in these tests, and more.
const PAST_THE_LEASE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn killed_again_and_again() {
    let database = database().await;
    let mut system = TestSystem::open(&database.url, &database.url, 2).await;
    for webhooks in [7, 31, 53] {
        system.carry_on(webhooks).await;
        let killed = Instant::now();
        system.replace_killed_api().await;
        system.recover("SIGKILL of the API", killed).await;
        let held = system.in_mid_job().await;
        let killed = Instant::now();
        system.replace_killed_worker().await;
        drop(held);
        system.recover("SIGKILL of a worker with a lease of 2 s", killed).await;
    }
    system.close().await.expect_exactly_once();
}

#[tokio::test]
async fn one_worker_killed_and_one_frozen_with_default_settings() {
    let database = database().await;
    let mut system = TestSystem::open(&database.url, &database.url, 1).await;
    for _ in 0..2 {
        system.hire_by(command("worker", &database.url));
    }
    assert_eq!(system.dismiss().await, Some(0));
    let held = system.in_mid_job().await;
    let killed = Instant::now();
    system.replace_killed_worker().await;
    let frozen = system.workers.remove(0);
    signal(&frozen, Signal::STOP);
    drop(held);
    system.recover("a worker killed and one frozen, with default settings", killed).await;
    drop(frozen);
    system.close().await.expect_exactly_once();
}

#[tokio::test]
async fn a_worker_that_is_stopped_past_its_lease_and_wakes_up() {
    let database = database().await;
    let system = TestSystem::open(&database.url, &database.url, 2).await;
    let held = system.in_mid_job().await;
    signal(&system.workers[0], Signal::STOP);
    drop(held);
    sleep(PAST_THE_LEASE).await;
    signal(&system.workers[0], Signal::CONT);
    system.recover("SIGSTOP past the lease, then SIGCONT", Instant::now()).await;
    system.close().await.expect_exactly_once();
}

#[tokio::test]
async fn from_one_worker_to_four_and_back() {
    let database = database().await;
    let mut system = TestSystem::open(&database.url, &database.url, 1).await;
    for _ in 0..3 {
        system.hire();
        system.carry_on(20).await;
    }
    for _ in 0..3 {
        assert_eq!(system.dismiss().await, Some(0));
        system.carry_on(20).await;
    }
    system.recover("scaling from 1 to 4 workers and back", Instant::now()).await;
    system.close().await.expect_exactly_once();
}

#[tokio::test]
async fn a_rolling_restart_of_workers_with_the_same_settings() {
    let database = database().await;
    let mut system = TestSystem::open(&database.url, &database.url, 2).await;
    for _ in 0..4 {
        system.hire();
        assert_eq!(system.dismiss().await, Some(0));
        system.carry_on(20).await;
    }
    system.recover("a rolling restart of the workers", Instant::now()).await;
    let tally = system.close().await;
    tally.expect_exactly_once();
    assert!(tally.record.refused.is_empty(), "{tally}");
}

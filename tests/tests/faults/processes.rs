use std::time::Duration;

use tests::{
    cluster::database,
    processes::{Signal, command, signal},
    site::Site,
};
use tokio::time::{Instant, sleep};

/// How long a worker's lease is in these tests, and more.
const PAST_THE_LEASE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn killed_again_and_again() {
    let database = database().await;
    let mut site = Site::open(&database.url, &database.url, 2).await;
    for webhooks in [7, 31, 53] {
        site.carry_on(webhooks).await;
        let killed = Instant::now();
        site.replace_killed_api().await;
        site.recover("SIGKILL of the API", killed).await;
        let held = site.in_mid_job().await;
        let killed = Instant::now();
        site.replace_killed_worker().await;
        drop(held);
        site.recover("SIGKILL of a worker with a lease of 2 s", killed).await;
    }
    site.close().await.expect_exactly_once();
}

#[tokio::test]
async fn one_worker_killed_and_one_frozen_with_default_settings() {
    let database = database().await;
    let mut site = Site::open(&database.url, &database.url, 1).await;
    for _ in 0..2 {
        site.hire_by(command("worker", &database.url));
    }
    assert_eq!(site.dismiss().await, Some(0));
    let held = site.in_mid_job().await;
    let killed = Instant::now();
    site.replace_killed_worker().await;
    let frozen = site.workers.remove(0);
    signal(&frozen, Signal::STOP);
    drop(held);
    site.recover("a worker killed and one frozen, with default settings", killed).await;
    drop(frozen);
    site.close().await.expect_exactly_once();
}

#[tokio::test]
async fn a_worker_that_is_stopped_past_its_lease_and_wakes_up() {
    let database = database().await;
    let site = Site::open(&database.url, &database.url, 2).await;
    let held = site.in_mid_job().await;
    signal(&site.workers[0], Signal::STOP);
    drop(held);
    sleep(PAST_THE_LEASE).await;
    signal(&site.workers[0], Signal::CONT);
    site.recover("SIGSTOP past the lease, then SIGCONT", Instant::now()).await;
    site.close().await.expect_exactly_once();
}

#[tokio::test]
async fn from_one_worker_to_four_and_back() {
    let database = database().await;
    let mut site = Site::open(&database.url, &database.url, 1).await;
    for _ in 0..3 {
        site.hire();
        site.carry_on(20).await;
    }
    for _ in 0..3 {
        assert_eq!(site.dismiss().await, Some(0));
        site.carry_on(20).await;
    }
    site.recover("scaling from 1 to 4 workers and back", Instant::now()).await;
    site.close().await.expect_exactly_once();
}

#[tokio::test]
async fn a_rolling_restart_of_workers_with_the_same_settings() {
    let database = database().await;
    let mut site = Site::open(&database.url, &database.url, 2).await;
    for _ in 0..4 {
        site.hire();
        assert_eq!(site.dismiss().await, Some(0));
        site.carry_on(20).await;
    }
    site.recover("a rolling restart of the workers", Instant::now()).await;
    let tally = site.close().await;
    tally.expect_exactly_once();
    assert!(tally.record.refused.is_empty(), "{tally}");
}

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tests::{
    cluster::{database, private_cluster},
    processes::{Signal, ended, signal},
    test_system::TestSystem,
};
use tokio::time::{Instant, sleep, sleep_until};

async fn run(url: &str, statement: &'static str) {
    let mut superuser = PgConnection::connect(url).await.expect("the database is there");
    sqlx::raw_sql(statement).execute(&mut superuser).await.expect("a superuser may");
}

#[tokio::test]
async fn restarted_immediately_again_and_again() {
    let mut cluster = private_cluster().await;
    let system = TestSystem::open(&cluster.url, &cluster.url, 2).await;
    for webhooks in [3, 10, 20, 50, 70] {
        system.carry_on(webhooks).await;
        cluster.restart_immediate().await;
    }
    system.recover("five immediate restarts of PostgreSQL", Instant::now()).await;
    system.close().await.expect_exactly_once();
}

#[tokio::test]
async fn away_for_fifteen_seconds() {
    let mut cluster = private_cluster().await;
    let mut system = TestSystem::open(&cluster.url, &cluster.url, 2).await;
    // The connection that holds them ends with the server.
    let _held = system.in_mid_job().await;
    cluster.stop().await;
    let stopped = Instant::now();
    let mut leaving = system.workers.remove(0);
    signal(&leaving, Signal::TERM);
    assert_eq!(ended(&mut leaving).await.code(), Some(1), "it had jobs, and nobody to tell");
    system.hire();
    sleep_until(stopped + Duration::from_secs(15)).await;
    cluster.start().await;
    system.recover("PostgreSQL gone for 15 s", Instant::now()).await;
    let tally = system.close().await;
    tally.expect_exactly_once();
    assert!(tally.record.refused.contains_key("503"), "{tally}");
}

#[tokio::test]
async fn its_backends_terminated_at_random() {
    const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'norvalt%' AND random() < 0.5";
    let database = database().await;
    let system = TestSystem::open(&database.url, &database.url, 2).await;
    for webhooks in [3, 10, 20, 30, 40, 50] {
        system.carry_on(webhooks).await;
        run(&database.url, TERMINATE).await;
    }
    system.recover("terminated backends", Instant::now()).await;
    system.close().await.expect_exactly_once();
}

#[tokio::test]
async fn read_only_by_default_for_a_while() {
    let cluster = private_cluster().await;
    let system = TestSystem::open(&cluster.url, &cluster.url, 2).await;
    system.carry_on(50).await;
    run(&cluster.url, "ALTER SYSTEM SET default_transaction_read_only = on").await;
    run(&cluster.url, "SELECT pg_reload_conf()").await;
    sleep(Duration::from_secs(3)).await;
    run(&cluster.url, "ALTER SYSTEM RESET default_transaction_read_only").await;
    run(&cluster.url, "SELECT pg_reload_conf()").await;
    system.recover("a read-only database", Instant::now()).await;
    let tally = system.close().await;
    tally.expect_exactly_once();
    assert!(!tally.record.refused.contains_key("503"), "writes say that they write: {tally}");
}

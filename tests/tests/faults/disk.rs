use std::time::Duration;

use tests::{cluster::private_cluster, test_system::TestSystem, tiny_disk::TinyDisk};
use tokio::time::{Instant, sleep};

#[tokio::test]
async fn full_for_a_while() {
    let cluster = private_cluster().await;
    let disk = match TinyDisk::new(&cluster.directory()) {
        Ok(disk) => disk,
        Err(error) => return println!("skipped: a file system of its own needs root: {error}"),
    };
    cluster.move_tables_to(&disk.directory()).await;
    let system = TestSystem::open(&cluster.url, &cluster.url, 2).await;
    system.carry_on(50).await;
    disk.fill();
    sleep(Duration::from_secs(5)).await;
    disk.relieve();
    system.recover("a full disk", Instant::now()).await;
    let tally = system.close().await;
    tally.expect_exactly_once();
    assert!(tally.record.refused.contains_key("503"), "the disk was not full: {tally}");
}

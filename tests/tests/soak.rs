//! All faults, at random and for as long as one likes, under load:
//! `SOAK_SECONDS=300 cargo test soak -- --ignored --nocapture`. `SOAK_SEED` repeats the faults of an earlier run, though
//! not the moments at which they strike.

mod fault;

use std::{collections::BTreeMap, env, time::Duration};

use proptest::{
    prelude::RngExt,
    test_runner::{RngAlgorithm, TestRng},
};
use tests::{
    cluster::{PrivateCluster, private_cluster},
    proxy::Proxy,
    test_system::TestSystem,
    tiny_disk::TinyDisk,
};
use tokio::time::{Instant, timeout};

use fault::Fault;

/// No fault lasts as long, with all the starting and stopping of processes that belongs to it.
const LONGEST: Duration = Duration::from_mins(3);

/// A system in trouble.
struct Soak {
    cluster: PrivateCluster,
    proxy: Proxy,
    system: TestSystem,
    /// Where tables are that will have no room. Not everybody may make one.
    disk: Option<TinyDisk>,
    rng: TestRng,
}

/// Of faults that struck before the one before was overcome, nobody knows which one it was that took so long.
const SEVERAL: &str = "several, one before the other was overcome";

/// What one kind of fault has done.
#[derive(Debug, Default)]
struct Toll {
    times: u32,
    /// When it came alone, if it did.
    worst: Option<Duration>,
}

#[tokio::test]
#[ignore = "takes minutes: SOAK_SECONDS=300 cargo test soak -- --ignored --nocapture"]
async fn soak() {
    let seconds = number("SOAK_SECONDS").unwrap_or(60);
    let seed = number("SOAK_SEED").unwrap_or_else(|| u64::from(u32::from_be_bytes(dev::random::bytes())));
    println!("for {seconds} s, with SOAK_SEED={seed}");
    let mut soak = Soak::start(seed).await;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tolls: BTreeMap<&str, Toll> = BTreeMap::new();
    let mut not_overcome = Vec::new();
    while Instant::now() < end {
        let fault = Fault::ALL[soak.rng.random_range(0..Fault::ALL.len())];
        let struck = timeout(LONGEST, soak.strike(fault)).await;
        if !struck.unwrap_or_else(|_| panic!("{} was not over within {LONGEST:?}", fault.name())) {
            continue;
        }
        tolls.entry(fault.name()).or_default().times += 1;
        not_overcome.push(fault.name());
        // Else the next one comes before this one is overcome.
        if soak.rng.random_bool(0.7) {
            let took = soak.system.recover(&not_overcome.join(", then "), Instant::now()).await;
            let toll = if let [alone] = not_overcome[..] {
                tolls.entry(alone).or_default()
            } else {
                let several = tolls.entry(SEVERAL).or_default();
                several.times += 1;
                several
            };
            toll.worst = toll.worst.max(Some(took));
            not_overcome.clear();
        }
    }
    soak.system.recover("all of it", Instant::now()).await;
    let tally = soak.system.close().await;
    println!("\n{:<52}{:>6}{:>16}", "fault", "times", "worst recovery");
    for (name, Toll { times, worst }) in &tolls {
        let worst = worst.map_or("-".to_owned(), |worst| format!("{:.1} s", worst.as_secs_f32()));
        println!("{name:<52}{times:>6}{worst:>16}");
    }
    println!("\n{tally}");
    tally.expect_exactly_once();
}

impl Soak {
    async fn start(seed: u64) -> Self {
        let cluster = private_cluster().await;
        let disk = TinyDisk::new(&cluster.directory())
            .inspect_err(|error| println!("the disk will not be full: {error}"))
            .ok();
        if let Some(disk) = &disk {
            cluster.move_tables_to(&disk.directory()).await;
        }
        let proxy = Proxy::before(&cluster.url).await;
        let system = TestSystem::open(&cluster.url, proxy.url(), 2).await;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Self { cluster, proxy, system, disk, rng: TestRng::from_seed(RngAlgorithm::ChaCha, &bytes) }
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().expect("a whole number"))
}

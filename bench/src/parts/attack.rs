//! What those who mean harm take from everybody else.

use std::{net::SocketAddr, sync::Arc};

use chrono::TimeDelta;
use dev::{hostile::Hostile, stand_ins::clerk::SessionToken};
use tokio::time::{Duration, interval};

use crate::{
    Outcome,
    context::Bench,
    data::{Sample, Samples},
    load::{self, Measured, Until},
    process_stat::resident_megabytes,
    report::{Row, Target},
    traffic::Path,
};

/// Ordinary requests, each kind on so many connections.
const ORDINARY: [(Path, usize); 3] = [(Path::Mixed, 4), (Path::Create, 2), (Path::Webhook, 2)];
const STRANGER: [u8; 4] = [127, 0, 0, 2];
const SELLER: [u8; 4] = [127, 0, 0, 3];
/// Found nowhere, so that all leads are looked at.
const WORDS: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";

pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    let (api, address, _) = bench.launcher().api(&bench.database.url).await?;
    let seller = bench.samples.readers.first().ok_or("nobody is there")?.clone();
    let others = Arc::new(without(&bench.samples, &seller));
    ordinary(bench, address, &others, Duration::from_secs(1)).await?;
    let calm = ordinary(bench, address, &others, bench.options.length()).await?;

    let token = SessionToken::for_user(&seller.user_id).organization(&seller.org_id, "slug", "org:admin");
    let token = token.ttl(TimeDelta::minutes(10)).mint(&bench.key());
    let hostile = (Hostile::stranger(STRANGER.into(), address), Hostile::seller(SELLER.into(), address, &token, WORDS));
    let length = bench.options.length() * 2;
    let (attacked, memory) = tokio::join!(ordinary(bench, address, &others, length), largest(api.pid(), length));
    drop(hostile);
    let attacked = attacked?;
    api.stop().await?;

    let answers: usize = attacked.iter().map(|(_, measured)| measured.answers).sum();
    let failed: usize = attacked.iter().map(|(_, measured)| measured.refused + measured.errors).sum();
    let error = attacked.iter().find_map(|(_, measured)| measured.error.clone());
    let note =
        format!("{answers} right answers to people of other dealerships and to Clerk, {failed} refused or failed");
    let share = answers as f64 / (answers + failed) as f64;
    let name = "right answers beside an anonymous and a hostile client";
    bench.report.add(Row::measured(name, share, "", Target::AtLeast(0.99), note).unless(error));
    for ((path, before), (_, during)) in calm.iter().zip(&attacked) {
        let note =
            format!("{:.1} ms, undisturbed {:.1} ms; both on the processors of the attackers", during.p99, before.p99);
        let name = format!("p99 of {path:?} beside them, of undisturbed");
        bench.report.add(Row::measured(&name, during.p99 / before.p99, " ×", Target::AtMost(3.0), note));
    }
    let name = "memory of the API beside them";
    let row = memory.map_or_else(
        || Row::missing(name, Target::AtMost(150.0), "needs /proc"),
        |megabytes| Row::measured(name, megabytes, " MB", Target::AtMost(150.0), "resident, the most seen".to_owned()),
    );
    bench.report.add(row);
    Ok(())
}

/// Everybody but the dealership of one.
fn without(samples: &Samples, one: &Sample) -> Samples {
    let others = |all: &[Sample]| all.iter().filter(|sample| sample.org_id != one.org_id).cloned().collect();
    Samples { readers: others(&samples.readers), writers: others(&samples.writers) }
}

async fn ordinary(
    bench: &Bench,
    address: SocketAddr,
    samples: &Arc<Samples>,
    length: Duration,
) -> Outcome<Vec<(Path, Measured)>> {
    let one = |(path, connections)| {
        let traffic = bench.traffic_among(path, connections, samples);
        async move { load::run(address, traffic, Until::Elapsed(length)).await.map(|measured| (path, measured)) }
    };
    let [first, second, third] = ORDINARY.map(one);
    let (first, second, third) = tokio::join!(first, second, third);
    Ok(vec![first?, second?, third?])
}

/// The most memory that a process has meanwhile, in megabytes.
async fn largest(pid: u32, length: Duration) -> Option<f64> {
    let mut tick = interval(Duration::from_millis(20));
    let mut largest = resident_megabytes(pid)?;
    let looks = length.as_millis() / 20;
    for _ in 0..looks {
        tick.tick().await;
        largest = resident_megabytes(pid).map_or(largest, |now| largest.max(now));
    }
    Some(largest)
}

use crate::{
    Outcome,
    context::Bench,
    load::{self, Until, median},
    process_stat::resident_megabytes,
    report::{Row, Target},
    traffic::Path,
};

const REQUESTS: usize = 100_000;
const CONNECTIONS: usize = 64;
const STARTS: usize = 5;

pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    let (mut of_api, mut of_worker) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let (api, _, took) = bench.launcher().api(&bench.database.url).await?;
        of_api.push(took.as_secs_f64() * 1000.0);
        api.stop().await?;
        let (worker, took) = bench.launcher().ready_worker(&bench.database.url).await?;
        of_worker.push(took.as_secs_f64() * 1000.0);
        worker.stop().await?;
    }
    for (name, starts) in [("the API is ready", of_api), ("the worker is ready", of_worker)] {
        let note = format!("median of {STARTS}, from exec until /health/ready says 200, on a migrated database");
        bench.report.add(Row::measured(name, median(starts), " ms", Target::AtMost(200.0), note));
    }

    let (api, address, _) = bench.launcher().api(&bench.database.url).await?;
    let fresh = resident_megabytes(api.pid());
    let until = Until::Requests(REQUESTS.div_ceil(CONNECTIONS));
    let measured = load::run(address, bench.traffic(Path::Mixed, CONNECTIONS), until).await?;
    let name = "memory of the API after 100,000 requests";
    let row = match (fresh, resident_megabytes(api.pid())) {
        (Some(fresh), Some(megabytes)) => {
            let note = format!(
                "resident, after pages and single leads on {CONNECTIONS} connections at {:.0}/s; {fresh:.1} MB when fresh",
                measured.per_second
            );
            Row::measured(name, megabytes, " MB", Target::AtMost(30.0), note).unless(measured.error)
        }
        _ => Row::missing(name, Target::AtMost(30.0), "needs /proc"),
    };
    bench.report.add(row);
    api.stop().await
}

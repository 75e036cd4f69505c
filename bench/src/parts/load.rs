use std::time::Duration;

use crate::{
    Outcome,
    context::Bench,
    load::{self, Measured, Until},
    report::{Row, Series, Target},
    traffic::Path,
};

const CONNECTIONS: [usize; 5] = [1, 16, 64, 256, 1_024];

pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    let (api, address, _) = bench.launcher().api(&bench.database.url).await?;
    load::run(address, bench.traffic(Path::Page, 64), Until::Elapsed(Duration::from_secs(1))).await?;
    let mut all = Vec::new();
    for connections in CONNECTIONS {
        let until = Until::Elapsed(bench.options.length());
        let measured = load::run(address, bench.traffic(Path::Page, connections), until).await?;
        eprintln!(
            "   {connections:>5} connections: {:.0}/s, p50 {:.1} ms, p99 {:.1} ms, {} refused, {} errors",
            measured.per_second, measured.p50, measured.p99, measured.refused, measured.errors
        );
        all.push((connections, measured));
    }
    api.stop().await?;

    let peak = all.iter().map(|(_, measured)| measured.per_second).fold(0.0, f64::max);
    let rates: Vec<String> = all.iter().map(|(n, measured)| format!("{n}: {:.0}/s", measured.per_second)).collect();
    let rate = all[3].1.per_second;
    let note = format!("pages, by connections: {}", rates.join(", "));
    let name = "throughput at 256 connections, of the peak";
    bench.report.add(Row::measured(name, rate / peak, " ×", Target::AtLeast(0.8), note));
    let wrong: usize = all.iter().map(|(_, measured)| measured.errors).sum();
    let refused: Vec<String> = all.iter().map(|(n, measured)| format!("{n}: {}", measured.refused)).collect();
    let error = all.iter().find_map(|(_, measured)| measured.error.clone());
    let note = format!("deliberate 503 by connections: {}", refused.join(", "));
    let name = "wrong answers under any load";
    bench.report.add(Row::measured(name, wrong as f64, "", Target::AtMost(0.0), note).unless(error));
    let p99: Vec<String> = all.iter().map(|(n, measured)| format!("{n}: {:.0} ms", measured.p99)).collect();
    let name = "p99 at 1,024 connections";
    let note = format!("p99 by connections: {}; a request waits at most 2 s for a connection", p99.join(", "));
    bench.report.add(Row::measured(name, all[4].1.p99, " ms", Target::AtMost(3_000.0), note));
    let mut draw = |name: &str, value: fn(&Measured) -> f64| {
        let points = all.iter().map(|(n, measured)| (*n as f64, value(measured))).collect();
        bench.report.series.push(Series { plot: "latency-against-load", name: name.to_owned(), points });
    };
    draw("p50", |measured| measured.p50);
    draw("p99", |measured| measured.p99);
    Ok(())
}

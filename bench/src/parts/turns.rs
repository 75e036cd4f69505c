use std::{net::SocketAddr, thread::available_parallelism, time::Duration};

use crate::{
    Outcome,
    context::Bench,
    load::{self, Measured, Requests, Until, median},
    pgbench,
    process_stat::Used,
    report::{Row, Target},
    script::Script,
};

/// What program and PostgreSQL came to, in turn.
pub(super) struct Turns {
    program: Vec<Measured>,
    alone: Vec<f64>,
    used: Vec<Used>,
    used_alone: Vec<f64>,
    seconds: u64,
}

impl Turns {
    /// Requests of the API, and in turn the statements of one as pgbench sends them.
    pub(super) async fn take<R: Requests>(
        bench: &Bench,
        api: u32,
        address: SocketAddr,
        requests: impl Fn(usize) -> Vec<R>,
        script: &Script,
    ) -> Outcome<Self> {
        let (connections, seconds) = (bench.options.connections, bench.options.seconds);
        load::run(address, requests(connections), Until::Elapsed(Duration::from_secs(1))).await?;
        let mut turns = Self { program: vec![], alone: vec![], used: vec![], used_alone: vec![], seconds };
        for _ in 0..bench.options.rounds {
            let home = bench.postgres.home();
            let before = Used::now(Some(api), &home);
            let until = Until::Elapsed(bench.options.length());
            turns.program.push(load::run(address, requests(connections), until).await?);
            let between = Used::now(Some(api), &home);
            turns.used.push(between.since(before));
            let until = pgbench::Until::Seconds(seconds);
            turns.alone.push(pgbench::run(&bench.database, script, connections, until).await?);
            turns.used_alone.push(Used::now(None, &home).since(between).postgres);
        }
        Ok(turns)
    }

    /// How the program's speed stands to PostgreSQL's own.
    pub(super) fn row(&self, name: &str, target: f64) -> Row {
        let ratio = median(self.program.iter().zip(&self.alone).map(|(measured, alone)| measured.per_second / alone));
        let error = self.program.iter().find_map(|measured| measured.error.clone());
        let mut note = self.note();
        if ratio < target {
            note += &self.reason(target);
        }
        Row::measured(name, ratio, " ×", Target::AtLeast(target), note).unless(error)
    }

    /// Why a target was missed: what a request takes of all processors together, and whom.
    fn reason(&self, target: f64) -> String {
        let processors = available_parallelism().map_or(1.0, |count| count.get() as f64);
        let allowed = processors * 1e6 / (target * median(self.alone.iter().copied()));
        let taken = processors * 1e6 / median(self.program.iter().map(|measured| measured.per_second));
        let busy = |(measured, used): (&Measured, &Used)| {
            (used.program + used.postgres + used.this) * 1e6 / measured.answers as f64
        };
        let rest = taken - median(self.program.iter().zip(&self.used).map(busy));
        format!(
            "; why: {allowed:.0} µs of the {processors} processors for each request would meet the target, and it takes {taken:.0}: \
             what stands before, and {rest:.0} µs of the kernel or of waiting for the disk"
        )
    }

    /// Rates, and what a request costs whom.
    fn note(&self) -> String {
        let rate = median(self.program.iter().map(|measured| measured.per_second));
        let rate_alone = median(self.alone.iter().copied());
        let each = |cost: &dyn Fn(&Used) -> f64| {
            let one = |(measured, used): (&Measured, &Used)| cost(used) * 1e6 / measured.answers as f64;
            median(self.program.iter().zip(&self.used).map(one))
        };
        let each_alone = median(
            self.used_alone.iter().zip(&self.alone).map(|(used, rate)| used * 1e6 / (rate * self.seconds as f64)),
        );
        let (p50, p99) = (median(self.program.iter().map(|m| m.p50)), median(self.program.iter().map(|m| m.p99)));
        format!(
            "{rate:.0}/s of {rate_alone:.0}/s; p50 {p50:.1} ms, p99 {p99:.1} ms; processor time of one: API {:.0} µs, PostgreSQL \
             {:.0} µs, load {:.0} µs (pgbench: PostgreSQL {each_alone:.0} µs)",
            each(&|used| used.program),
            each(&|used| used.postgres),
            each(&|used| used.this),
        )
    }
}

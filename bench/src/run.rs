use std::{process::ExitCode, sync::Arc, thread::available_parallelism};

use dev::clerk::{Options as ClerkOptions, SigningKey, StandIn};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;

use crate::{
    Outcome,
    binaries::Binaries,
    data::Samples,
    loading::{self, Size},
    options::{Options, Part},
    parts, plot,
    postgres::{Database, Postgres},
    processes::Launcher,
    report::Report,
    traffic::{Path, Tokens, Traffic},
};

/// What the parts share.
pub(crate) struct Bench {
    pub(crate) options: Options,
    pub(crate) postgres: Postgres,
    pub(crate) database: Database,
    pub(crate) samples: Arc<Samples>,
    pub(crate) report: Report,
    binaries: Binaries,
    clerk: StandIn,
}

/// Measures what the options say, and prints it.
pub async fn run(options: Options) -> ExitCode {
    let outcome = tokio::select! {
        outcome = measure(options) => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted; the next run removes what is left in /var/tmp".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", common::telemetry::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: Options) -> Outcome<()> {
    raise_open_files();
    eprintln!("== building the release binaries");
    let binaries = Binaries::build().await?;
    eprintln!("== starting PostgreSQL and loading {} leads", options.dealerships * options.leads);
    let postgres = Postgres::start().await?;
    let database = postgres.create_database("bench").await?;
    let size = Size {
        dealerships: options.dealerships,
        leads: options.leads,
        conversations: options.conversations,
        users: options.users,
    };
    loading::load(&database, "bench", size).await?;
    let mut connection = database.connect().await?;
    let samples = Arc::new(Samples::draw(&mut connection).await?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let clerk = StandIn::start(listener, ClerkOptions::in_memory(SigningKey::generate())).await?;
    let report = Report::default();
    let mut bench = Bench { options, postgres, database, samples, report, binaries, clerk };
    let outcome = bench.measure_parts().await;
    let Bench { postgres, report, binaries, .. } = bench;
    postgres.stop().await?;
    report.write(&binaries.results())?;
    for (name, across) in [("latency-against-load", "connections"), ("cost-against-size", "leads")] {
        let series: Vec<_> = report.series.iter().filter(|series| series.plot == name).collect();
        plot::draw(&binaries.results(), name, across, &series).map_err(|error| error.to_string())?;
    }
    println!("\n{}\nAlso in {}", report.table(), binaries.results().display());
    outcome
}

impl Bench {
    async fn measure_parts(&mut self) -> Outcome<()> {
        self.report.setting = vec![
            format!("{} processors, PostgreSQL {}", available_parallelism()?, self.postgres.version()),
            format!(
                "{} dealerships × {} leads, {} messages, {} people; {} connections, {} s, median of {} rounds",
                self.options.dealerships,
                self.options.leads,
                self.options.conversations,
                self.options.users,
                self.options.connections,
                self.options.seconds,
                self.options.rounds
            ),
        ];
        parts::ceiling::measure(self).await?;
        for (part, title) in [
            (Part::Requests, "requests, in turn with pgbench"),
            (Part::Jobs, "jobs, in turn with pgbench"),
            (Part::Latency, "from a webhook to its effect"),
            (Part::Load, "few and many connections"),
            (Part::Attack, "hostile clients beside others"),
            (Part::Footprint, "memory and start"),
            (Part::Growth, "growth"),
        ] {
            if !self.options.measures(part) {
                continue;
            }
            eprintln!("== {title}");
            match part {
                Part::Requests => parts::requests::measure(self).await?,
                Part::Jobs => parts::jobs::measure(self).await?,
                Part::Latency => parts::latency::measure(self).await?,
                Part::Load => parts::load::measure(self).await?,
                Part::Attack => parts::attack::measure(self).await?,
                Part::Footprint => parts::footprint::measure(self).await?,
                Part::Growth => parts::growth::measure(self).await?,
            }
        }
        Ok(())
    }

    pub(crate) fn launcher(&self) -> Launcher<'_> {
        Launcher { binaries: &self.binaries, clerk: &self.clerk, options: &self.options }
    }

    /// Requests for so many connections, with tokens that were just issued.
    pub(crate) fn traffic(&self, path: Path, connections: usize) -> Vec<Traffic> {
        self.traffic_among(path, connections, &self.samples)
    }

    pub(crate) fn traffic_among(&self, path: Path, connections: usize, samples: &Arc<Samples>) -> Vec<Traffic> {
        let tokens = Tokens::mint(samples, &self.clerk.key());
        let one = |seed| Traffic::new(path, Arc::clone(samples), tokens.clone(), seed);
        // Ids of deliveries follow from the seed and must not come twice.
        let first = usize::try_from(dev::random::bytes::<4>().iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)));
        let first = first.unwrap_or_default();
        (first..first + connections).map(one).collect()
    }

    /// Signs tokens that the API accepts.
    pub(crate) fn key(&self) -> Arc<SigningKey> {
        self.clerk.key()
    }

    /// Where results and whatever is worth keeping between runs are.
    pub(crate) fn results(&self) -> std::path::PathBuf {
        self.binaries.results()
    }
}

/// Both ends of a thousand connections: the limit of this process and of those that it starts.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is not allowed, the part `load` will say so.
    let _ = setrlimit(Resource::Nofile, limit);
}

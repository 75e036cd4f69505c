use std::{process::ExitCode, sync::Arc, thread::available_parallelism};

use dev::stand_ins::clerk::{Options as ClerkOptions, SigningKey, StandIn};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;

use crate::{
    Outcome,
    binaries::Binaries,
    context::Bench,
    data::Samples,
    loading::{self, Size},
    options::{Options, Part},
    parts, plot,
    postgres::Postgres,
    report::Report,
};

/// Measures what the options say, and prints it.
pub async fn run(options: Options) -> ExitCode {
    let outcome = tokio::select! {
        outcome = measure(options) => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted; the next run removes what is left in /var/tmp".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", common::telemetry::error_chain(&*error));
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
    let outcome = measure_parts(&mut bench).await;
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

async fn measure_parts(bench: &mut Bench) -> Outcome<()> {
    bench.report.setting = vec![
        format!("{} processors, PostgreSQL {}", available_parallelism()?, bench.postgres.version()),
        format!(
            "{} dealerships × {} leads, {} messages, {} people; {} connections, {} s, median of {} rounds",
            bench.options.dealerships,
            bench.options.leads,
            bench.options.conversations,
            bench.options.users,
            bench.options.connections,
            bench.options.seconds,
            bench.options.rounds
        ),
    ];
    parts::ceiling::measure(bench).await?;
    for (part, title) in [
        (Part::Requests, "requests, in turn with pgbench"),
        (Part::Jobs, "jobs, in turn with pgbench"),
        (Part::Latency, "from a webhook to its effect"),
        (Part::Load, "few and many connections"),
        (Part::Attack, "hostile clients beside others"),
        (Part::Footprint, "memory and start"),
        (Part::Growth, "growth"),
        // The others know how many leads each dealership has, until these make more.
        (Part::Intake, "inquiries from outside"),
        (Part::Sending, "messages that go out"),
    ] {
        if !bench.options.measures(part) {
            continue;
        }
        eprintln!("== {title}");
        match part {
            Part::Requests => parts::requests::measure(bench).await?,
            Part::Intake => parts::intake::measure(bench).await?,
            Part::Sending => parts::sending::measure(bench).await?,
            Part::Jobs => parts::jobs::measure(bench).await?,
            Part::Latency => parts::latency::measure(bench).await?,
            Part::Load => parts::load::measure(bench).await?,
            Part::Attack => parts::attack::measure(bench).await?,
            Part::Footprint => parts::footprint::measure(bench).await?,
            Part::Growth => parts::growth::measure(bench).await?,
        }
    }
    Ok(())
}

/// Both ends of a thousand connections: the limit of this process and of those that it starts.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is not allowed, the part `load` will say so.
    let _ = setrlimit(Resource::Nofile, limit);
}

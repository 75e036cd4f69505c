use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::batches::Batches;
use crate::{
    Outcome,
    context::Bench,
    graphile,
    load::median,
    people::{self, Batch, Member},
    pgbench,
    process_stat::{Used, resident_megabytes},
    record::{Mark, Statement},
    report::{Row, Target},
    script::Script,
};

const NAME: &str = "jobs with an effect in their own transaction";
const DRAIN_TIMEOUT: Duration = Duration::from_mins(5);

/// Jobs in a second, for each round: of this worker, of the same statements alone, of batches, and of graphile-worker.
#[derive(Default)]
struct Rates {
    program: Vec<f64>,
    alone: Vec<f64>,
    at_once: Vec<f64>,
    other: Vec<(f64, f64)>,
    used: Vec<Used>,
}

pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    let connections = bench.options.connections;
    let mut connection = bench.database.connect().await?;
    prepare(bench, &mut connection).await?;
    let recorded = record(bench, &mut connection).await?;
    let graphile = graphile::Graphile::prepare(bench).await;
    let worker = bench.launcher().worker(&bench.database.url, connections)?;
    drain(&mut connection, 500).await?;
    let batches = Batches::start(bench)?;
    batches.drain(&mut connection, 500).await?;
    let mut rates = Rates::default();
    for _ in 0..bench.options.rounds {
        let before = Used::now(Some(worker.pid()), &bench.postgres.home());
        rates.program.push(drain(&mut connection, bench.options.jobs).await?);
        rates.used.push(Used::now(Some(worker.pid()), &bench.postgres.home()).since(before));
        rates.alone.push(complete_all(bench, &mut connection, &recorded).await?);
        rates.at_once.push(batches.drain(&mut connection, bench.options.jobs * 3).await?);
        if let Ok(graphile) = &graphile {
            rates.other.push(graphile.drain(bench.options.jobs).await?);
        }
    }
    let resident = resident_megabytes(worker.pid());
    worker.stop().await?;
    batches.stop().await?;

    let refused = graphile.err().map(|reason| reason.to_string());
    let statements = recorded.statements.len();
    for row in
        [rates.own(statements, bench.options.jobs), rates.against_another(statements, refused), rates.in_batches()]
    {
        bench.report.add(row);
    }
    let name = "memory of the worker after these jobs";
    bench.report.add(match resident {
        Some(megabytes) => Row::measured(name, megabytes, " MB", Target::AtMost(25.0), "resident".to_owned()),
        None => Row::missing(name, Target::AtMost(25.0), "needs /proc"),
    });
    Ok(())
}

impl Rates {
    fn own(&self, statements: usize, jobs: i64) -> Row {
        let ratio = median(self.program.iter().zip(&self.alone).map(|(program, alone)| program / alone));
        let each = |cost: &dyn Fn(&Used) -> f64| median(self.used.iter().map(|used| cost(used) * 1e6 / jobs as f64));
        let note = format!(
            "{:.0}/s of {:.0}/s with {statements} statements each; processor time of one: worker {:.0} µs, PostgreSQL {:.0} µs",
            self.rate(),
            median(self.alone.iter().copied()),
            each(&|used| used.program),
            each(&|used| used.postgres),
        );
        Row::measured(NAME, ratio, " ×", Target::AtLeast(0.7), note)
    }

    fn against_another(&self, statements: usize, refused: Option<String>) -> Row {
        let name = "the same, against graphile-worker 0.18 with its defaults";
        if let Some(reason) = refused {
            return Row::missing(name, Target::AtLeast(1.0), &reason);
        }
        let by_default = median(self.other.iter().map(|rates| rates.0));
        let note = format!(
            "{:.0}/s against {by_default:.0}/s; {:.0}/s with as many at once; its job is one INSERT, ours {statements} statements",
            self.rate(),
            median(self.other.iter().map(|rates| rates.1)),
        );
        Row::measured(name, self.rate() / by_default, " ×", Target::AtLeast(1.0), note)
    }

    fn in_batches(&self) -> Row {
        let name = "jobs completed in batches, against the rate above";
        let note = format!(
            "{:.0}/s: jobs with no effect of their own in the database, marked done many at a time",
            median(self.at_once.iter().copied())
        );
        let ratio = median(self.at_once.iter().zip(&self.program).map(|(at_once, program)| at_once / program));
        Row::measured(name, ratio, " ×", Target::AtLeast(3.0), note)
    }

    fn rate(&self) -> f64 {
        median(self.program.iter().copied())
    }
}

/// Forgets what earlier parts enqueued, and has people join whom the events will be about.
pub(crate) async fn prepare(bench: &Bench, connection: &mut PgConnection) -> Outcome<()> {
    people::clear(connection).await?;
    let worker = bench.launcher().worker(&bench.database.url, 10)?;
    let batch = people::enqueue(connection, &people::joining()).await?;
    until_done(connection, batch, people::COUNT).await?;
    worker.stop().await?;
    people::tabulate(connection).await?;
    for table in ["clerk_objects", "users", "jobs", "deliveries"] {
        connection.execute(sqlx::AssertSqlSafe(format!("VACUUM (ANALYZE) {table}"))).await?;
    }
    Ok(())
}

/// Jobs done in a second by the workers that run.
async fn drain(connection: &mut PgConnection, jobs: i64) -> Outcome<f64> {
    let events = people::renaming(jobs);
    let begin: f64 = seconds(connection, "SELECT extract(epoch FROM clock_timestamp())::float8").await?;
    let inserted = Instant::now();
    let batch = people::enqueue(connection, &events).await?;
    // Nobody saw them before they were committed.
    let begin = begin + inserted.elapsed().as_secs_f64();
    until_done(connection, batch, jobs).await?;
    let end = seconds(connection, "SELECT extract(epoch FROM max(finished_at))::float8 FROM jobs").await?;
    Ok(jobs as f64 / (end - begin))
}

async fn seconds(connection: &mut PgConnection, question: &'static str) -> Outcome<f64> {
    Ok(sqlx::query_scalar(question).fetch_one(connection).await?)
}

pub(crate) async fn until_done(connection: &mut PgConnection, batch: Batch, jobs: i64) -> Outcome<()> {
    let deadline = Instant::now() + DRAIN_TIMEOUT;
    let question = "SELECT count(*) FROM jobs WHERE id >= $1 AND state = 'done' AND kind = 'clerk.process_event'";
    loop {
        let done: i64 = sqlx::query_scalar(question).bind(batch.first_job).fetch_one(&mut *connection).await?;
        if done == jobs {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{done} of {jobs} jobs were done within {DRAIN_TIMEOUT:?}").into());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The next job of this client, about somebody else every hundredth time: more often would be a cost of its own.
const STEP: &str = "\\set step :step + 1
\\set job :first_job + :client_id + :step * :clients
\\set event :first_event + :client_id + :step * :clients
\\set again :step % 100
\\if :again = 0
\\set n random(:first_person, :last_person)
SELECT person, row_id, org, orgs, dealership FROM bench.people WHERE n = :n \\gset
\\endif
\\set name random(1, 9000000000000000000)
";

/// One job's transaction, and whom and what it was about.
struct Recorded {
    statements: Vec<Statement>,
    member: Member,
    event: String,
    job: String,
    name: String,
}

async fn record(bench: &Bench, connection: &mut PgConnection) -> Outcome<Recorded> {
    let worker = bench.launcher().worker(&bench.database.logged_url(), 1)?;
    let batch = people::enqueue(connection, &people::renaming(200)).await?;
    until_done(connection, batch, 200).await?;
    let mark = Mark::here(&bench.database.log())?;
    let batch = people::enqueue(connection, &people::renaming(1)).await?;
    until_done(connection, batch, 1).await?;
    let all = mark.statements("norvalt worker")?;
    worker.stop().await?;

    let is_work = |statement: &Statement| statement.sql.starts_with("-- deliveries::take");
    let backend = all.iter().find(|statement| is_work(statement)).ok_or("the job's statements are in the log")?.backend;
    let of_backend: Vec<Statement> = all.into_iter().filter(|statement| statement.backend == backend).collect();
    let work = of_backend.iter().position(is_work);
    let begin = of_backend[..work.unwrap_or(0)].iter().rposition(|statement| statement.sql.starts_with("BEGIN"));
    let rest = &of_backend[begin.ok_or("the transaction begins")?..];
    let end = rest.iter().position(|statement| statement.sql == "COMMIT").ok_or("the transaction ends")?;
    let statements = rest[..=end].to_vec();
    let (person, _) = people::renaming(1).remove(0);
    let member = people::member(connection, &person).await?;
    let written = statements.iter().flat_map(|s| s.parameters.iter().flatten());
    let name = written.filter(|value| value.starts_with("Kari ")).min_by_key(|value| value.len());
    let name = name.cloned().ok_or("the name is written")?;
    Ok(Recorded { statements, member, event: batch.first_event.to_string(), job: batch.first_job.to_string(), name })
}

/// Transactions in a second of pgbench that completes as many jobs, all claimed before.
async fn complete_all(bench: &Bench, connection: &mut PgConnection, recorded: &Recorded) -> Outcome<f64> {
    let clients = i64::try_from(bench.options.connections)?;
    let each = bench.options.jobs / clients;
    let token = Uuid::from_u128(0x6f72_7661_6c74);
    let events = people::renaming(each * clients);
    // Claimed before any worker sees them.
    let mut tx = connection.begin().await?;
    let batch = people::enqueue(&mut tx, &events).await?;
    people::claim_all(&mut tx, batch, token).await?;
    tx.commit().await?;
    let complete = recorded.statements.iter().find(|statement| statement.sql.starts_with("-- queue::complete"));
    let lease = complete.and_then(|statement| statement.parameters.get(1)?.clone()).ok_or("a job is completed")?;
    let Member { person, row_id, org, orgs, dealership } = &recorded.member;
    let (row_id, dealership) = (row_id.to_string(), dealership.to_string());
    let substitutes = [
        (person.as_str(), ":person"),
        (&row_id, ":row_id"),
        (org, ":org"),
        (orgs, ":orgs"),
        (&dealership, ":dealership"),
        (&recorded.event, ":event"),
        (&recorded.job, ":job"),
        (&recorded.name, ":name"),
        (&lease, ":token"),
    ];
    let script = Script::of(&recorded.statements, &substitutes)
        .preceded_by(STEP)
        .with("step", &-1)
        .with("clients", &clients)
        .with("first_job", &batch.first_job)
        .with("first_event", &batch.first_event)
        .with("first_person", &people::FIRST)
        .with("last_person", &(people::FIRST + people::COUNT - 1))
        .with("token", &token);
    let tps =
        pgbench::run(&bench.database, &script, bench.options.connections, pgbench::Until::Transactions(each)).await?;
    until_done(connection, batch, each * clients).await?;
    Ok(tps)
}

use std::{
    thread::available_parallelism,
    time::{Duration, Instant},
};

use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    Outcome,
    context::Bench,
    http::Connection,
    load::{self, Measured, Until, median},
    pgbench,
    process_stat::Used,
    record::{Mark, Statement},
    report::{Row, Target},
    script::Script,
    traffic::Path,
};

/// Each path with its name and the share of PostgreSQL's own speed that it is to have.
const PATHS: [(Path, &str, f64); 4] = [
    (Path::Page, "leads page of 25 with exact total", 0.9),
    (Path::Lead, "lead by id", 0.5),
    (Path::Create, "create lead", 0.6),
    (Path::Webhook, "Clerk webhook accepted", 0.6),
];

/// Draws somebody else, with a lead of theirs, every hundredth time: more often would be a cost of its own.
const DRAW: &str = "\\set again random(1, 100)
\\if :again = 1 or :drawn = 0
\\set drawn 1
\\set n random(1, :samples)
SELECT user_id, org_id, dealership, lead FROM bench.samples WHERE writes = (:writes = 1) AND n = :n \\gset
\\endif
\\set unique random(1, 9000000000000000000)
";

pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    let (api, address, _) = bench.launcher().api(&bench.database.url).await?;
    for (path, name, target) in PATHS {
        let script = script(bench, path).await?;
        let connections = bench.options.connections;
        load::run(address, bench.traffic(path, connections), Until::Elapsed(Duration::from_secs(1))).await?;
        let (mut program, mut alone, mut used, mut used_alone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..bench.options.rounds {
            let home = bench.postgres.home();
            let before = Used::now(Some(api.pid()), &home);
            let until = Until::Elapsed(bench.options.length());
            let measured = load::run(address, bench.traffic(path, connections), until).await?;
            let between = Used::now(Some(api.pid()), &home);
            used.push(between.since(before));
            program.push(measured);
            let until = pgbench::Until::Seconds(bench.options.seconds);
            alone.push(pgbench::run(&bench.database, &script, connections, until).await?);
            used_alone.push(Used::now(None, &home).since(between).postgres);
        }
        let ratio = median(program.iter().zip(&alone).map(|(measured, alone)| measured.per_second / alone));
        let error = program.iter().find_map(|measured| measured.error.clone());
        let mut note = note(&program, &alone, &used, &used_alone, bench.options.seconds);
        if ratio < target {
            note += &reason(target, &program, &alone, &used);
        }
        bench.report.add(Row::measured(name, ratio, " ×", Target::AtLeast(target), note).unless(error));
    }
    api.stop().await
}

/// Why a target was missed: what a request takes of all processors together, and whom.
fn reason(target: f64, program: &[Measured], alone: &[f64], used: &[Used]) -> String {
    let processors = available_parallelism().map_or(1.0, |count| count.get() as f64);
    let allowed = processors * 1e6 / (target * median(alone.iter().copied()));
    let taken = processors * 1e6 / median(program.iter().map(|measured| measured.per_second));
    let busy = |(measured, used): (&Measured, &Used)| {
        (used.program + used.postgres + used.this) * 1e6 / measured.answers as f64
    };
    let rest = taken - median(program.iter().zip(used).map(busy));
    format!(
        "; why: {allowed:.0} µs of the {processors} processors for each request would meet the target, and it takes {taken:.0}: \
         what stands before, and {rest:.0} µs of the kernel or of waiting for the disk"
    )
}

/// Rates, and what a request costs whom.
fn note(program: &[Measured], alone: &[f64], used: &[Used], used_alone: &[f64], seconds: u64) -> String {
    let rate = median(program.iter().map(|measured| measured.per_second));
    let rate_alone = median(alone.iter().copied());
    let each = |cost: &dyn Fn(&Used) -> f64| {
        median(program.iter().zip(used).map(|(measured, used)| cost(used) * 1e6 / measured.answers as f64))
    };
    let each_alone = median(used_alone.iter().zip(alone).map(|(used, rate)| used * 1e6 / (rate * seconds as f64)));
    let (p50, p99) = (median(program.iter().map(|m| m.p50)), median(program.iter().map(|m| m.p99)));
    format!(
        "{rate:.0}/s of {rate_alone:.0}/s; p50 {p50:.1} ms, p99 {p99:.1} ms; processor time of one: API {:.0} µs, PostgreSQL \
         {:.0} µs, load {:.0} µs (pgbench: PostgreSQL {each_alone:.0} µs)",
        each(&|used| used.program),
        each(&|used| used.postgres),
        each(&|used| used.this),
    )
}

/// What the program sends for one request, as a script.
async fn script(bench: &Bench, path: Path) -> Outcome<Script> {
    let (api, address, _) = bench.launcher().api(&bench.database.logged_url()).await?;
    let mut connection = Connection::open(address).await?;
    let mut traffic = bench.traffic(path, 1).remove(0);
    // What a connection asks once, it has asked by then.
    for _ in 0..50 {
        let answer = connection.exchange(traffic.next()?).await?;
        traffic.check(answer.status, answer.body)?;
    }
    sleep(Duration::from_millis(200)).await;
    let mark = Mark::here(&bench.database.log())?;
    let answer = connection.exchange(traffic.next()?).await?;
    traffic.check(answer.status, answer.body)?;
    let created: Option<Uuid> = match path {
        Path::Create => {
            serde_json::from_slice::<serde_json::Value>(answer.body)?["id"].as_str().map(str::parse).transpose()?
        }
        _ => None,
    };
    let statements = whole_transaction(&mark, "norvalt api").await?;
    api.stop().await?;

    let subject = traffic.subject.ok_or("a request was made")?;
    let (dealership, lead) = (subject.dealership.to_string(), subject.lead.to_string());
    let created = created.map(|id| id.to_string()).unwrap_or_default();
    let svix_id = statements.iter().find(|statement| statement.sql.starts_with("-- deliveries::store"));
    let svix_id = svix_id.and_then(|statement| statement.parameters.get(1)?.clone()).unwrap_or_default();
    let statements = if path == Path::Page { with_plain_count(statements, &dealership) } else { statements };
    let substitutes = [
        (subject.user_id.as_str(), "user_id"),
        (&subject.org_id, "org_id"),
        (&dealership, "dealership"),
        (&lead, "lead"),
        (&created, "returned_id"),
        (&svix_id, "unique"),
    ];
    let writes = path == Path::Create;
    let samples = if writes { &bench.samples.writers } else { &bench.samples.readers };
    let script = Script::of(&statements, &substitutes).preceded_by(DRAW);
    Ok(script.with("drawn", &0).with("writes", &u8::from(writes)).with("samples", &samples.len()))
}

/// The statements of the one transaction since, once it has ended. Wake-ups are sent by a task of their own, one for many.
pub(crate) async fn whole_transaction(mark: &Mark, application: &str) -> Outcome<Vec<Statement>> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let mut statements = mark.statements(application)?;
        statements.retain(|statement| !statement.sql.starts_with("-- queue::announce"));
        if statements.last().is_some_and(|last| ["COMMIT", "ROLLBACK"].contains(&last.sql.as_str())) {
            return Ok(statements);
        }
        sleep(Duration::from_millis(20)).await;
    }
    let seen = mark.statements(application)?;
    Err(format!("the server's log does not show a whole transaction of {application}: {seen:?}").into())
}

/// The page is held against the total that anybody would write first, whatever the program does.
fn with_plain_count(mut statements: Vec<Statement>, dealership: &str) -> Vec<Statement> {
    statements.retain(|statement| !statement.sql.starts_with("-- leads::total"));
    let page = statements.iter().position(|statement| statement.sql.starts_with("-- leads::page"));
    if let Some(page) = page {
        let backend = statements[page].backend;
        let sql = "SELECT count(*) FROM leads WHERE dealership_id = $1".to_owned();
        statements.insert(
            page + 1,
            Statement { backend, sql, parameters: vec![Some(dealership.to_owned())], prepared: None },
        );
    }
    statements
}

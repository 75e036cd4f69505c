use std::{fmt, net::SocketAddr, sync::Arc, time::Instant};

use chrono::TimeDelta;
use common::{db::Db, queue};
use dev::stand_ins::clerk::SessionToken;
use serde_json::Value;
use sqlx::{Executor, PgConnection};
use tokio::time::Duration;

use super::{inbox, jobs::until_done};
use crate::{
    Outcome,
    context::Bench,
    data::Samples,
    http::Connection,
    load::{self, Until, median, percentile},
    loading::{self, Size},
    people, pgbench, plan,
    postgres::Database,
    process_stat::Used,
    processes::Process,
    record::Mark,
    report::{Row, Series, Target},
    script::Script,
    traffic::Path,
};

/// Half a minute at most for each thing that is asked again and again.
const REPETITIONS: usize = 200;
const LONGEST: Duration = Duration::from_secs(10);

pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    let (dealerships, large) = (bench.options.growth_dealerships, bench.options.growth_leads);
    let few = bench.options.dealerships * bench.options.leads;
    let many = dealerships * bench.options.leads;
    let begin = Instant::now();
    let grown = bench.postgres.create_database("growth").await?;
    let mut connection = grown.connect().await?;
    let size = Size { dealerships, leads: bench.options.leads, conversations: many / 2, users: dealerships * 5 };
    loading::load(&grown, "bench", size).await?;
    eprintln!("   loaded {many} leads within {:.0} s", begin.elapsed().as_secs_f64());
    let samples = Arc::new(Samples::draw(&mut connection).await?);
    measure_many(bench, (few, bench.database.clone(), bench.samples.clone()), (many, grown.clone(), samples.clone()))
        .await?;

    let begin = Instant::now();
    let size = Size { dealerships: 1, leads: large, conversations: large / 2, users: 5 };
    loading::load(&grown, "large", size).await?;
    eprintln!("   loaded {large} leads of one dealership within {:.0} s", begin.elapsed().as_secs_f64());
    measure_large(bench, &grown, &samples, large).await?;
    measure_claims(bench, &mut connection, &grown).await?;
    measure_pruning(bench, &mut connection, &grown).await
}

/// A database with so many leads, and who asks for their pages.
type Pages = (i64, Database, Arc<Samples>);

/// Asks for pages among few leads and among many, in turn.
async fn measure_many(bench: &mut Bench, few: Pages, many: Pages) -> Outcome<()> {
    let (few_api, few_address, _) = bench.launcher().api(&few.1.url).await?;
    let (many_api, many_address, _) = bench.launcher().api(&many.1.url).await?;
    // The first time, everything is read from the disk.
    for (address, (_, _, samples)) in [(few_address, &few), (many_address, &many)] {
        let traffic = bench.traffic_among(Path::Page, 1, samples);
        load::run(address, traffic, Until::Elapsed(Duration::from_secs(2))).await?;
    }
    let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
    for _ in 0..bench.options.rounds.max(3) {
        of_few.push(Cost::measure(bench, &few_api, few_address, &few.2).await?);
        of_many.push(Cost::measure(bench, &many_api, many_address, &many.2).await?);
    }
    few_api.stop().await?;
    many_api.stop().await?;
    let ratio = median(of_many.iter().zip(&of_few).map(|(many, few)| many.millis / few.millis));
    let (of_few, of_many) = (Cost::median(&of_few), Cost::median(&of_many));
    let mut note = format!("p50 {of_many} among {} leads, {of_few} among {}; one connection", many.0, few.0);
    if ratio > 1.3 {
        note += &of_many.dearer_than(&of_few);
    }
    let name = "page among many dealerships, against few";
    bench.report.add(Row::measured(name, ratio, " ×", Target::AtMost(1.3), note));
    let points = vec![(few.0 as f64, of_few.millis), (many.0 as f64, of_many.millis)];
    let name = "page, by leads of all dealerships".to_owned();
    bench.report.series.push(Series { plot: "cost-against-size", name, points });
    Ok(())
}

/// What a page takes: the median latency in milliseconds, and microseconds of processor time.
struct Cost {
    millis: f64,
    postgres: f64,
    api: f64,
}

impl Cost {
    async fn measure(bench: &Bench, api: &Process, address: SocketAddr, samples: &Arc<Samples>) -> Outcome<Self> {
        let home = bench.postgres.home();
        let before = Used::now(Some(api.pid()), &home);
        let until = Until::Elapsed(bench.options.length());
        let measured = load::run(address, bench.traffic_among(Path::Page, 1, samples), until).await?;
        let used = Used::now(Some(api.pid()), &home).since(before);
        let each = |seconds: f64| seconds * 1e6 / measured.answers as f64;
        let cost = Self { millis: measured.p50, postgres: each(used.postgres), api: each(used.program) };
        measured.error.map_or(Ok(cost), |error| Err(error.into()))
    }

    fn median(costs: &[Self]) -> Self {
        let of = |part: fn(&Self) -> f64| median(costs.iter().map(part));
        Self { millis: of(|cost| cost.millis), postgres: of(|cost| cost.postgres), api: of(|cost| cost.api) }
    }

    fn dearer_than(&self, other: &Self) -> String {
        let (postgres, api) = (self.postgres - other.postgres, self.api - other.api);
        format!(
            "; why: PostgreSQL takes {postgres:.0} µs more for each, since what is asked for lies further apart, and the API \
             {api:.0} µs"
        )
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ms (PostgreSQL {:.0} µs, API {:.0} µs)", self.millis, self.postgres, self.api)
    }
}

/// Asks as one person.
pub(super) struct Asker {
    address: SocketAddr,
    connection: Connection,
    token: String,
}

impl Asker {
    async fn open(bench: &Bench, address: SocketAddr, user: &str, organization: &str) -> Outcome<Self> {
        let token = SessionToken::for_user(user).organization(organization, "slug", "org:admin");
        let token = token.ttl(TimeDelta::hours(1)).mint(&bench.key());
        Ok(Self { address, connection: Connection::open(address).await?, token })
    }

    /// As somebody of the large dealership.
    async fn of_large(bench: &Bench, address: SocketAddr) -> Outcome<Self> {
        Self::open(bench, address, "user_large_1", "org_large_1").await
    }

    async fn ask(&mut self, query: &str) -> Outcome<Value> {
        let token = &self.token;
        let request =
            format!("GET /api/v1/leads?{query} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n");
        let answer = self.connection.exchange(request.as_bytes()).await?;
        match answer.status {
            200 => Ok(serde_json::from_slice(answer.body)?),
            _ => Err(format!("{} {}", answer.status, String::from_utf8_lossy(answer.body)).into()),
        }
    }

    /// The median latency, in milliseconds.
    pub(super) async fn median(&mut self, query: &str) -> Outcome<f64> {
        let (mut micros, begin) = (Vec::new(), Instant::now());
        // Nobody keeps a connection open on which nothing is asked while leads are loaded.
        self.connection = Connection::open(self.address).await?;
        self.ask(query).await?;
        while micros.len() < REPETITIONS && begin.elapsed() < LONGEST {
            let asked = Instant::now();
            self.ask(query).await?;
            micros.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        micros.sort_unstable();
        Ok(percentile(&micros, 50))
    }
}

async fn measure_large(bench: &mut Bench, database: &Database, samples: &Samples, large: i64) -> Outcome<()> {
    let (api, address, _) = bench.launcher().api(&database.url).await?;
    let mut asker = Asker::of_large(bench, address).await?;
    let somebody = samples.readers.first().ok_or("there are readers")?;
    let mut small = Asker::open(bench, address, &somebody.user_id, &somebody.org_id).await?;
    let mut pages = Vec::new();
    for _ in 0..bench.options.rounds.max(3) {
        pages.push((asker.median("limit=25").await?, small.median("limit=25").await?));
    }
    let ratio = median(pages.iter().map(|(large, small)| large / small));
    let (first, page_of_small) = (median(pages.iter().map(|(p, _)| *p)), median(pages.iter().map(|(_, p)| *p)));
    let total = asker.ask("limit=25").await?["total"].as_i64();
    if total != Some(large) {
        return Err(format!("the total is {total:?} instead of {large}").into());
    }
    let leads = bench.options.leads;
    let note = format!("p50 {first:.2} ms of {large} leads, {page_of_small:.2} ms of {leads}; exact total included");
    let name = "first page of a large dealership, against a small one";
    bench.report.add(Row::measured(name, ratio, " ×", Target::AtMost(2.0), note));
    let points = vec![(leads as f64, page_of_small), (large as f64, first)];
    let name = "page, by leads of one dealership".to_owned();
    bench.report.series.push(Series { plot: "cost-against-size", name, points });

    let depth = 100_000.min(large / 2);
    let deep = asker.ask(&format!("limit=25&offset={}", depth - 25)).await?;
    let cursor = deep["next_cursor"].as_str().ok_or("a page in the middle has a next one")?.to_owned();
    let (mut pages, deep) = (Vec::new(), format!("limit=25&cursor={cursor}"));
    for _ in 0..bench.options.rounds.max(3) {
        pages.push((asker.median(&deep).await?, asker.median("limit=25").await?));
    }
    let ratio = median(pages.iter().map(|(deep, first)| deep / first));
    let (after, first) = (median(pages.iter().map(|(p, _)| *p)), median(pages.iter().map(|(_, p)| *p)));
    let note = format!("p50 {after:.2} ms after {depth} leads, {first:.2} ms at the start");
    let name = "cursor page in the depth, against the first page";
    bench.report.add(Row::measured(name, ratio, " ×", Target::AtMost(1.3), note));

    let mut hostile = Asker::open(bench, address, "user_hostile_1", "org_hostile_1").await?;
    inbox::measure(bench, database, &mut asker, &mut hostile).await?;
    api.stop().await?;
    write_plan(bench, database).await
}

/// Shows how a search is done.
async fn write_plan(bench: &Bench, database: &Database) -> Outcome<()> {
    let (api, address, _) = bench.launcher().api(&database.logged_url()).await?;
    let mark = Mark::here(&database.log())?;
    Asker::of_large(bench, address).await?.ask("limit=25&search=kunde123456@").await?;
    api.stop().await?;
    let statements = mark.statements("norvalt api")?;
    let position = |start: &str| statements.iter().position(|statement| statement.sql.starts_with(start));
    let (search, page) = (position("-- leads::search"), position("-- leads::page"));
    let (search, page) = search.zip(page).ok_or("the search is logged")?;
    let mut before = statements[search..page].to_vec();
    before.retain(|statement| statement.backend == statements[page].backend);
    let mut connection = database.connect().await?;
    let dealership = "SELECT id FROM dealerships WHERE clerk_org_id = 'org_large_1'";
    let dealership = sqlx::query_scalar(dealership).fetch_one(&mut connection).await?;
    let plan = plan::explain(&mut connection, dealership, &before, &statements[page]).await?;
    Ok(std::fs::write(bench.results().join("search-plan.txt"), plan)?)
}

/// What a claim of ten costs while few and while many other jobs lie in the table.
async fn measure_claims(bench: &mut Bench, connection: &mut PgConnection, database: &Database) -> Outcome<()> {
    let claim = {
        let worker = bench.launcher().worker(&database.logged_url(), 10)?;
        let mark = Mark::here(&database.log())?;
        let batch = people::enqueue(connection, &people::renaming(50)).await?;
        until_done(connection, batch, 50).await?;
        worker.stop().await?;
        let statements = mark.statements("norvalt worker claimer")?;
        statements
            .into_iter()
            .rfind(|statement| statement.sql.starts_with("-- queue::claim"))
            .ok_or("a claim is logged")?
    };
    let limit = claim.parameters.get(1).cloned().flatten().unwrap_or_default();
    let script = Script::of(&[claim], &[(&limit, ":ten")]).with("ten", &10);
    let mut millis = Vec::new();
    for more in ["", FINISHED, SCHEDULED] {
        if !more.is_empty() {
            connection.execute(more).await?;
        }
        connection.execute("DELETE FROM jobs WHERE state IN ('available', 'running')").await?;
        connection.execute(AVAILABLE).await?;
        connection.execute("VACUUM (ANALYZE) jobs").await?;
        millis.push(1000.0 / pgbench::run(database, &script, 1, pgbench::Until::Transactions(2_000)).await?);
    }
    let note = format!(
        "{:.2} ms for ten jobs, {:.2} ms with 1,000,000 finished ones, {:.2} ms with 200,000 scheduled ones too",
        millis[0], millis[1], millis[2]
    );
    let name = "claim in a long table, against a short one";
    bench.report.add(Row::measured(name, millis[1].max(millis[2]) / millis[0], " ×", Target::AtMost(1.3), note));
    Ok(())
}

/// Whether what is over goes as fast as it comes.
async fn measure_pruning(bench: &mut Bench, connection: &mut PgConnection, database: &Database) -> Outcome<()> {
    connection
        .execute("UPDATE jobs SET finished_at = now() - interval '8 days' WHERE state = 'done' AND id % 5 = 0")
        .await?;
    let db = Db::new(&database.url.parse()?, 1, "norvalt bench");
    let begin = Instant::now();
    let pruned = queue::prune(&db, queue::Over::Finished, Duration::from_hours(7 * 24)).await?;
    let rate = pruned as f64 / begin.elapsed().as_secs_f64();
    db.close().await;
    let note =
        format!("{pruned} jobs of 1,000,000 that were over, while the others stay; a worker does so every minute");
    let name = "old jobs pruned in a second";
    bench.report.add(Row::measured(name, rate, "/s", Target::AtLeast(10_000.0), note));
    Ok(())
}

const AVAILABLE: &str = "
    INSERT INTO jobs (queue, kind, payload, payload_version, state, max_attempts)
    SELECT 'default', 'clerk.process_event', jsonb_build_object('delivery_id', n), 1, 'available', 12 FROM generate_series(1, 30000) n";
const FINISHED: &str = "
    INSERT INTO jobs (queue, kind, payload, payload_version, state, max_attempts, attempts, finished_at)
    SELECT 'default', 'clerk.process_event', jsonb_build_object('delivery_id', n), 1, 'done', 12, 1, now()
    FROM generate_series(1, 1000000) n";
const SCHEDULED: &str = "
    INSERT INTO jobs (queue, kind, payload, payload_version, state, max_attempts, priority, run_at)
    SELECT 'default', 'clerk.process_event', jsonb_build_object('delivery_id', n), 1, 'scheduled', 12, -1, now() + interval '1 day'
    FROM generate_series(1, 200000) n";

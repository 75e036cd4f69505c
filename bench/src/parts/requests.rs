use std::time::{Duration, Instant};

use tokio::time::sleep;
use uuid::Uuid;

use super::turns::Turns;
use crate::{
    Outcome,
    context::Bench,
    http::Connection,
    load::Requests,
    record::{Mark, Statement},
    script::Script,
    traffic::Path,
};

/// Each path with its name and the share of PostgreSQL's own speed that it is to have.
const PATHS: [(Path, &str, f64); 4] = [
    (Path::Page, "leads page of 25 with exact total", 1.2),
    (Path::Lead, "lead by id", 0.65),
    (Path::Create, "create lead", 0.75),
    (Path::Webhook, "Clerk webhook accepted", 0.7),
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
        let turns = Turns::take(bench, api.pid(), address, |count| bench.traffic(path, count), &script).await?;
        bench.report.add(turns.row(name, target));
    }
    api.stop().await
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
        (subject.user_id.as_str(), ":user_id"),
        (&subject.org_id, ":org_id"),
        (&dealership, ":dealership"),
        (&lead, ":lead"),
        (&created, ":returned_id"),
        (&svix_id, ":unique"),
    ];
    let writes = path == Path::Create;
    let samples = if writes { &bench.samples.writers } else { &bench.samples.readers };
    let script = Script::of(&statements, &substitutes).preceded_by(DRAW);
    Ok(script.with("drawn", &0).with("writes", &u8::from(writes)).with("samples", &samples.len()))
}

/// The statements of the one transaction since, once it has ended, and those that wake workers for it, if they are there by then.
pub(crate) async fn whole_transaction(mark: &Mark, application: &str) -> Outcome<Vec<Statement>> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let statements = mark.statements(application)?;
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

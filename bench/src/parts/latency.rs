use std::time::{Duration, Instant};

use common::clock::Clock;
use tokio::time::sleep;

use crate::{
    Outcome,
    context::Bench,
    http::Connection,
    load::percentile,
    people,
    report::{Row, Target},
    traffic::{joined, signed},
};

/// How many people join, one after the other.
const PEOPLE: i64 = 200;
const FIRST: i64 = 9_000_001;
/// No load at all in between.
const PAUSE: Duration = Duration::from_millis(15);

/// Somebody joins: from before the webhook is sent until their row is there for everybody to see.
pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    let (api, address, _) = bench.launcher().api(&bench.database.url).await?;
    let mut connection = bench.database.connect().await?;
    people::clear(&mut connection).await?;
    let worker = bench.launcher().worker(&bench.database.url, 10)?;
    let mut http = Connection::open(address).await?;
    let clock = Clock::system();
    let mut micros = Vec::new();
    for person in FIRST..FIRST + PEOPLE {
        let id = person.to_string();
        let request =
            signed(&format!("msg_{person}"), &joined(&id, "org_idle", clock.now().timestamp_millis()), &clock)?;
        let begin = Instant::now();
        let answer = http.exchange(request.as_bytes()).await?;
        if answer.status != 202 {
            return Err(format!("a webhook was answered with {}", answer.status).into());
        }
        let there = "SELECT EXISTS (SELECT FROM users WHERE clerk_user_id = $1)";
        while !sqlx::query_scalar::<_, bool>(there).bind(&id).fetch_one(&mut connection).await? {
            if begin.elapsed() > Duration::from_secs(30) {
                return Err("nobody is provisioned within 30 s".into());
            }
            sleep(Duration::from_micros(500)).await;
        }
        micros.push(u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX));
        sleep(PAUSE).await;
    }
    // Both are the times at which transactions began: of the one that enqueued, and of the job's own.
    let mut starts: Vec<i64> = sqlx::query_scalar(
        "SELECT (extract(epoch FROM e.processed_at - j.created_at) * 1e6)::bigint
         FROM jobs j JOIN deliveries e ON e.id = (j.payload ->> 'delivery_id')::bigint
         WHERE e.subject BETWEEN '9' AND '9999999' AND j.kind = 'clerk.process_event' ORDER BY j.id",
    )
    .fetch_all(&mut connection)
    .await?;
    worker.stop().await?;
    api.stop().await?;
    // The first ones meet connections that are not open yet.
    micros.drain(..10);
    starts.drain(..10.min(starts.len()));
    let mut starts: Vec<u32> = starts.into_iter().map(|micros| u32::try_from(micros).unwrap_or(0)).collect();
    for (name, micros, target) in [
        ("webhook to provisioned while idle, p99", &mut micros, 25.0),
        ("enqueued to the job's start while idle, p99", &mut starts, 10.0),
    ] {
        micros.sort_unstable();
        let note = format!("p50 {:.1} ms of {} events", percentile(micros, 50), micros.len());
        bench.report.add(Row::measured(name, percentile(micros, 99), " ms", Target::AtMost(target), note));
    }
    Ok(())
}

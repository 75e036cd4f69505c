//! People whom only the queue's measurements know, and events about them.

use common::clock::Clock;
use sqlx::{Executor, FromRow, PgConnection};
use uuid::Uuid;

use crate::{
    Outcome,
    traffic::{joined, user_updated},
};

/// How many there are. Their Clerk ids are numbers, since pgbench can only count.
pub(crate) const COUNT: i64 = 2_000;
pub(crate) const FIRST: i64 = 1_000_001;

/// A batch of events that wait, each with its job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) first_event: i64,
    pub(crate) first_job: i64,
}

/// Everybody joins one of twenty organizations.
pub(crate) fn joining() -> Vec<(String, String)> {
    let at = Clock::system().now().timestamp_millis();
    let one = |n: i64| (n.to_string(), joined(&n.to_string(), &format!("org_jobs_{}", n % 20), at));
    (FIRST..FIRST + COUNT).map(one).collect()
}

/// Everybody and what follows from who they are, for pgbench to draw from.
#[derive(Debug, FromRow)]
pub(crate) struct Member {
    pub(crate) person: String,
    pub(crate) row_id: Uuid,
    pub(crate) org: String,
    pub(crate) orgs: String,
    pub(crate) dealership: Uuid,
}

/// Writes them down, once they have joined.
pub(crate) async fn tabulate(connection: &mut PgConnection) -> Outcome<()> {
    let table = "
        DROP TABLE IF EXISTS bench.people;
        CREATE TABLE bench.people AS
          SELECT clerk_user_id::bigint AS n, clerk_user_id AS person, u.id AS row_id, clerk_org_id AS org,
                 '{' || clerk_org_id || '}' AS orgs, d.id AS dealership
          FROM users u JOIN dealerships d ON d.id = u.dealership_id WHERE clerk_org_id LIKE 'org\\_jobs\\_%';
        ALTER TABLE bench.people ADD PRIMARY KEY (n);
        ANALYZE bench.people";
    connection.execute(table).await?;
    Ok(())
}

pub(crate) async fn member(connection: &mut PgConnection, person: &str) -> Outcome<Member> {
    let member = "SELECT person, row_id, org, orgs, dealership FROM bench.people WHERE person = $1";
    Ok(sqlx::query_as(member).bind(person).fetch_one(connection).await?)
}

/// So many changes of names, of one after the other.
pub(crate) fn renaming(count: i64) -> Vec<(String, String)> {
    let now = Clock::system().now().timestamp_millis();
    let one = |n: i64| {
        let person = (FIRST + n % COUNT).to_string();
        let event = user_updated(&person, &format!("Kari {now} {n}"), now + n / COUNT);
        (person, event)
    };
    (0..count).map(one).collect()
}

/// Empties queue and inbox of what other parts left there.
pub(crate) async fn clear(connection: &mut PgConnection) -> Outcome<()> {
    // Ids of events and of jobs must not look alike in what is recorded.
    let clear =
        "TRUNCATE jobs, deliveries, delivery_repetitions; ALTER TABLE deliveries ALTER COLUMN id RESTART WITH 5000001";
    connection.execute(clear).await?;
    Ok(())
}

/// Stores events as the API does, with a job for each, and announces them.
pub(crate) async fn enqueue(connection: &mut PgConnection, events: &[(String, String)]) -> Outcome<Batch> {
    let (people, bodies): (Vec<&str>, Vec<&str>) = events.iter().map(|(p, b)| (p.as_str(), b.as_str())).unzip();
    let (first_event, first_job, count): (i64, i64, i64) = sqlx::query_as(
        "WITH stored AS (
           INSERT INTO deliveries (source, external_id, event_type, subject, body, status)
           SELECT 'clerk', 'msg_' || gen_random_uuid(), body::json ->> 'type', person, convert_to(body, 'UTF8'), 'pending'
           FROM unnest($1::text[], $2::text[]) AS event (person, body) RETURNING id),
         enqueued AS (
           INSERT INTO jobs (queue, kind, payload, payload_version, state, max_attempts)
           SELECT 'default', 'clerk.process_event', jsonb_build_object('delivery_id', id), 1, 'available', 12 FROM stored
           RETURNING id)
         SELECT (SELECT min(id) FROM stored), (SELECT min(id) FROM enqueued), (SELECT count(*) FROM enqueued)",
    )
    .bind(people)
    .bind(bodies)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query("SELECT pg_notify('norvalt_jobs', '')").execute(connection).await?;
    assert_eq!(usize::try_from(count).ok(), Some(events.len()), "each event has a job");
    Ok(Batch { first_event, first_job })
}

/// Claims every job of a batch, under one token.
pub(crate) async fn claim_all(connection: &mut PgConnection, batch: Batch, token: Uuid) -> Outcome<()> {
    let claim =
        "UPDATE jobs SET state = 'running', attempts = 1, lease_token = $1, lease_until = now() + interval '1 day'
                 WHERE id >= $2 AND state = 'available'";
    sqlx::query(claim).bind(token).bind(batch.first_job).execute(connection).await?;
    Ok(())
}

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{AssertSqlSafe, FromRow};

use crate::{
    db::{Result, SystemTx},
    ids::DealershipId,
};

/// All that is looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Numbers {
    pub server: ServerNumbers,
    /// Largest first.
    pub tables: Vec<TableNumbers>,
    pub queue: QueueNumbers,
    /// The dealerships with most leads.
    pub biggest: Vec<Biggest>,
}

/// Of the server and the database.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct ServerNumbers {
    pub version: String,
    pub at: DateTime<Utc>,
    pub database_bytes: i64,
    pub shared_buffers_bytes: i64,
    pub connections: i64,
    /// Without those that are kept for superusers.
    pub max_connections: i64,
    /// Of the oldest row that was not frozen.
    pub transaction_age: i64,
    /// Days since these are counted.
    pub counted_days: f64,
    pub transactions: i64,
    pub blocks_hit: i64,
    pub blocks_read: i64,
    /// Days since the write-ahead log is counted.
    pub wal_days: f64,
    pub wal_bytes: f64,
    pub archives: bool,
    /// Whether the last attempt to archive a segment of the log failed.
    pub archiving_fails: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct TableNumbers {
    pub name: String,
    pub rows: i64,
    pub bytes: i64,
    pub index_bytes: i64,
    pub dead_rows: i64,
    pub last_autovacuum: Option<DateTime<Utc>>,
    /// Of the last seven days. None of a table that does not say when a row came.
    pub rows_a_day: Option<f64>,
    /// Days since its oldest row came.
    pub oldest_days: Option<f64>,
}

#[derive(Debug, Clone, Default, Serialize, FromRow)]
pub struct QueueNumbers {
    /// Done in the last 24 hours.
    pub done: i64,
    pub busiest_minute: i64,
    /// Seconds from when a job was due until it was done, of 95 in 100.
    pub p95_seconds: Option<f64>,
    pub waiting: i64,
    pub oldest_seconds: Option<f64>,
    pub dead: i64,
    /// Jobs that all workers that are there may run at once.
    pub slots: i64,
}

/// A dealership with many leads.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct Biggest {
    pub id: DealershipId,
    pub name: String,
    pub leads: i64,
    /// Of the last seven days.
    pub leads_a_day: f64,
}

/// A table with more rows is only sampled, for about so many of them.
const SAMPLE: f64 = 500_000.0;
/// How many dealerships are named.
const BIGGEST: i64 = 5;

/// Looks at all of it. Reads a part of each table, so that it takes seconds, not minutes.
pub async fn numbers(tx: &mut SystemTx) -> Result<Numbers> {
    let server = server(tx).await?;
    let found: Vec<Found> = sqlx::query_as(
        "-- capacity::tables
         SELECT c.relname::text AS name, quote_ident(c.relname) AS quoted, greatest(c.reltuples, 0)::float8 AS estimate,
                pg_total_relation_size(c.oid) AS bytes, pg_indexes_size(c.oid) AS index_bytes,
                coalesce(s.n_dead_tup, 0) AS dead_rows, s.last_autovacuum,
                (SELECT quote_ident(attname) FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attname IN ('created_at', 'received_at', 'changed_at', 'at') AND NOT a.attisdropped
                   AND a.atttypid = 'timestamptz'::regtype
                 ORDER BY array_position(ARRAY['created_at', 'received_at', 'changed_at', 'at'], a.attname::text) LIMIT 1) AS came
         FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> '_sqlx_migrations'
           AND has_table_privilege(c.oid, 'SELECT')
         ORDER BY 4 DESC, 1",
    )
    .fetch_all(tx.conn())
    .await?;
    let mut tables = Vec::new();
    for table in found {
        tables.push(table.look(tx).await?);
    }
    Ok(Numbers { server, tables, queue: queue(tx).await?, biggest: biggest(tx).await? })
}

async fn server(tx: &mut SystemTx) -> Result<ServerNumbers> {
    Ok(sqlx::query_as(
        "-- capacity::server
         SELECT current_setting('server_version') AS version, now() AS at, pg_database_size(d.oid) AS database_bytes,
                pg_size_bytes(current_setting('shared_buffers')) AS shared_buffers_bytes,
                (SELECT sum(numbackends) FROM pg_stat_database)::bigint AS connections,
                (current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int)::bigint
                  AS max_connections,
                age(d.datfrozenxid)::bigint AS transaction_age,
                (extract(epoch FROM now() - coalesce(s.stats_reset, w.stats_reset, pg_postmaster_start_time())) / 86400)::float8
                  AS counted_days,
                s.xact_commit + s.xact_rollback AS transactions, s.blks_hit AS blocks_hit, s.blks_read AS blocks_read,
                (extract(epoch FROM now() - coalesce(w.stats_reset, pg_postmaster_start_time())) / 86400)::float8 AS wal_days,
                w.wal_bytes::float8 AS wal_bytes, current_setting('archive_mode') <> 'off' AS archives,
                coalesce(a.last_failed_time > coalesce(a.last_archived_time, '-infinity'), false) AS archiving_fails
         FROM pg_database d JOIN pg_stat_database s ON s.datid = d.oid CROSS JOIN pg_stat_wal w CROSS JOIN pg_stat_archiver a
         WHERE d.datname = current_database()",
    )
    .fetch_one(tx.conn())
    .await?)
}

#[derive(FromRow)]
struct Found {
    name: String,
    quoted: String,
    estimate: f64,
    bytes: i64,
    index_bytes: i64,
    dead_rows: i64,
    last_autovacuum: Option<DateTime<Utc>>,
    /// The column that says when a row came.
    came: Option<String>,
}

impl Found {
    async fn look(self, tx: &mut SystemTx) -> Result<TableNumbers> {
        let Self { name, quoted, estimate, bytes, index_bytes, dead_rows, last_autovacuum, came } = self;
        let sampled = estimate > SAMPLE;
        let percent = if sampled { SAMPLE / estimate * 100.0 } else { 100.0 };
        let sample = if sampled { format!("TABLESAMPLE SYSTEM ({percent:.6})") } else { String::new() };
        let came = came.unwrap_or_else(|| "NULL::timestamptz".to_owned());
        // Safe: names of the catalog, quoted there.
        let look = sqlx::query_as(AssertSqlSafe(format!(
            "-- capacity::look
             SELECT count(*)::float8, count(*) FILTER (WHERE {came} > now() - interval '7 days')::float8,
                    (extract(epoch FROM now() - min({came})) / 86400)::float8
             FROM {quoted} {sample}"
        )));
        let (seen, lately, oldest_days): (f64, f64, Option<f64>) = look.fetch_one(tx.conn()).await?;
        let whole = 100.0 / percent;
        Ok(TableNumbers {
            name,
            rows: integer(if sampled { estimate } else { seen }),
            bytes,
            index_bytes,
            dead_rows,
            last_autovacuum,
            rows_a_day: oldest_days.map(|_| lately * whole / 7.0),
            oldest_days,
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a number of rows")]
fn integer(number: f64) -> i64 {
    number as i64
}

async fn queue(tx: &mut SystemTx) -> Result<QueueNumbers> {
    Ok(sqlx::query_as(
        "-- capacity::queue
         WITH done AS (
           SELECT finished_at, extract(epoch FROM finished_at - greatest(run_at, created_at))::float8 AS took
           FROM jobs WHERE state = 'done' AND finished_at > now() - interval '1 day')
         SELECT (SELECT count(*) FROM done) AS done,
                coalesce((SELECT max(n) FROM (SELECT count(*) AS n FROM done GROUP BY date_trunc('minute', finished_at)) m), 0)
                  AS busiest_minute,
                (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY greatest(took, 0)) FROM done) AS p95_seconds,
                (SELECT count(*) FROM jobs WHERE state = 'available') AS waiting,
                (SELECT extract(epoch FROM now() - min(run_at))::float8 FROM jobs WHERE state = 'available') AS oldest_seconds,
                (SELECT count(*) FROM jobs WHERE state = 'dead') AS dead,
                coalesce((SELECT sum(slots) FROM workers WHERE seen_at > now() - interval '1 minute'), 0)::bigint AS slots",
    )
    .fetch_one(tx.conn())
    .await?)
}

async fn biggest(tx: &mut SystemTx) -> Result<Vec<Biggest>> {
    Ok(sqlx::query_as(
        "-- capacity::biggest
         SELECT d.id, d.name, b.leads, b.lately / 7.0::float8 AS leads_a_day
         FROM (SELECT dealership_id, count(*) AS leads,
                      (count(*) FILTER (WHERE created_at > now() - interval '7 days'))::float8 AS lately
               FROM leads GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $1) b
         JOIN dealerships d ON d.id = b.dealership_id ORDER BY b.leads DESC, d.id",
    )
    .bind(BIGGEST)
    .fetch_all(tx.conn())
    .await?)
}

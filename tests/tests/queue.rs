//! The queue's statements, without a worker.

mod enqueue;
mod failures;
mod leases;
mod periodic;
mod turns;
mod upkeep;

use std::time::Duration;

use common::{
    db::{Db, SystemTx},
    ids::DealershipId,
    queue::{Claim, ClaimToken, ClaimedJob, DedicatedConnection, Enqueued, Job, NewJob, enqueue},
};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};
use tests::{
    cluster::{TestDatabase, database},
    jobs::JobTable,
};

/// Work that nobody does.
#[derive(Debug, Serialize, Deserialize)]
struct Errand {
    number: i64,
}

impl Job for Errand {
    const KIND: &'static str = "test.errand";
    const MAX_ATTEMPTS: i16 = 3;
}

/// Work that may fail often.
#[derive(Debug, Serialize, Deserialize)]
struct Stubborn;

impl Job for Stubborn {
    const KIND: &'static str = "test.stubborn";
    const MAX_ATTEMPTS: i16 = 30;
}

/// Longer than any test.
const LEASE: Duration = Duration::from_mins(10);

struct Queue {
    db: Db,
    table: JobTable,
    connection: DedicatedConnection,
    url: String,
    _database: TestDatabase,
}

impl Queue {
    async fn start() -> Self {
        let database = database().await;
        let db = Db::new(&database.url.parse().expect("it is a PostgreSQL URL"), 4, "tests");
        let connection = DedicatedConnection::new(&db, "tests", Duration::from_secs(5));
        Self {
            table: JobTable::at(&database.url).await,
            db,
            connection,
            url: database.url.clone(),
            _database: database,
        }
    }

    async fn tx(&self) -> SystemTx {
        self.db.system().await.expect("the database is there")
    }

    async fn add<J: Job>(&self, job: &J) -> i64 {
        self.add_with(&NewJob::now(job)).await
    }

    async fn add_with<J: Job>(&self, new: &NewJob<'_, J>) -> i64 {
        let mut tx = self.tx().await;
        let enqueued = enqueue(&mut tx, new).await.expect("it can be enqueued");
        tx.commit().await.expect("it can be committed");
        match enqueued {
            Enqueued::As(id) => id,
            Enqueued::Duplicate => panic!("there is one like it"),
        }
    }

    async fn claim(&mut self, limit: usize) -> Vec<ClaimedJob> {
        self.claim_with(limit, ClaimToken::new()).await
    }

    async fn claim_with(&mut self, limit: usize, token: ClaimToken) -> Vec<ClaimedJob> {
        self.connection.claim("default", limit, LEASE, token, None).await.expect("jobs can be claimed").jobs
    }

    async fn claim_after(&mut self, limit: usize, after: Option<DealershipId>) -> Claim {
        let token = ClaimToken::new();
        self.connection.claim("default", limit, LEASE, token, after).await.expect("jobs can be claimed")
    }

    /// How often the whole table of jobs was read. Closes the connection, since a session tells when it ends.
    async fn sequential_scans(&mut self) -> i64 {
        self.connection = DedicatedConnection::new(&self.db, "tests", Duration::from_secs(5));
        let gone = "SELECT count(*) = $1 FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'tests tests'";
        self.table.wait_until(gone, 0).await;
        let mut superuser = PgConnection::connect(&self.url).await.expect("the database is there");
        sqlx::query_scalar("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'jobs'")
            .fetch_one(&mut superuser)
            .await
            .expect("a superuser may")
    }

    async fn claim_one(&mut self) -> ClaimedJob {
        let mut claimed = self.claim(1).await;
        claimed.pop().expect("there is a job")
    }

    async fn reap(&mut self) -> u64 {
        self.connection.reap(100).await.expect("leases can be reaped")
    }

    async fn promote(&mut self) -> u64 {
        self.connection.promote(100).await.expect("jobs can be promoted")
    }
}

fn ids(jobs: &[ClaimedJob]) -> Vec<i64> {
    jobs.iter().map(|job| job.lease.job_id()).collect()
}

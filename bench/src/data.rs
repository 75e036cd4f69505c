use sqlx::{Executor, FromRow, PgConnection};
use uuid::Uuid;

use crate::Outcome;

/// Somebody, their dealership, and one of its leads.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Sample {
    pub(crate) user_id: String,
    pub(crate) org_id: String,
    pub(crate) dealership: Uuid,
    pub(crate) lead: Uuid,
    /// Leads of the dealership.
    pub(crate) total: i64,
}

/// What requests are about. Half of the dealerships are only read, so that their totals are known; leads are created in
/// the others.
#[derive(Debug, Clone)]
pub(crate) struct Samples {
    pub(crate) readers: Vec<Sample>,
    pub(crate) writers: Vec<Sample>,
}

/// As a table too, since pgbench draws from it. In a schema that no role of the program may enter.
const TABLE: &str = "
    CREATE SCHEMA IF NOT EXISTS bench;
    DROP TABLE IF EXISTS bench.samples;
    CREATE TABLE bench.samples AS
      WITH dealership AS (
        SELECT id, clerk_org_id, (SELECT count(*) FROM leads l WHERE l.dealership_id = d.id) AS total,
               row_number() OVER (ORDER BY clerk_org_id) % 2 = 0 AS writes
        FROM dealerships d WHERE clerk_org_id LIKE 'org_bench_%' ORDER BY random() LIMIT 100)
      SELECT row_number() OVER (PARTITION BY writes ORDER BY random()) AS n, writes, u.clerk_user_id AS user_id,
             d.clerk_org_id AS org_id, d.id AS dealership, l.id AS lead, total
      FROM dealership d
      JOIN LATERAL (SELECT clerk_user_id FROM users u WHERE u.dealership_id = d.id LIMIT 5) u ON true
      JOIN LATERAL (SELECT id FROM leads l WHERE l.dealership_id = d.id ORDER BY id LIMIT 100) l ON true;
    ALTER TABLE bench.samples ADD PRIMARY KEY (writes, n);
    ANALYZE bench.samples";

impl Samples {
    /// Draws them from what was loaded.
    pub(crate) async fn draw(connection: &mut PgConnection) -> Outcome<Self> {
        connection.execute(TABLE).await?;
        let mut of = async |writes: bool| -> Outcome<Vec<Sample>> {
            let samples =
                sqlx::query_as("SELECT user_id, org_id, dealership, lead, total FROM bench.samples WHERE writes = $1");
            Ok(samples.bind(writes).fetch_all(&mut *connection).await?)
        };
        Ok(Self { readers: of(false).await?, writers: of(true).await? })
    }
}

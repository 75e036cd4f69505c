//! PostgreSQL for the tests: one throw-away cluster for a whole run, however many processes it consists of, and one
//! database for each test.
//!
//! Nothing has to be started or cleaned up. The first test starts the supervisor (`test-postgres`), which holds the
//! cluster; each test process holds a lease, a lock on a file, for as long as it lives. However it ends, the kernel
//! gives the lease back, and a moment after the last one the supervisor removes the cluster with everything in it.

mod lease;
mod private;
mod processes;
pub mod supervisor;

use std::error::Error;

use common::db::{self, DatabaseUrl};
use dev::{fingerprint::fingerprint, random};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

use lease::Lease;
pub use private::{PrivateCluster, private_cluster};
pub use processes::Frozen;

/// A failure that ends the test, as a sentence.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Serialises the making of the template: any number that nobody else uses in the database `postgres`.
const TEMPLATE_LOCK: i64 = 0x6e6f_7276;

static LEASE: OnceCell<Lease> = OnceCell::const_new();
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// A database of one test. It is dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    /// Connects as the superuser.
    pub url: String,
    name: String,
    maintenance_url: String,
}

/// A fresh database with all migrations applied.
pub async fn database() -> TestDatabase {
    or_panic(create(true).await)
}

/// A fresh database with nothing in it.
pub async fn empty_database() -> TestDatabase {
    or_panic(create(false).await)
}

/// A fresh database with all migrations applied, which knows no letters but those of ASCII.
pub async fn database_of_locale_c() -> TestDatabase {
    or_panic(create_of_locale_c().await)
}

impl TestDatabase {
    /// Connects as the superuser, whom no policy binds.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("the database exists as long as this value does")
    }
}

impl Drop for TestDatabase {
    /// Hundreds of databases would fill the disk of a small machine. A test's own runtime is busy dropping this very
    /// value, so another one does it.
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let url = self.maintenance_url.clone();
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { Ok::<_, Box<dyn Error + Send + Sync>>(execute(&url, &statement).await?) })
        });
        // Whatever is left goes with the cluster.
        let _ = dropped.join();
    }
}

async fn create(migrated: bool) -> Outcome<TestDatabase> {
    let lease = LEASE.get_or_try_init(lease::acquire).await?;
    let name = format!("test_{:016x}", u64::from_be_bytes(random::bytes()));
    let maintenance_url = lease.url("postgres");
    let template = if migrated { TEMPLATE.get_or_try_init(|| template(lease)).await? } else { "template0" };
    execute(&maintenance_url, &format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")).await?;
    Ok(TestDatabase { url: lease.url(&name), name, maintenance_url })
}

async fn create_of_locale_c() -> Outcome<TestDatabase> {
    let lease = LEASE.get_or_try_init(lease::acquire).await?;
    let name = format!("test_{:016x}", u64::from_be_bytes(random::bytes()));
    let maintenance_url = lease.url("postgres");
    execute(&maintenance_url, &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")).await?;
    let database = TestDatabase { url: lease.url(&name), name, maintenance_url };
    db::migrate(&database.url.parse()?).await?;
    Ok(database)
}

/// The database that all others are copies of: made once for each cluster. Its name follows from the migrations, so
/// that one from before a change is never used.
async fn template(lease: &Lease) -> Outcome<String> {
    let maintenance_url = lease.url("postgres");
    let migrations = db::pending_migrations(&maintenance_url.parse()?).await?;
    let all_sql: String = migrations.iter().map(|migration| migration.sql.as_str()).collect();
    let name = format!("template_{}", fingerprint(&all_sql));

    // The lock goes with the connection.
    let mut connection = PgConnection::connect(&maintenance_url).await?;
    sqlx::query("SELECT pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut connection).await?;
    let made: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(&name)
        .fetch_one(&mut connection)
        .await?;
    if !made {
        // A process that died here leaves a draft, never half a template.
        let draft = format!("{name}_draft");
        execute(&maintenance_url, &format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)")).await?;
        execute(&maintenance_url, &format!("CREATE DATABASE {draft} TEMPLATE template0")).await?;
        db::migrate(&lease.url(&draft).parse::<DatabaseUrl>()?).await?;
        execute(&maintenance_url, &format!("ALTER DATABASE {draft} RENAME TO {name}")).await?;
    }
    connection.close().await?;
    Ok(name)
}

/// Statements about databases, made of names that were made here.
async fn execute(url: &str, statement: &str) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    connection.execute(AssertSqlSafe(statement.to_owned())).await?;
    connection.close().await
}

fn or_panic<T>(outcome: Outcome<T>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("no database for this test: {}", common::telemetry::error_chain(error.as_ref())),
    }
}

//! Whose a database is. `cargo dev` may write only into a database that is empty or that it made itself: its worker
//! believes the stand-in for Clerk, and would close the dealerships and erase the people that the stand-in does not know.
//!
//! The mark is a schema without tables whose comment names the owner. It is made before anything else, and looked for in
//! transactions that cannot write.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgConnectOptions};

use crate::stand_ins::clerk::Instance;

/// Why a database must not be written into.
#[derive(Debug, thiserror::Error)]
pub enum NotOurs {
    /// There are tables or functions, and nothing says that `cargo dev` made them.
    #[error("it holds {relations} tables and views that `cargo dev` did not make")]
    Unmarked { relations: i64 },
    /// Made by `cargo dev`, but by that of another checkout or from before a reset, whose stand-in knows other people.
    #[error("`cargo dev` of another checkout made it, or this one before a reset")]
    Marked,
    /// Ours, but since then it was filled by somebody else, such as by restoring a dump into it.
    #[error("it holds {organizations} organizations and {users} people that this stand-in for Clerk never knew")]
    Strangers {
        /// Organizations of another Clerk instance.
        organizations: usize,
        /// Users of another Clerk instance.
        users: usize,
    },
    /// It cannot be told, so it must be assumed.
    #[error("it cannot be seen what it holds")]
    Unknown(#[from] sqlx::Error),
}

/// The schema that serves as the mark.
const MARK: &str = "cargo_dev";

/// Checks that a database is empty or was made by `owner`, and writes nothing.
pub async fn check(url: &str, owner: &str) -> Result<(), NotOurs> {
    let mut connection = read_only(url).await?;
    let checked = check_mark(&mut connection, owner).await;
    connection.close().await?;
    checked
}

/// Checks that what a marked database has learnt from Clerk is what `instance` knows or knew, and writes nothing.
pub async fn check_people(url: &str, instance: &Instance) -> Result<(), NotOurs> {
    let mut connection = read_only(url).await?;
    let known = learnt_from_clerk(&mut connection).await?;
    connection.close().await?;
    let strange = |kind: &str| known.iter().filter(|(of, id)| of == kind && !instance.has_known(id)).count();
    match (strange("organization"), strange("user")) {
        (0, 0) => Ok(()),
        (organizations, users) => Err(NotOurs::Strangers { organizations, users }),
    }
}

/// Marks a database as made by `owner`.
pub async fn mark(url: &str, owner: &str) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let mut transaction = connection.begin().await?;
    transaction.execute(AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {MARK}"))).await?;
    let quoted: String =
        sqlx::query_scalar("SELECT quote_literal($1)").bind(owner).fetch_one(&mut *transaction).await?;
    transaction.execute(AssertSqlSafe(format!("COMMENT ON SCHEMA {MARK} IS {quoted}"))).await?;
    transaction.commit().await?;
    connection.close().await
}

async fn read_only(url: &str) -> sqlx::Result<PgConnection> {
    let options: PgConnectOptions = url.parse()?;
    let mut connection = PgConnection::connect_with(&options.application_name("cargo dev")).await?;
    connection.execute("SET default_transaction_read_only = on").await?;
    Ok(connection)
}

async fn check_mark(connection: &mut PgConnection, owner: &str) -> Result<(), NotOurs> {
    let marked: Option<Option<String>> =
        sqlx::query_scalar("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1")
            .bind(MARK)
            .fetch_optional(&mut *connection)
            .await?;
    match marked {
        Some(Some(marked)) if marked == owner => return Ok(()),
        Some(_) => return Err(NotOurs::Marked),
        None => {}
    }
    // What belongs to an extension is nobody's data.
    let relations: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                           AND d.deptype = 'e')",
    )
    .fetch_one(connection)
    .await?;
    if relations == 0 { Ok(()) } else { Err(NotOurs::Unmarked { relations }) }
}

/// Kind and id of each organization and user that Clerk has told of and not deleted. What was provisioned by hand or
/// seeded has version 0: no comparison with Clerk touches it.
async fn learnt_from_clerk(connection: &mut PgConnection) -> sqlx::Result<Vec<(String, String)>> {
    let mut transaction = connection.begin().await?;
    let migrated: bool =
        sqlx::query_scalar("SELECT to_regclass('clerk_objects') IS NOT NULL").fetch_one(&mut *transaction).await?;
    if !migrated {
        return Ok(Vec::new());
    }
    // The owner of the table sees no row of it.
    transaction.execute("SET LOCAL ROLE norvalt_system").await?;
    sqlx::query_as(
        "SELECT kind, id FROM clerk_objects
         WHERE kind IN ('organization', 'user') AND (state ->> 'deleted')::boolean IS NOT TRUE
           AND greatest((state #>> '{attributes,version}')::bigint, (state #>> '{profile,version}')::bigint,
                        (state #>> '{hint,version}')::bigint) > 0",
    )
    .fetch_all(&mut *transaction)
    .await
}

//! What `norvalt doctor` says of databases that others have set up.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tests::cluster::{database, empty_database, private_cluster};

use super::norvalt;

#[tokio::test]
async fn an_encoding_that_cannot_hold_every_name_is_named_with_its_remedy() {
    let database = empty_database().await;
    let mut conn = database.connect().await;
    let own: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut conn).await.expect("a name");
    let name = format!("doctor_{own}");
    let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    conn.execute(AssertSqlSafe(create)).await.expect("a valid statement");
    let url = database.url.replace(&format!("/{own}"), &format!("/{name}"));
    let ran = norvalt(&["doctor"], &[("DATABASE_URL", url.as_str())]).await;
    conn.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.expect("a valid statement");
    let line = ran.out.lines().find(|line| line.contains("LATIN1")).unwrap_or_else(|| panic!("{}", ran.out));
    assert!(ran.code == Some(1) && line.starts_with("WRONG  database"), "{line}");
    assert!(line.contains("must be UTF8") && line.contains("TEMPLATE template0 ENCODING 'UTF8'"), "{line}");
}

#[tokio::test]
async fn commits_that_a_crash_would_take_back_are_found_wherever_that_was_set() {
    let cluster = private_cluster().await;
    let url = [("DATABASE_URL", cluster.url.as_str())];
    let mut superuser = PgConnection::connect(&cluster.url).await.expect("it runs");
    let own: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut superuser).await.expect("a name");
    let found = async || {
        let said = norvalt(&["doctor"], &url).await.out;
        said.contains("synchronous_commit").then_some(said)
    };
    assert_eq!(found().await, None);
    for harmless in ["on", "local", "remote_apply"] {
        let set = format!("ALTER DATABASE {own} SET synchronous_commit = {harmless}");
        superuser.execute(AssertSqlSafe(set)).await.expect("a valid setting");
        assert_eq!(found().await, None, "{harmless}");
    }
    // Each counts for more than the one before.
    for (set, remedy) in [
        (format!("ALTER DATABASE {own} SET synchronous_commit = off"), format!("ALTER DATABASE {own} RESET")),
        ("ALTER ROLE postgres SET synchronous_commit = off".to_owned(), "ALTER ROLE postgres RESET".to_owned()),
        (
            format!("ALTER ROLE postgres IN DATABASE {own} SET synchronous_commit = off"),
            format!("ALTER ROLE postgres IN DATABASE {own} RESET"),
        ),
    ] {
        superuser.execute(AssertSqlSafe(set)).await.expect("a valid setting");
        let said = found().await.unwrap_or_else(|| panic!("{remedy}: nothing was found"));
        assert!(said.contains("WRONG  commits") && said.contains(&format!("{remedy} synchronous_commit")), "{said}");
    }
}

#[tokio::test]
async fn a_server_for_tests_is_said_to_be_one() {
    let database = database().await;
    let said = norvalt(&["doctor"], &[("DATABASE_URL", database.url.as_str())]).await.out;
    assert!(said.contains("note   commits") && said.contains("fsync is off"), "{said}");
}

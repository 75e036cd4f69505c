//! The databases that all other tests rely on.

use std::{env, path::Path, process::Stdio, time::Duration};

use sqlx::{Connection, Executor, PgConnection};
use tests::cluster::{database, empty_database, private_cluster};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::{sleep, timeout},
};

async fn tables(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        .fetch_one(connection)
        .await
        .expect("every database has this view")
}

#[tokio::test]
async fn every_test_has_a_migrated_database_of_its_own() {
    let (mine, yours) = (database().await, database().await);
    assert_ne!(mine.url, yours.url);
    let (mut mine, mut yours) = (mine.connect().await, yours.connect().await);
    assert_ne!(tables(&mut mine).await, 0);
    mine.execute("CREATE TABLE of_mine ()").await.expect("the superuser may");
    assert_eq!(tables(&mut mine).await, tables(&mut yours).await + 1);
}

#[tokio::test]
async fn an_empty_database_is_empty() {
    let database = empty_database().await;
    assert_eq!(tables(&mut database.connect().await).await, 0);
}

#[tokio::test]
async fn norwegian_letters_have_two_cases() {
    let database = database().await;
    let mut connection = database.connect().await;
    let same: bool = sqlx::query_scalar("SELECT 'Åse ØDEGÅRD, Ærlig' ILIKE '%åse ødegård, æ%'")
        .fetch_one(&mut connection)
        .await
        .expect("a valid statement");
    assert!(same);
}

#[tokio::test]
async fn a_database_goes_with_its_test() {
    let other = empty_database().await;
    let database = database().await;
    let mut still_connected = database.connect().await;
    let name: String = sqlx::query_scalar("SELECT current_database()::text")
        .fetch_one(&mut still_connected)
        .await
        .expect("a valid statement");
    let count = async || -> i64 {
        let query = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = $1").bind(&name);
        query.fetch_one(&mut other.connect().await).await.expect("every database has this table")
    };
    assert_eq!(count().await, 1);
    drop(database);
    assert_eq!(count().await, 0);
}

#[tokio::test]
async fn a_private_cluster_survives_a_crash_and_a_stop() {
    let mut cluster = private_cluster().await;
    let mut before = cluster.connect().await;
    before.execute("CREATE TABLE kept AS SELECT 7 AS number").await.expect("the superuser may");

    cluster.restart_immediate().await;
    assert!(before.execute("SELECT 1").await.is_err(), "the crash cut the connection");
    cluster.stop().await;
    assert!(PgConnection::connect(&cluster.url).await.is_err(), "nobody listens");
    cluster.start().await;
    let kept: i32 = sqlx::query_scalar("SELECT number FROM kept")
        .fetch_one(&mut cluster.connect().await)
        .await
        .expect("it was committed");
    assert_eq!(kept, 7);
}

/// Not a test: what [`a_killed_process_leaves_nothing_behind`] kills.
#[tokio::test]
#[ignore = "waits to be killed"]
async fn hold_a_private_cluster() {
    let cluster = private_cluster().await;
    println!("holding {}", cluster.url);
    sleep(Duration::from_mins(1)).await;
}

#[tokio::test]
async fn a_killed_process_leaves_nothing_behind() {
    let mut holder = Command::new(env::current_exe().expect("the system tells it"))
        .args(["hold_a_private_cluster", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("this very program can be started");
    let mut lines = BufReader::new(holder.stdout.take().expect("it is piped")).lines();
    let url = loop {
        let line = lines.next_line().await.expect("it speaks UTF-8").expect("it says where its cluster is");
        // The test runner may have left its own words in front.
        if let Some((_, url)) = line.split_once("holding ") {
            break url.to_owned();
        }
    };
    let (_, socket) = url.split_once("?host=").expect("it is reached through a socket");
    let place = Path::new(socket).parent().expect("the cluster is in a place of its own");
    assert!(place.exists());

    holder.kill().await.expect("it still runs");
    let gone = async {
        while place.exists() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), gone).await.expect("its supervisor clears up");
}

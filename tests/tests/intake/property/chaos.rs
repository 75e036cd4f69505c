//! What goes wrong: connections end between two statements, workers die, Facebook fails, and an admin connects the page again.

use std::time::Duration;

use dev::graph::{Fault, StandIn};
use proptest::{collection::vec, prelude::*, sample::select};
use sqlx::{Executor, PgConnection};
use tests::{
    app::{Person, TestApp},
    drain::Worker,
};
use tokio::time::{Instant, sleep};

use super::super::facebook::{connect, settings};

/// All of it that goes wrong in one story. Less than what makes a job dead: an operator would be asked.
#[derive(Debug, Clone)]
pub(super) struct Troubles {
    /// The statements whose connections end with them, counting those that write.
    pub(super) last_statements: Vec<i64>,
    /// After so many milliseconds each.
    pub(super) blows: Vec<(u64, Blow)>,
    /// What Facebook answers first.
    pub(super) faults: Vec<Fault>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Blow {
    KillWorker,
    CutOffWorker,
    CutOffApi,
    ConnectPage,
}

pub(super) fn troubles() -> impl Strategy<Value = Troubles> {
    let blow = select(vec![Blow::KillWorker, Blow::KillWorker, Blow::CutOffWorker, Blow::CutOffApi, Blow::ConnectPage]);
    let fault = select(vec![
        Fault::Temporary,
        Fault::Throttled,
        Fault::Html,
        Fault::Missing,
        Fault::NoPermission,
        Fault::Expired,
    ]);
    (vec(1..200_i64, 0..5), vec((0..150_u64, blow), 0..5), vec(fault, 0..4))
        .prop_map(|(last_statements, blows, faults)| Troubles { last_statements, blows, faults })
}

/// Counts every statement of the API and of workers that writes, committed or not, and ends the connections of some in the middle of their transactions.
const COUNT: &str = "
    CREATE TABLE last_statements (number bigint NOT NULL);
    CREATE SEQUENCE statements;
    CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
    DECLARE this bigint;
    BEGIN
      IF current_setting('application_name') LIKE 'norvalt%' THEN
        this := nextval('statements');
        IF EXISTS (SELECT FROM last_statements WHERE number = this) THEN
          PERFORM pg_terminate_backend(pg_backend_pid());
        END IF;
      END IF;
      RETURN NULL;
    END $$;
    DO $$
    DECLARE name text;
    BEGIN
      FOREACH name IN ARRAY ARRAY['deliveries', 'delivery_repetitions', 'inquiries', 'leads', 'conversations', 'customers',
                                  'customer_identities', 'jobs'] LOOP
        EXECUTE format('CREATE TRIGGER count_statement AFTER INSERT OR UPDATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION count_statement()', name);
      END LOOP;
    END $$;";

pub(super) async fn count_statements(conn: &mut PgConnection) {
    conn.execute(COUNT).await.expect("a superuser may");
}

/// Which statements are the last of their connections, counting from now.
pub(super) async fn doom(conn: &mut PgConnection, last_statements: &[i64]) {
    conn.execute("TRUNCATE last_statements; SELECT setval('statements', 1, false)").await.expect("ours");
    let doom = sqlx::query("INSERT INTO last_statements SELECT unnest($1::bigint[])").bind(last_statements);
    doom.execute(conn).await.expect("ours");
}

async fn cut_off(conn: &mut PgConnection, who: &str) {
    let cut = sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE $1 || '%'",
    );
    cut.bind(who).execute(conn).await.expect("a superuser may");
}

/// Has workers work while all this happens, until the last of it.
pub(super) async fn blow(app: &TestApp, kari: &Person<'_>, facebook: &StandIn, blows: &[(u64, Blow)]) {
    let mut conn = app.connect().await;
    let mut worker = Worker::start(app, &settings(facebook));
    for (pause, blow) in blows {
        sleep(Duration::from_millis(*pause)).await;
        match blow {
            Blow::KillWorker => {
                worker.kill().await;
                expire_leases(&mut conn).await;
                worker = Worker::start(app, &settings(facebook));
            }
            Blow::CutOffWorker => cut_off(&mut conn, "norvalt worker").await,
            Blow::CutOffApi => cut_off(&mut conn, "norvalt api").await,
            // Or is told that it does not work just now.
            Blow::ConnectPage => _ = connect(kari, facebook).await,
        }
    }
    sleep(Duration::from_millis(20)).await;
    worker.kill().await;
    expire_leases(&mut conn).await;
}

/// Nobody waits half a minute for the leases of those who are dead.
async fn expire_leases(conn: &mut PgConnection) {
    conn.execute("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE state = 'running'").await.expect("ours");
}

/// Waits until everything has been read; whatever waits for a person, that person does.
///
/// # Panics
/// When it takes longer than any of it should.
pub(super) async fn settle(app: &TestApp, kari: &Person<'_>, facebook: &StandIn) {
    let mut conn = app.connect().await;
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let worker = Worker::start(app, &settings(facebook));
        while hasten(&mut conn).await > 0 {
            assert!(Instant::now() < deadline, "jobs do not end: {}", unfinished(&mut conn).await);
            sleep(Duration::from_millis(20)).await;
        }
        worker.stop().await;
        if app.count("SELECT count(*) FROM deliveries WHERE status = 'parked'").await == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "something is still parked");
        _ = connect(kari, facebook).await;
    }
}

/// Lets the time of jobs come that are tried again later, and returns how many are not at their end.
async fn hasten(conn: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "WITH due AS (
           UPDATE jobs SET run_at = now() WHERE state IN ('retryable', 'scheduled') AND run_at > now()
           RETURNING pg_notify('norvalt_jobs', 'intervention'))
         SELECT count(*) + 0 * (SELECT count(*) FROM due) FROM jobs
         WHERE queue IN ('inquiries', 'facebook') AND state IN ('available', 'running', 'retryable', 'scheduled')",
    )
    .fetch_one(conn)
    .await
    .expect("jobs can be counted")
}

async fn unfinished(conn: &mut PgConnection) -> String {
    sqlx::query_scalar(
        "SELECT coalesce(string_agg(concat_ws(' ', id, kind, state, attempts, run_at, lease_until, errors -> -1), '; '), '')
         FROM jobs WHERE queue IN ('inquiries', 'facebook') AND state <> 'done'",
    )
    .fetch_one(conn)
    .await
    .expect("jobs can be read")
}

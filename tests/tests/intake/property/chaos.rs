//! What goes wrong: connections end between two statements, workers die, Facebook fails, and an admin connects the page again.

use std::time::Duration;

use dev::stand_ins::graph::{Fault, StandIn};
use proptest::{collection::vec, prelude::*, sample::select};
use sqlx::PgConnection;
use tests::{
    app::{Person, TestApp},
    chaos::{cut_off, expire_leases},
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

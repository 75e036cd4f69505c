//! Jobs of a dealership: in one transaction with its rows, or around a call to the outside.

use std::{panic::AssertUnwindSafe, time::Duration};

use common::{
    db::TenantTx,
    ids::DealershipId,
    page::After,
    queue::{Enqueued, Job, NewJob, enqueue},
    telemetry::Trace,
};
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};
use worker::{JobContext, JobError, NetworkJob, Registry, Services, TenantJob};

use super::{
    TestWorker,
    kinds::{Effect, Gate},
};

/// Renames its dealership's address, has its effect, and then waits at a gate.
#[derive(Debug, Serialize, Deserialize)]
struct Move {
    gate: String,
}

impl Job for Move {
    const KIND: &'static str = "test.move";
}

impl TenantJob for Move {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        enqueue(tx, &NewJob::now(&Effect { of: context.job_id })).await?;
        Gate::of(&self.gate).pass().await;
        Ok(())
    }
}

/// Asks somebody outside who may be slow, busy, or say no.
#[derive(Debug, Serialize, Deserialize)]
struct Ask {
    gate: String,
    answer: Reply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Reply {
    Yes,
    BusyOnce,
    No,
    Nothing,
}

impl Job for Ask {
    const KIND: &'static str = "test.ask";
    const MAX_ATTEMPTS: i16 = 2;
    const BURIED_BY_WORKER: bool = true;
}

/// What an [`Ask`] has come to.
#[derive(Debug, Serialize, Deserialize)]
struct Answered {
    by: i64,
    what: String,
}

impl Job for Answered {
    const KIND: &'static str = "test.answered";
    const QUEUE: &'static str = "test.effects";
}

impl NetworkJob for Ask {
    const TIMEOUT: Duration = Duration::from_secs(30);
    type Loaded = (i64, i16);
    type Answer = i64;

    async fn load(&self, context: &JobContext, tx: &mut TenantTx) -> Result<Option<(i64, i16)>, JobError> {
        enqueue(tx, &NewJob::now(&Effect { of: context.job_id })).await?;
        Ok((self.answer != Reply::Nothing).then_some((context.job_id, context.attempt)))
    }

    async fn call(&self, &(id, _): &(i64, i16), _: &Services) -> Result<i64, JobError> {
        let gate = Gate::of(&self.gate);
        gate.pass().await;
        match self.answer {
            Reply::No => Err(JobError::dead("they said no")),
            Reply::BusyOnce if gate.first() => Err(JobError::later(Duration::from_secs(1), "they are busy")),
            _ => Ok(id),
        }
    }

    async fn save(&self, id: i64, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        enqueue(tx, &NewJob::now(&Answered { by: id, what: "yes".to_owned() })).await?;
        Ok(())
    }

    async fn dead(&self, reason: &str, _: &JobContext, tx: &mut TenantTx) -> Result<(), JobError> {
        enqueue(tx, &NewJob::now(&Answered { by: 0, what: reason.to_owned() })).await?;
        Ok(())
    }
}

fn registry() -> Registry {
    Registry::default().tenant::<Move>().network::<Ask>()
}

async fn dealership(test: &TestWorker) -> DealershipId {
    let mut superuser = PgConnection::connect(&test.url).await.expect("the database is there");
    sqlx::query_scalar(
        "INSERT INTO dealerships (id, clerk_org_id, name, email)
         VALUES (gen_random_uuid(), gen_random_uuid()::text, 'Bil AS', 'a@bil.example')
         RETURNING id",
    )
    .fetch_one(&mut superuser)
    .await
    .expect("a superuser may")
}

async fn change(test: &TestWorker, statement: &'static str, dealership: DealershipId) {
    let mut superuser = PgConnection::connect(&test.url).await.expect("the database is there");
    sqlx::query(statement).bind(dealership).execute(&mut superuser).await.expect("a superuser may");
}

async fn add<J: Job>(test: &TestWorker, dealership: DealershipId, job: &J) -> i64 {
    let mut tx = test.db.tenant(dealership).await.expect("the database is there");
    let enqueued = enqueue(&mut tx, &NewJob::now(job)).await.expect("it can be enqueued");
    tx.commit().await.expect("it can be committed");
    let Enqueued::As(id) = enqueued else { panic!("there is one like it") };
    id
}

async fn answers(test: &mut TestWorker) -> Vec<String> {
    let payloads = test.table.payloads(Answered::KIND).await;
    payloads.into_iter().map(|payload| payload["what"].as_str().unwrap_or_default().to_owned()).collect()
}

fn ask(gate: &str, answer: Reply) -> Ask {
    Ask { gate: gate.to_owned(), answer }
}

#[tokio::test]
async fn a_job_enqueued_through_the_tenant_door_is_that_dealerships_and_exists_with_its_transaction() {
    let mut test = TestWorker::open().await;
    let ours = dealership(&test).await;
    let mut tx = test.db.tenant(ours).await.expect("the database is there");
    enqueue(&mut tx, &NewJob::now(&ask("never", Reply::Yes))).await.expect("it can be enqueued");
    drop(tx);
    let id = add(&test, ours, &ask("never", Reply::Yes)).await;
    assert_eq!(test.table.payloads(Ask::KIND).await.len(), 1, "what was rolled back left nothing");
    test.table
        .wait_until("SELECT for_dealership <> '00000000-0000-0000-0000-000000000000' FROM jobs WHERE id = $1", id)
        .await;

    // The rights on the queue ended with that statement.
    let mut tx = test.db.tenant(ours).await.expect("the database is there");
    let keyed = NewJob { unique_key: Some("once"), ..NewJob::now(&Effect { of: 1 }) };
    enqueue(&mut tx, &keyed).await.expect("it can be enqueued");
    assert_eq!(enqueue(&mut tx, &keyed).await.expect("a duplicate is no error"), Enqueued::Duplicate);
    let people = common::users::list(&mut tx, After { after: None }).await.expect("it reads as the tenant");
    assert!(people.is_some_and(|people| people.items.is_empty()));
}

#[tokio::test]
async fn an_enqueue_that_is_cut_off_leaves_no_way_around_the_tenants_door() {
    let test = TestWorker::open().await;
    let ours = dealership(&test).await;
    let job = ask("never", Reply::Yes);
    let new = NewJob::now(&job);
    let mut tx = loop {
        let mut tx = test.db.tenant(ours).await.expect("the database is there");
        // Polled once: its first statement is under way, and its answer never read, unless that is there at once.
        if enqueue(&mut tx, &new).now_or_never().is_none() {
            break tx;
        }
    };
    let reading = AssertUnwindSafe(common::users::list(&mut tx, After { after: None })).catch_unwind().await;
    assert!(reading.is_err(), "the transaction can only be rolled back");
}

#[tokio::test]
async fn a_dealerships_job_is_completed_with_its_effects_and_not_without() {
    let mut test = TestWorker::open().await;
    let ours = dealership(&test).await;
    let worker = test.worker_of(registry());
    let gate = Gate::of("completed_with_its_effects");
    let request = Trace::of_request("POST /".to_owned(), None);
    let id = request.of(add(&test, ours, &Move { gate: "completed_with_its_effects".into() })).await;
    gate.arrived(1).await;
    let steal = "UPDATE jobs SET lease_token = gen_random_uuid() WHERE id = $1";
    assert_eq!(test.table.change(steal, id).await, 1);
    gate.open(1);
    worker.stop().await.expect("it stops cleanly");
    assert_eq!(test.effects().await, 0, "another worker had it");

    test.table.change("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = $1", id).await;
    let worker = test.worker_of(registry());
    gate.open(1);
    test.table.wait_for(id, "done").await;
    assert_eq!(test.effects().await, 1);
    let one_trace =
        "SELECT count(DISTINCT substr(trace_context, 4, 32)) = $1 AND count(*) = count(trace_context) FROM jobs";
    test.table.wait_until(one_trace, 1).await;
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_closed_dealerships_job_waits_and_a_purged_ones_is_cancelled() {
    let mut test = TestWorker::open().await;
    let (closed, gone) = (dealership(&test).await, dealership(&test).await);
    let waiting = add(&test, closed, &Move { gate: "closed".into() }).await;
    let pointless = add(&test, gone, &ask("gone", Reply::Yes)).await;
    change(&test, "UPDATE dealerships SET closed_at = now() WHERE id = $1", closed).await;
    change(&test, "DELETE FROM dealerships WHERE id = $1", gone).await;
    let worker = test.worker_of(registry());
    test.table.wait_for(waiting, "scheduled").await;
    test.table.wait_for(pointless, "cancelled").await;
    assert_eq!((test.table.row(waiting).await.attempts, test.effects().await), (0, 0));
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_call_holds_no_transaction_and_its_answer_is_saved_with_the_completion() {
    let mut test = TestWorker::open().await;
    let ours = dealership(&test).await;
    let worker = test.worker_of(registry());
    let gate = Gate::of("holds_nothing");
    let id = add(&test, ours, &ask("holds_nothing", Reply::Yes)).await;
    gate.arrived(1).await;
    assert_eq!(test.effects().await, 1, "what was loaded is committed before the call");
    let open = "SELECT count(*) = $1 FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    test.table.wait_until(open, 0).await;
    gate.open(1);
    test.table.wait_for(id, "done").await;
    assert_eq!(answers(&mut test).await, ["yes"]);

    let nothing = add(&test, ours, &ask("nothing", Reply::Nothing)).await;
    test.table.wait_for(nothing, "done").await;
    assert_eq!(answers(&mut test).await.len(), 1, "there was nothing to call for");
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn who_is_busy_says_when_and_the_attempt_does_not_count() {
    let mut test = TestWorker::open().await;
    let ours = dealership(&test).await;
    let worker = test.worker_of(registry());
    let id = add(&test, ours, &ask("busy_once", Reply::BusyOnce)).await;
    Gate::of("busy_once").open(2);
    test.table.wait_for(id, "done").await;
    assert_eq!((test.table.row(id).await.attempts, answers(&mut test).await.len()), (1, 1));
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn what_dies_writes_down_its_end_in_the_transaction_that_buries_it() {
    let mut test = TestWorker::open().await;
    let ours = dealership(&test).await;
    let worker = test.worker_of(registry());
    let id = add(&test, ours, &ask("says_no", Reply::No)).await;
    Gate::of("says_no").open(1);
    test.table.wait_for(id, "dead").await;
    assert_eq!(answers(&mut test).await, ["they said no"]);
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_last_attempt_that_lost_its_worker_is_buried_by_another() {
    let mut test = TestWorker::open().await;
    let ours = dealership(&test).await;
    let id = add(&test, ours, &ask("killed", Reply::Yes)).await;
    let killed = "UPDATE jobs SET state = 'running', attempts = 2, lease_token = gen_random_uuid(),
                  lease_until = now() - interval '1 s' WHERE id = $1";
    assert_eq!(test.table.change(killed, id).await, 1);
    let worker = test.worker_of(registry());
    test.table.retry_once_reaped(id).await;
    test.table.wait_for(id, "dead").await;
    assert_eq!(answers(&mut test).await, ["its last attempt lost its worker"]);
    worker.stop().await.expect("it stops cleanly");
}

#[tokio::test]
async fn a_call_to_the_outside_holds_no_connection() {
    let mut test = TestWorker::open().await;
    (test.config.concurrency, test.config.connections) = (20, 3);
    let ours = dealership(&test).await;
    let gate = Gate::of("holds_no_connection");
    for _ in 0..20 {
        add(&test, ours, &ask("holds_no_connection", Reply::Yes)).await;
    }
    let worker = test.worker_of(registry());
    gate.arrived(20).await;
    let pooled = "SELECT count(*) <= $1 AND bool_and(state = 'idle') FROM pg_stat_activity
                  WHERE datname = current_database() AND application_name = 'norvalt worker'";
    test.table.wait_until(pooled, 3).await;
    gate.open(20);
    test.table.wait_for_count(Ask::KIND, "done", 20).await;
    worker.stop().await.expect("it stops cleanly");
}

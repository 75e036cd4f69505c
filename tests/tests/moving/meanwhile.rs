//! What happens between one step of a move and the next.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::Executor;
use tests::{answer::Answer, app::TestApp, jobs::JobTable};
use tokio::time::{sleep, timeout};

use super::{
    TIMEOUT,
    contents::contents,
    stage::{Server, archive, fill},
};

#[tokio::test]
async fn whoever_was_let_in_before_ends_what_they_began() {
    let app = TestApp::start().await;
    let server = Server::of(&app);
    let oslo = app.dealership("Tesla Oslo").await;
    let mut request = app.connect().await;
    request.execute("BEGIN").await.expect("it begins");
    let frozen = tokio::spawn({
        let (server, id) = (server.clone(), oslo.id.to_string());
        async move { server.does(&["freeze", &id]).await }
    });
    JobTable::at(&app.database_url).await.wait_until("SELECT count(*) = $1 FROM dealership_moves", 1).await;
    sleep(Duration::from_millis(500)).await;
    assert!(!frozen.is_finished(), "they may still write");
    request.execute("COMMIT").await.expect("it is there");
    timeout(TIMEOUT, frozen).await.expect("it ends").expect("it does not panic");
}

#[tokio::test]
async fn what_waits_keeps_its_time_and_what_found_the_dealership_closed_is_due() {
    let app = TestApp::start().await;
    let server = Server::of(&app);
    let oslo = app.dealership("Tesla Oslo").await;
    let limit = json!({ "sla_minutes": 90 });
    Answer::of(oslo.admin().request(Method::PATCH, "/api/v1/dealership").json(&limit)).await.expect(200);
    let inquiry = json!({ "email": "per@example.no", "message": "Hei" });
    let form = format!("/webhooks/form/{}", oslo.id);
    Answer::of(app.request(Method::POST, &form).json(&inquiry)).await.expect(200);
    let mut superuser = app.connect().await;
    superuser
        .execute("UPDATE jobs SET state = 'running', lease_token = gen_random_uuid(), lease_until = now() + '1 min' WHERE kind = 'answers.write'")
        .await
        .expect("a superuser may");

    let id = oslo.id.to_string();
    let frozen = tokio::spawn({
        let (server, id) = (server.clone(), id.clone());
        async move { server.does(&["freeze", &id]).await }
    });
    JobTable::at(&app.database_url).await.wait_until("SELECT count(*) = $1 FROM dealership_moves", 1).await;
    // So does a worker.
    superuser
        .execute(
            "UPDATE jobs SET state = 'scheduled', run_at = now() + '1 hour', lease_token = NULL, lease_until = NULL
             WHERE kind = 'answers.write'",
        )
        .await
        .expect("a superuser may");
    timeout(TIMEOUT, frozen).await.expect("it ends").expect("it does not panic");
    let due = "SELECT count(*) FROM jobs WHERE kind = 'answers.write' AND state = 'available' AND run_at <= now()";
    assert_eq!(app.count(due).await, 1, "it need not wait for an hour");
    server.does(&["open", &id]).await;
    let waits =
        "SELECT count(*) FROM jobs WHERE kind = 'leads.watch' AND state = 'scheduled' AND run_at > now() + '80 min'";
    assert_eq!(app.count(waits).await, 1, "nobody is told too early that a lead was not answered");
}

#[tokio::test]
async fn what_still_runs_is_not_exported() {
    let app = TestApp::start().await;
    let server = Server::of(&app);
    let oslo = fill(&app, "Tesla Oslo").await;
    let lead = oslo.lead("Ola").await.id;
    let message = json!({ "lead_id": lead, "message_content": "Hei", "channel": "email" });
    Answer::of(oslo.admin().request(Method::POST, "/api/v1/conversations").json(&message)).await.expect(201);
    let (id, file) = (oslo.id.to_string(), archive());
    server.does(&["freeze", &id]).await;
    let mut superuser = app.connect().await;
    for (begin, end) in [
        (
            "UPDATE outbox SET status = 'sending', sending_at = now() WHERE status = 'queued'",
            "UPDATE outbox SET status = 'queued', sending_at = NULL WHERE status = 'sending'",
        ),
        (
            "UPDATE jobs SET state = 'running', lease_token = gen_random_uuid(), lease_until = now() WHERE kind = 'outbox.send_email'",
            "UPDATE jobs SET state = 'available', lease_token = NULL, lease_until = NULL WHERE kind = 'outbox.send_email'",
        ),
    ] {
        assert!(superuser.execute(begin).await.expect("a superuser may").rows_affected() > 0);
        server.refuses(&["export", &id, "--to", file.to_str()], "still runs; freeze it again").await;
        superuser.execute(end).await.expect("a superuser may");
    }
    assert!(!file.exists());
    server.does(&["export", &id, "--to", file.to_str()]).await;
}

#[tokio::test]
async fn a_job_whose_place_was_taken_meanwhile_is_not_done_twice() {
    let app = TestApp::start().await;
    let server = Server::of(&app);
    let oslo = fill(&app, "Tesla Oslo").await;
    let id = oslo.id.to_string();
    server.does(&["freeze", &id]).await;
    // By a release that knows nothing of moves.
    let same = "INSERT INTO jobs (queue, kind, payload, payload_version, for_dealership, state, max_attempts, unique_key, run_at)
                SELECT substr(queue, 6), kind, payload, payload_version, for_dealership, state, max_attempts, unique_key, run_at
                FROM jobs WHERE queue LIKE 'held %' AND unique_key IS NOT NULL AND state <> 'dead'";
    let doubled = app.connect().await.execute(same).await.expect("a superuser may").rows_affected();
    assert!(doubled > 0, "something waits under a name of its own");
    server.does(&["open", &id]).await;
    let cancelled = app.count("SELECT count(*) FROM jobs WHERE state = 'cancelled'").await;
    assert_eq!(u64::try_from(cancelled).expect("a count"), doubled);
    let held =
        "SELECT count(*) FROM jobs WHERE queue LIKE 'held %' AND state IN ('available', 'scheduled', 'retryable')";
    assert_eq!(app.count(held).await, 0, "nothing is hidden any more");
}

#[tokio::test]
async fn a_job_whose_delivery_is_gone_is_not_done_for_another_one_there() {
    let (source, target) = (TestApp::start().await, TestApp::start().await);
    let (a, b) = (Server::of(&source), Server::of(&target));
    let oslo = fill(&source, "Tesla Oslo").await;
    for other in ["VW Bergen", "Audi Moss"] {
        fill(&target, other).await;
    }
    let number = target.count("SELECT max(id) FROM deliveries").await;
    let (mut here, mut there) = (source.connect().await, target.connect().await);
    let of_one_that_is_gone = sqlx::query(
        "INSERT INTO jobs (queue, kind, payload, payload_version, for_dealership, state, max_attempts, run_at)
         SELECT 'inquiries', 'inquiries.read', jsonb_build_object('delivery_id', $1::bigint), 1, $2, 'scheduled', 12,
                now() + interval '1 day'
         WHERE NOT EXISTS (SELECT FROM deliveries WHERE id = $1)",
    );
    let inserted = of_one_that_is_gone.bind(number).bind(oslo.id).execute(&mut here).await.expect("a superuser may");
    assert_eq!(inserted.rows_affected(), 1, "only there is one of this number");
    let (id, file) = (oslo.id.to_string(), archive());
    a.does(&["freeze", &id]).await;
    a.does(&["export", &id, "--to", file.to_str()]).await;
    b.does(&["import", file.to_str()]).await;
    let numbers = sqlx::query_scalar(
        "SELECT payload ->> 'delivery_id' FROM jobs WHERE for_dealership = $1 AND kind = 'inquiries.read' AND state = 'scheduled'",
    );
    let numbers: Vec<String> = numbers.bind(oslo.id).fetch_all(&mut there).await.expect("a valid statement");
    assert_eq!(numbers, ["0"]);
}

#[tokio::test]
async fn an_import_that_comes_out_otherwise_is_taken_back() {
    let (source, target) = (TestApp::start().await, TestApp::start().await);
    let (a, b) = (Server::of(&source), Server::of(&target));
    let oslo = fill(&source, "Tesla Oslo").await;
    let (id, file) = (oslo.id.to_string(), archive());
    // What is to be told there is not told with what waits here.
    source.connect().await.execute("UPDATE jobs SET unique_key = NULL").await.expect("a superuser may");
    a.does(&["freeze", &id]).await;
    a.does(&["export", &id, "--to", file.to_str()]).await;
    let mut superuser = target.connect().await;
    superuser
        .execute(
            "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.make := 'Other'; RETURN NEW; END $$;
             CREATE TRIGGER other BEFORE INSERT ON vehicles FOR EACH ROW EXECUTE FUNCTION other()",
        )
        .await
        .expect("a superuser may");
    b.refuses(&["import", file.to_str()], "vehicles would not be the same").await;
    assert_eq!(contents(&target, oslo.id).await.rows(), 0);
    superuser.execute("DROP TRIGGER other ON vehicles").await.expect("a superuser may");
    b.does(&["import", file.to_str()]).await;
    // Also what tells its people that a secret stayed behind.
    let begins =
        "SELECT count(*) FROM jobs WHERE state IN ('available', 'scheduled', 'retryable') AND queue NOT LIKE 'held %'";
    assert_eq!(target.count(begins).await, 0, "nothing of it is done before it is open");
    // It was given up, and exported once more.
    a.does(&["open", &id]).await;
    a.does(&["freeze", &id]).await;
    let newer = archive();
    a.does(&["export", &id, "--to", newer.to_str()]).await;
    b.refuses(&["import", newer.to_str()], "another archive of this dealership was imported here").await;
    b.does(&["discard", &id, "--yes"]).await;
    b.does(&["import", newer.to_str()]).await;
}

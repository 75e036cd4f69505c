//! A dealership moves to another server and back, and nothing is lost, doubled or seen by others on the way.

mod contents;
mod meanwhile;
mod property;
mod refused;
mod stage;

use std::time::Duration;

use common::moving::{STAYS, tables};
use dev::stand_ins::mailbox::Fault;
use reqwest::Method;
use serde_json::json;
use sqlx::Executor;
use tests::{
    answer::Answer,
    app::TestApp,
    clerk_events,
    drain::Worker,
    jobs::JobTable,
    mailbox::{mailbox, sending_through},
};
use tokio::time::{sleep, timeout};

use self::{
    contents::contents,
    stage::{Server, archive, fill},
};

/// The longest that anything may take here.
const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_dealership_goes_to_another_server_and_back() {
    let (source, target) = (TestApp::start().await, TestApp::start().await);
    let (a, b) = (Server::of(&source), Server::of(&target));
    let oslo = fill(&source, "Tesla Oslo").await;
    let lead = oslo.lead("Ola Nordmann").await;
    let message = json!({ "lead_id": lead.id, "message_content": "Fra kø", "channel": "email" });
    Answer::of(oslo.admin().request(Method::POST, "/api/v1/conversations").json(&message)).await.expect(201);
    // The numbers of the other server are others.
    let bergen = fill(&target, "VW Bergen").await;
    target
        .connect()
        .await
        .execute("SELECT setval('deliveries_id_seq', 700), setval('jobs_id_seq', 900)")
        .await
        .expect("it may");
    let others = contents(&target, bergen.id).await;

    let id = oslo.id.to_string();
    let file = archive();
    let path = file.to_str();
    a.refuses(&["export", &id, "--to", path], "is open; close it first").await;
    let before = contents(&source, oslo.id).await;
    assert!(a.does(&["freeze", &id]).await.contains("frozen, with "));
    oslo.admin().get("/api/v1/leads").await.expect_problem(503, "unavailable");
    let form = format!("/webhooks/form/{id}");
    let inquiry = json!({ "email": "per@example.no", "message": "Hei" });
    Answer::of(source.request(Method::POST, &form).json(&inquiry)).await.expect_problem(503, "unavailable");
    assert!(
        a.does(&["export", &id, "--to", path, "--with-secrets"])
            .await
            .contains("It holds personal data and sealed secrets")
    );
    a.refuses(&["export", &id, "--to", path], "is there already").await;

    assert!(b.does(&["import", path, "--dry-run"]).await.contains("Nothing was written"));
    assert_eq!(contents(&target, oslo.id).await.rows(), 0, "a dry run leaves nothing");
    assert!(b.does(&["import", path]).await.contains("each the same as in the archive"));
    assert!(b.does(&["import", path]).await.contains("was imported from this archive before"));
    b.refuses(&["open", &id], "--code").await;
    b.refuses(&["open", &id, "--code", "0123456789ab"], "not the code of this archive").await;
    let kari = bergen.stranger(oslo.admin().user.as_str(), oslo.org.as_str());
    kari.get("/api/v1/leads").await.expect_problem(503, "unavailable");
    let code = a.code(&["release", &id]).await;
    assert_eq!(a.code(&["release", &id]).await, code, "it may be asked for again");
    a.refuses(&["open", &id], "was handed over to another server").await;
    b.does(&["open", &id, "--code", &code]).await;

    before.expect_same(&contents(&target, oslo.id).await);
    others.expect_same(&contents(&target, bergen.id).await);
    // Its people have access, customers are heard, and what waited is sent, once and from here.
    assert_eq!(kari.get(&format!("/api/v1/leads/{}", lead.id)).await.expect(200)["customer_name"], "Ola Nordmann");
    Answer::of(target.request(Method::POST, &form).json(&inquiry)).await.expect(200);
    let (old, new) = (mailbox(&source).await, mailbox(&target).await);
    let workers = [Worker::start(&source, &sending_through(&old)), Worker::start(&target, &sending_through(&new))];
    timeout(TIMEOUT, new.wait_for(|mail| mail.text.contains("Fra kø"))).await.expect("it is sent from here");
    let mut jobs = JobTable::at(&target.database_url).await;
    jobs.wait_until("SELECT count(*) = $1 FROM jobs WHERE kind = 'outbox.send_email' AND state <> 'done'", 0).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(old.messages().len(), 0, "nothing is sent from where it was");
    assert_eq!(new.messages().iter().filter(|mail| mail.text.contains("Fra kø")).count(), 1);

    // And back, with all that happened meanwhile.
    assert!(a.does(&["discard", &id]).await.contains("with --yes"));
    a.does(&["discard", &id, "--yes"]).await;
    assert!(a.does(&["discard", &id, "--yes"]).await.contains("nothing was done"));
    let back = archive();
    b.does(&["freeze", &id]).await;
    let before = contents(&target, oslo.id).await;
    b.does(&["export", &id, "--to", back.to_str(), "--with-secrets"]).await;
    a.does(&["import", back.to_str()]).await;
    before.expect_same(&contents(&source, oslo.id).await);
    let code = b.code(&["release", &id]).await;
    a.does(&["open", &id, "--code", &code]).await;
    assert_eq!(
        oslo.admin().get(&format!("/api/v1/leads/{}", lead.id)).await.expect(200)["customer_name"],
        "Ola Nordmann"
    );
}

#[tokio::test]
async fn what_is_under_way_ends_before_the_dealership_is_frozen() {
    let app = TestApp::start().await;
    let server = Server::of(&app);
    let oslo = app.dealership("Tesla Oslo").await;
    let mailbox = mailbox(&app).await;
    mailbox.set_fault(Fault::Slow.until_told_otherwise());
    let worker = Worker::start(&app, &sending_through(&mailbox));
    let lead = oslo.lead("Per").await.id;
    let message = json!({ "lead_id": lead, "message_content": "Hei", "channel": "email" });
    Answer::of(oslo.admin().request(Method::POST, "/api/v1/conversations").json(&message)).await.expect(201);
    let mut jobs = JobTable::at(&app.database_url).await;
    jobs.wait_until("SELECT count(*) = $1 FROM outbox WHERE status = 'sending'", 1).await;
    // Somebody has a transaction open, in which they were let in.
    let mut request = app.connect().await;
    request.execute("BEGIN").await.expect("it begins");
    let id = oslo.id.to_string();
    let frozen = tokio::spawn({
        let (server, id) = (server.clone(), id.clone());
        async move { server.does(&["freeze", &id]).await }
    });
    jobs.wait_until("SELECT count(*) = $1 FROM dealership_moves", 1).await;
    sleep(Duration::from_millis(500)).await;
    assert!(!frozen.is_finished(), "it waits for the transaction");
    request.execute("UPDATE leads SET customer_name = 'Late'; COMMIT").await.expect("it was let in");
    timeout(TIMEOUT, frozen).await.expect("it ends").expect("it does not panic");
    assert_eq!(
        app.count("SELECT count(*) FROM outbox WHERE status = 'sent'").await,
        1,
        "what was sent is written down"
    );
    assert_eq!(
        app.count(
            "SELECT count(*) FROM jobs WHERE state IN ('running', 'available') AND queue NOT LIKE 'held %'
             AND for_dealership <> '00000000-0000-0000-0000-000000000000'"
        )
        .await,
        0
    );
    server.does(&["open", &id]).await;
    oslo.admin().get("/api/v1/leads").await.expect(200);
    worker.stop().await;
}

#[tokio::test]
async fn what_may_have_been_sent_is_not_sent_by_the_other_server() {
    let app = TestApp::start().await;
    let server = Server::of(&app);
    let oslo = app.dealership("Tesla Oslo").await;
    let lead = oslo.lead("Per").await.id;
    let message = json!({ "lead_id": lead, "message_content": "Hei", "channel": "email" });
    Answer::of(oslo.admin().request(Method::POST, "/api/v1/conversations").json(&message)).await.expect(201);
    app.connect()
        .await
        .execute("UPDATE outbox SET status = 'sending', sending_at = now()")
        .await
        .expect("a worker died");
    let said = server.does(&["freeze", &oslo.id.to_string()]).await;
    assert!(said.contains("Of 1 messages nobody knows"), "{said}");
    assert_eq!(app.count("SELECT count(*) FROM outbox WHERE status = 'unknown' AND reason LIKE '%moved%'").await, 1);
}

#[tokio::test]
async fn an_import_that_is_killed_is_repeated() {
    let (source, target) = (TestApp::start().await, TestApp::start().await);
    let (a, b) = (Server::of(&source), Server::of(&target));
    let oslo = fill(&source, "Tesla Oslo").await;
    let id = oslo.id.to_string();
    let file = archive();
    a.does(&["freeze", &id]).await;
    // One that was killed before left something behind.
    std::fs::write(format!("{}.part", file.to_str()), "half").expect("it is ours");
    a.does(&["export", &id, "--to", file.to_str()]).await;
    let mut lock = target.connect().await;
    lock.execute("BEGIN; LOCK TABLE vehicles IN SHARE MODE").await.expect("it may");
    let mut import = b.start(&["import", file.to_str()]);
    let waits = "SELECT count(*) = $1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                 WHERE c.relname = 'vehicles' AND NOT l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    JobTable::at(&target.database_url).await.wait_until(waits, 1).await;
    import.kill().await.expect("it runs");
    lock.execute("COMMIT").await.expect("it is there");
    assert!(b.does(&["import", file.to_str()]).await.contains("each the same as in the archive"));
    let leads = contents(&source, oslo.id).await;
    assert_eq!(leads.of("leads"), contents(&target, oslo.id).await.of("leads"));
}

#[tokio::test]
async fn secrets_stay_unless_they_are_asked_for() {
    let (source, target) = (TestApp::start().await, TestApp::start().await);
    let (a, b) = (Server::of(&source), Server::of(&target));
    let oslo = fill(&source, "Tesla Oslo").await;
    let id = oslo.id.to_string();
    let file = archive();
    a.does(&["freeze", &id]).await;
    a.does(&["export", &id, "--to", file.to_str()]).await;
    let lines = file.lines();
    let sealed: Vec<String> = sqlx::query_scalar(
        "SELECT encode(page_token, 'hex') FROM lead_sources WHERE page_token IS NOT NULL
         UNION ALL SELECT encode(secret, 'hex') FROM sending_accounts",
    )
    .fetch_all(&mut source.connect().await)
    .await
    .expect("valid");
    assert_eq!(sealed.len(), 2);
    assert!(sealed.iter().all(|sealed| !lines.contains(sealed.as_str())), "no secret is in the archive");
    // This server has no keys, and needs none.
    let said = b.without_keys().does(&["import", file.to_str()]).await;
    assert!(said.contains("2 sources or accounts go without their secrets"), "{said}");
    b.does(&["open", &id, "--without-code"]).await;
    let told =
        "SELECT count(*) FROM notifications WHERE event IN ('source_broken', 'sending_broken') AND outbox_id IS NULL";
    assert!(target.count(told).await >= 2, "the admins are told");
    assert_eq!(
        target.count("SELECT count(*) FROM lead_sources WHERE broken_reason LIKE '%give it once more'").await,
        1
    );
}

#[tokio::test]
async fn what_clerk_says_meanwhile_counts() {
    let (source, target) = (TestApp::start().await, TestApp::start().await);
    let (a, b) = (Server::of(&source), Server::of(&target));
    let oslo = source.dealership("Tesla Oslo").await;
    let jonas = oslo.member("jonas", "org:member").await;
    let lead = oslo.lead_with(tests::app::NewLead { assigned_to: Some(jonas.id), ..tests::app::new_lead() }).await;
    // Clerk tells both servers of every organization: it is there, and nobody has used it.
    let blank = target.dealership("Tesla Oslo").await;
    blank.join(&jonas_on(&blank, &jonas), "org:member").await;
    let id = oslo.id.to_string();
    let file = archive();
    a.does(&["freeze", &id]).await;
    a.does(&["export", &id, "--to", file.to_str()]).await;
    let membership = format!("orgmem_{}_{}", oslo.org, jonas.user).parse().expect("printable");
    target.change(common::clerk::Change::MembershipDeleted { id: membership, user: Some(jonas.user.clone()) }).await;
    assert!(b.does(&["import", file.to_str()]).await.contains("that was replaced"));
    let code = a.code(&["release", &id]).await;
    b.does(&["open", &id, "--code", &code]).await;
    jonas_on(&blank, &jonas).get("/api/v1/leads").await.expect_problem(403, "not-provisioned");
    let found = blank.admin().get(&format!("/api/v1/leads/{}", lead.id)).await.expect(200);
    assert!(found["assigned_to"].is_null(), "{found:#}");

    // An event that comes late to where it was does not make it anew; when it comes back, that is known.
    a.does(&["discard", &id, "--yes"]).await;
    let renamed = clerk_events::organization("organization.updated", oslo.org.as_str(), "Tesla Oslo Nord", 9_000);
    source.deliver("msg_late", &renamed).await.expect(202);
    let worker = Worker::start(&source, &[]);
    let late = "SELECT count(*) = $1 FROM deliveries WHERE external_id = 'msg_late' AND status = 'processed'";
    JobTable::at(&source.database_url).await.wait_until(late, 1).await;
    worker.stop().await;
    assert_eq!(
        source.count("SELECT count(*) FROM dealerships").await + source.count("SELECT count(*) FROM users").await,
        0
    );
    let back = archive();
    b.does(&["freeze", &id]).await;
    b.does(&["export", &id, "--to", back.to_str()]).await;
    a.does(&["import", back.to_str()]).await;
    let code = b.code(&["release", &id]).await;
    a.does(&["open", &id, "--code", &code]).await;
    assert_eq!(oslo.admin().get("/api/v1/dealership").await.expect(200)["name"], "Tesla Oslo Nord");
    jonas.get("/api/v1/leads").await.expect_problem(403, "not-provisioned");
}

fn jonas_on<'a>(there: &tests::app::Dealership<'a>, jonas: &tests::app::Person<'_>) -> tests::app::Person<'a> {
    there.stranger(jonas.user.as_str(), there.org.as_str())
}

#[tokio::test]
async fn every_table_moves_or_has_a_reason_to_stay() {
    let app = TestApp::start().await;
    let moved = tables(&mut app.db.system().await.expect("the database is there")).await.expect("a valid statement");
    let moved: Vec<&str> = moved.iter().map(|table| table.name.as_str()).collect();
    let mut conn = app.connect().await;
    let all: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition",
    )
    .fetch_all(&mut conn)
    .await
    .expect("valid");
    let forgotten: Vec<_> = all
        .iter()
        .filter(|name| !moved.contains(&name.as_str()) && !STAYS.iter().any(|(stays, _)| stays == name))
        .collect();
    assert!(forgotten.is_empty(), "norvalt dealership export leaves {forgotten:?}: common/src/moving/tables.rs");
    // Numbers that each server gives anew; what is sealed; and names of deliveries.
    let odd: Vec<String> = sqlx::query_scalar(
        "SELECT format('%s.%s', c.relname, a.attname) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE c.relname = ANY ($1) AND (a.attidentity <> '' OR a.atttypid = 'bytea'::regtype OR a.attname ~ '(secret|token|password)$')
           AND a.attname !~ '(_hash|fingerprint)$' ORDER BY 1",
    )
    .bind(&moved)
    .fetch_all(&mut conn)
    .await
    .expect("valid");
    let known = [
        "deliveries.body",
        "deliveries.id",
        "jobs.id",
        "jobs.lease_token",
        "lead_sources.page_token",
        "lead_sources.turnstile_secret",
        "sending_accounts.secret",
    ];
    assert_eq!(
        odd, known,
        "say in common/src/moving/tables.rs whether this is a secret, or a number that is given anew"
    );
}

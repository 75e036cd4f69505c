//! Transactions that wait for each other.

use std::time::Duration;

use common::{
    clerk::{self, Change},
    db,
    leads::{self, WriteError},
};
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tests::app::{Dealership, TestApp};
use tokio::{join, time::sleep};

use super::{create_lead, send};

/// Waits until somebody waits for a lock.
async fn until_blocked(app: &TestApp) {
    while app.count("SELECT count(*) FROM pg_locks WHERE NOT granted").await == 0 {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_write_that_loses_a_deadlock_is_done_again() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, jonas) = (oslo.admin(), oslo.member("jonas", "org:member").await);
    let url = create_lead(&kari).await;
    let mut other = app.connect().await;
    // So that it is the API whose transaction is given up.
    other.execute("SET deadlock_timeout = '1min'").await.expect("the superuser may");
    let mut other = other.begin().await.expect("the database is there");
    let lock = format!("SELECT FROM users WHERE id = '{}' FOR UPDATE", jonas.id);
    other.execute(AssertSqlSafe(lock)).await.expect("a valid statement");
    let patch = json!({ "assigned_to": jonas.id, "status": "contacted" });
    let (answer, ()) = join!(send(&kari, Method::PATCH, &url, &patch), async {
        until_blocked(&app).await;
        other.execute("UPDATE leads SET lead_score = 77").await.expect("the other one is given up");
        other.commit().await.expect("the database is there");
    });
    let lead = answer.expect(200);
    assert_eq!((&lead["assigned_to"], &lead["lead_score"]), (&json!(jonas.id), &json!(77)));
    assert_eq!(app.count("SELECT count(*) FROM lead_status_changes").await, 1);
}

async fn delete(app: &TestApp, dealership: &Dealership<'_>, lead: &leads::Lead) -> db::Result<bool> {
    let mut tx = app.db.tenant(dealership.id).await?;
    let deleted = leads::delete(&mut tx, lead.id).await?;
    tx.commit().await?;
    Ok(deleted)
}

async fn purge(app: &TestApp, dealership: &Dealership<'_>) -> db::Result<bool> {
    let mut tx = app.db.system().await?;
    let purged = clerk::purge(&mut tx, &dealership.org).await?;
    tx.commit().await?;
    Ok(purged)
}

#[tokio::test]
async fn a_dealership_is_destroyed_while_its_leads_are_removed() {
    let app = TestApp::start().await;
    for n in 0..100 {
        let doomed = app.dealership(&format!("Konkurs {n}")).await;
        let (first, second) = (doomed.lead("Ola").await, doomed.lead("Kari").await);
        app.change(Change::OrganizationDeleted { id: doomed.org.clone() }).await;
        let (purged, first, second) =
            join!(purge(&app, &doomed), delete(&app, &doomed, &first), delete(&app, &doomed, &second));
        assert!(purged.expect("nobody stands in its way"));
        first.expect("removed by one of them");
        second.expect("removed by one of them");
    }
}

#[tokio::test]
async fn whoever_writes_to_a_dealership_that_is_being_destroyed_has_no_access_to_it() {
    let app = TestApp::start().await;
    let doomed = app.dealership("Konkurs").await;
    app.change(Change::OrganizationDeleted { id: doomed.org.clone() }).await;
    let mut late = app.db.tenant(doomed.id).await.expect("the database is there");
    purge(&app, &doomed).await.expect("nobody stands in its way");
    let refused = leads::create(&mut late, &tests::app::new_lead()).await;
    assert!(matches!(refused, Err(WriteError::DealershipGone)), "{refused:?}");
}

#[tokio::test]
async fn somebody_leaves_while_they_answer_their_leads() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    for n in 0..100 {
        let jonas = oslo.member(&format!("jonas{n}"), "org:member").await;
        let url = create_lead(&kari).await;
        let given = send(&kari, Method::PATCH, &url, &json!({ "assigned_to": jonas.id })).await.expect(200);
        let reply = json!({ "lead_id": given["id"], "message_content": "Hei", "channel": "sms" });
        let membership = format!("orgmem_{}_{}", oslo.org, jonas.user).parse().expect("printable");
        let left = Change::MembershipDeleted { id: membership, user: Some(jonas.user.clone()) };
        let (answer, ()) = join!(send(&jonas, Method::POST, "/api/v1/conversations", &reply), leave(&app, left));
        let status = answer.status.as_u16();
        assert!([201, 403].contains(&status), "{status}");
        let lead = kari.get(&url).await.expect(200);
        assert!(lead["assigned_to"].is_null());
        assert_eq!(lead["conversation_count"], u8::from(status == 201));
    }
}

/// As a worker does, for which the job is done again.
async fn leave(app: &TestApp, change: Change) {
    loop {
        let mut tx = app.db.system().await.expect("the database is there");
        match clerk::apply(&mut tx, change.clone()).await {
            Ok(_) => break tx.commit().await.expect("the database is there"),
            Err(error) => assert!(error.is_conflict(), "{error:?}"),
        }
    }
}

//! The exact total of the inbox, of which most was counted before: it is what counting everything would give, whoever
//! writes meanwhile.

use std::{pin::pin, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use common::{
    clock::Clock,
    db::Db,
    ids::LeadId,
    leads::{self, LeadFilter},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use sqlx::{AssertSqlSafe, Executor};
use tests::app::{Dealership, NewLead, TestApp, new_lead};
use tokio::time::timeout;

/// More than are left for the page to count.
const MANY: i64 = 1_100;

/// Leads of some years ago, a second apart.
async fn history(app: &TestApp, dealership: &Dealership<'_>) {
    let insert = format!(
        "INSERT INTO leads (dealership_id, source, created_at)
         SELECT '{}', 'email', timestamptz '2020-01-01' + n * interval '1 s' FROM generate_series(1, {MANY}) n",
        dealership.id
    );
    app.connect().await.execute(AssertSqlSafe(insert)).await.expect("valid leads");
}

/// In the middle of the history, and not at one of its leads.
fn long_ago(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_577_836_800 + second, 500).expect("a time")
}

async fn total(db: &Db, dealership: &Dealership<'_>) -> i64 {
    let mut tx = db.tenant(dealership.id).await.expect("the database is there");
    leads::page(&mut tx, &LeadFilter::newest(1)).await.expect("the database is there").total
}

/// What was counted before, so that a test knows it is not all counted anew.
async fn counted(app: &TestApp) -> i64 {
    app.count("SELECT sum(leads_counted)::bigint FROM dealerships").await
}

async fn delete(db: &Db, dealership: &Dealership<'_>, id: LeadId) {
    let mut tx = db.tenant(dealership.id).await.expect("the database is there");
    leads::delete(&mut tx, id).await.expect("the database is there");
    tx.commit().await.expect("the database is there");
}

#[tokio::test]
async fn counting_ahead_changes_no_total() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("Volvo Bergen").await);
    history(&app, &oslo).await;
    let today = oslo.lead("Kom nettopp").await;
    let backdated = bergen.lead_with(NewLead { created_at: Some(long_ago(7)), ..new_lead() }).await;
    assert_eq!((total(&app.db, &oslo).await, total(&app.db, &bergen).await), (MANY + 1, 1));

    leads::count(&app.db).await.expect("the database is there");
    assert_eq!(counted(&app).await, MANY, "what came in today is left, and who has little");
    assert_eq!((total(&app.db, &oslo).await, total(&app.db, &bergen).await), (MANY + 1, 1));
    assert_eq!(leads::count(&app.db).await.expect("the database is there"), 0, "there is nothing more to count");

    let found = oslo.lead_with(NewLead { created_at: Some(long_ago(7)), ..new_lead() }).await;
    assert_eq!((counted(&app).await, total(&app.db, &oslo).await), (MANY + 1, MANY + 2));
    delete(&app.db, &oslo, found.id).await;
    delete(&app.db, &oslo, today.id).await;
    delete(&app.db, &bergen, backdated.id).await;
    delete(&app.db, &oslo, backdated.id).await;
    assert_eq!((total(&app.db, &oslo).await, total(&app.db, &bergen).await), (MANY, 0));
    let newest = oslo.admin().get("/api/v1/leads?limit=100&offset=1200").await.expect(200);
    assert_eq!((&newest["total"], newest["items"].as_array().map(Vec::len)), (&MANY.into(), Some(0)));
}

#[tokio::test]
async fn whoever_writes_while_leads_are_counted_is_waited_for() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    history(&app, &oslo).await;
    let doomed = oslo.lead_with(NewLead { created_at: Some(long_ago(9)), ..new_lead() }).await;

    // Both were there before the count, and are not to be seen before it.
    let mut adding = app.db.tenant(oslo.id).await.expect("the database is there");
    let late = NewLead { created_at: Some(long_ago(8)), ..new_lead() };
    leads::create(&mut adding, &late).await.expect("a valid lead");
    let mut deleting = app.db.tenant(oslo.id).await.expect("the database is there");
    leads::delete(&mut deleting, doomed.id).await.expect("it is there");
    let mut counting = pin!(leads::count(&app.db));
    timeout(Duration::from_millis(300), &mut counting).await.expect_err("it waits");
    deleting.commit().await.expect("the database is there");
    timeout(Duration::from_millis(300), &mut counting).await.expect_err("it waits");
    adding.commit().await.expect("the database is there");
    counting.await.expect("the database is there");
    assert_eq!((counted(&app).await, total(&app.db, &oslo).await), (MANY + 1, MANY + 1));
}

#[tokio::test]
async fn more_leads_of_one_instant_than_are_counted_at_once_are_no_obstacle() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let import = format!(
        "INSERT INTO leads (dealership_id, source, created_at)
         SELECT '{}', 'email', '2021-01-01' FROM generate_series(1, 50002)",
        oslo.id
    );
    app.connect().await.execute(AssertSqlSafe(import)).await.expect("valid leads");
    history(&app, &oslo).await;
    leads::count(&app.db).await.expect("the database is there");
    assert_eq!((counted(&app).await, total(&app.db, &oslo).await), (50_002 + MANY, 50_002 + MANY));
}

#[tokio::test]
async fn whoever_is_at_a_dealership_for_long_does_not_keep_others_from_being_counted() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("Volvo Bergen").await);
    history(&app, &oslo).await;
    history(&app, &bergen).await;
    let first = if oslo.id < bergen.id { &oslo } else { &bergen };
    let mut importing = app.db.tenant(first.id).await.expect("the database is there");
    leads::create(&mut importing, &new_lead()).await.expect("a valid lead");
    leads::count(&app.db).await.expect("the other one can be counted");
    assert_eq!(counted(&app).await, MANY);
    importing.commit().await.expect("the database is there");
    leads::count(&app.db).await.expect("the database is there");
    assert_eq!((counted(&app).await, total(&app.db, first).await), (2 * MANY, MANY + 1));
}

#[tokio::test]
async fn a_lead_cannot_leave_the_time_or_the_dealership_under_which_it_was_counted() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("Volvo Bergen").await);
    oslo.lead("Blir").await;
    for change in ["created_at = created_at - interval '1 d'".to_owned(), format!("dealership_id = '{}'", bergen.id)] {
        let update = format!("UPDATE leads SET customer_id = NULL, {change}");
        let refused = app.connect().await.execute(AssertSqlSafe(update)).await.expect_err("it is refused");
        assert!(refused.to_string().contains("a lead stays"), "{refused}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Create { days_ago: i64 },
    Delete { which: usize },
    Count,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_i64).prop_map(|days_ago| Step::Create { days_ago: days_ago * 800 }),
        3 => any::<usize>().prop_map(|which| Step::Delete { which }),
        1 => Just(Step::Count),
    ]
}

async fn take(app: &TestApp, dealership: &Dealership<'_>, step: Step) {
    match step {
        Step::Create { days_ago } => {
            let created_at = (days_ago > 0).then(|| Clock::system().now() - TimeDelta::days(days_ago));
            dealership.lead_with(NewLead { created_at, ..new_lead() }).await;
        }
        Step::Delete { which } => {
            let mut tx = app.db.tenant(dealership.id).await.expect("the database is there");
            let page = leads::page(&mut tx, &LeadFilter::newest(100)).await.expect("the database is there");
            drop(tx);
            if !page.items.is_empty() {
                delete(&app.db, dealership, page.items[which % page.items.len()].id).await;
            }
        }
        Step::Count => _ = leads::count(&app.db).await.expect("the database is there"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_total_is_exact_after_any_history() {
    let app = TestApp::start().await;
    let mut runner = TestRunner::default();
    for n in 0..12 {
        let oslo = app.dealership(&format!("Tesla Oslo {n}")).await;
        history(&app, &oslo).await;
        let histories = prop::collection::vec(prop::collection::vec(step(), 12), 3);
        let histories = histories.new_tree(&mut runner).expect("nothing is filtered").current();
        // Three at a time, each with its own steps.
        let all = histories.clone().into_iter().map(async |steps| {
            for step in steps {
                take(&app, &oslo, step).await;
            }
        });
        futures::future::join_all(all).await;
        let exact = format!("SELECT count(*) FROM leads WHERE dealership_id = '{}'", oslo.id);
        let exact: i64 =
            sqlx::query_scalar(AssertSqlSafe(exact)).fetch_one(&mut app.connect().await).await.expect("valid");
        assert_eq!(total(&app.db, &oslo).await, exact, "{histories:?}");
    }
}

#[tokio::test]
async fn whoever_restores_a_backup_counts_as_well() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    history(&app, &oslo).await;
    leads::count(&app.db).await.expect("the database is there");
    let mut conn = app.connect().await;
    // As pg_restore has it, and with a table in the place of the real one for good measure.
    let restore = format!(
        "SET search_path = ''; CREATE TEMPORARY TABLE dealerships (id uuid);
         INSERT INTO public.leads (dealership_id, source, created_at) VALUES ('{}', 'email', '2020-01-01');
         DELETE FROM public.leads WHERE created_at > '2020-01-01 00:10:00'",
        oslo.id
    );
    conn.execute(AssertSqlSafe(restore)).await.expect("triggers find their tables");
    assert_eq!(total(&app.db, &oslo).await, 601);
}

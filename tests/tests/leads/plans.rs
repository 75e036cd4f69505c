//! What a page of the inbox reads, whatever is asked for: of the table only the leads that it shows, of an index at most the
//! dealership's part, and where something is rare among many, only that.

use chrono::{DateTime, Utc};
use common::{
    clock::Clock,
    db::Db,
    leads::{self, AssignedTo, LeadFilter, LeadSource, LeadStatus, Paging},
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tests::{
    app::TestApp,
    reads::{Reads, until_recorded},
};

const LEADS: i64 = 20_000;
/// Blocks of the table and of its indexes that a page of 25 leads touches, if it finds them directly.
const DIRECT: i64 = 250;

/// Many leads of one dealership, of which few are new, few are somebody's, few came by hand, and few like vans.
async fn fill(app: &TestApp, dealership: impl std::fmt::Display, owner: impl std::fmt::Display) -> PgConnection {
    let mut connection = app.connect().await;
    let insert = format!(
        "INSERT INTO leads (dealership_id, source, status, assigned_to, customer_name, customer_email, customer_phone_e164,
                            vehicle_interest, initial_message, created_at)
         SELECT '{dealership}', CASE WHEN n % 2000 = 1 THEN 'manual' ELSE 'website' END,
                CASE WHEN n % 2000 = 2 THEN 'new' ELSE 'lost' END, CASE WHEN n % 2000 = 3 THEN '{owner}'::uuid END,
                'Kunde Nummer ' || n, 'kunde' || n || '@example.no', '+479' || lpad(n::text, 7, '0'),
                CASE WHEN n % 2000 = 4 THEN 'Varebil' ELSE 'Personbil' END, repeat('Hei! ', 100),
                now() - n * interval '1 minute'
         FROM generate_series(1, {LEADS}) n"
    );
    // Until a commit is on the disk, VACUUM does not take what it wrote for visible to all.
    connection.execute("SET synchronous_commit = on; SET application_name = 'plans'").await.expect("settings");
    connection.execute(AssertSqlSafe(insert)).await.expect("valid leads");
    connection.execute("VACUUM (ANALYZE) leads").await.expect("nothing stands in the way");
    connection.close().await.expect("the database is there");
    let db = Db::new(&app.database_url.parse().expect("a URL"), 1, "plans");
    leads::count(&db).await.expect("the database is there");
    db.close().await;
    let mut connection = app.connect().await;
    until_recorded(&mut connection, "plans").await;
    connection
}

/// Asks for a page, and says what that read.
async fn cost(
    app: &TestApp,
    connection: &mut PgConnection,
    filter: &LeadFilter,
    dealership: common::ids::DealershipId,
) -> Reads {
    let before = Reads::of(connection, "leads").await;
    let db = Db::new(&app.database_url.parse().expect("a URL"), 1, "plans");
    let mut tx = db.tenant(dealership).await.expect("the database is there");
    leads::page(&mut tx, filter).await.expect("a valid filter");
    drop(tx);
    db.close().await;
    until_recorded(connection, "plans").await;
    Reads::of(connection, "leads").await.since(before)
}

#[tokio::test]
async fn no_filter_reads_the_table() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let seller = oslo.member("jonas", "org:member").await;
    let mut connection = fill(&app, oslo.id, seller.id).await;
    let day: DateTime<Utc> = Clock::system().now() - chrono::TimeDelta::hours(30);
    let all = || LeadFilter::newest(25);
    let (new, lost) = (Some(LeadStatus::New), Some(LeadStatus::Lost));
    let (by_hand, by_web) = (Some(LeadSource::Manual), Some(LeadSource::Website));
    let (somebody, nobody) = (Some(AssignedTo::Member(seller.id)), Some(AssignedTo::Nobody));
    let searching = |search: &str| Some(search.to_owned());

    let direct = [
        all(),
        LeadFilter { status: new, ..all() },
        LeadFilter { source: by_hand, ..all() },
        LeadFilter { assigned_to: somebody, ..all() },
        LeadFilter { created_from: Some(day), ..all() },
        LeadFilter { status: new, source: by_web, assigned_to: nobody, created_to: Some(day), ..all() },
        LeadFilter { status: lost, source: by_hand, ..all() },
        LeadFilter { status: lost, assigned_to: somebody, created_to: Some(day), ..all() },
    ];
    // Their totals are counted, and what is searched for is looked for, in an index.
    let bounded = [
        LeadFilter { status: lost, ..all() },
        LeadFilter { source: by_web, ..all() },
        LeadFilter { assigned_to: nobody, ..all() },
        LeadFilter { created_to: Some(day), ..all() },
        LeadFilter { status: lost, source: by_web, ..all() },
        LeadFilter { status: lost, source: by_web, assigned_to: nobody, created_to: Some(day), ..all() },
        LeadFilter { status: lost, paging: Paging::Offset(5_000), ..all() },
        LeadFilter { search: searching("kunde"), ..all() },
        LeadFilter { search: searching("varebil"), ..all() },
        LeadFilter { search: searching("finnes ikke"), ..all() },
        LeadFilter { search: searching("900 19 999"), ..all() },
        LeadFilter { search: searching("varebil kunde"), status: lost, ..all() },
        LeadFilter { search: searching("finnes ikke"), source: by_web, assigned_to: nobody, ..all() },
        LeadFilter { search: searching("kunde"), created_to: Some(day), ..all() },
    ];
    let index: i64 = sqlx::query_scalar("SELECT pg_relation_size('leads_by_arrival') / 8192")
        .fetch_one(&mut connection)
        .await
        .expect("it is there");
    let mut wrong = Vec::new();
    for (filter, limit) in direct.iter().map(|f| (f, DIRECT)).chain(bounded.iter().map(|f| (f, DIRECT + 2 * index))) {
        let Reads { scans, table, indexes } = cost(&app, &mut connection, filter, oslo.id).await;
        if scans > 0 || table > 60 || table + indexes > limit {
            wrong.push(format!("{scans} scans, {table} blocks and {indexes} of indexes, of {limit}: {filter:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    connection.close().await.expect("the database is there");
}

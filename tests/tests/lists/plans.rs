//! What pages of what came in, and of customers, read, whatever is asked for.

use std::cmp::Reverse;

use common::{
    customers::{self, CustomerFilter},
    db::{Db, TenantTx},
    deliveries::{self, InboundFilter, Source, Status},
    ids::DealershipId,
    page::PageRequest,
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tests::{
    app::{TestApp, email, phone},
    reads::{Reads, until_recorded},
};

/// Rows of each of two dealerships.
const ROWS: i64 = 20_000;

async fn fill(app: &TestApp, inserts: &[String], tables: &str) -> PgConnection {
    let mut connection = app.connect().await;
    // Until a commit is on the disk, VACUUM does not take what it wrote for visible to all.
    connection.execute("SET synchronous_commit = on; SET application_name = 'plans'").await.expect("settings");
    for insert in inserts {
        connection.execute(AssertSqlSafe(insert.clone())).await.expect("valid rows");
    }
    connection.execute(AssertSqlSafe(format!("VACUUM (ANALYZE) {tables}"))).await.expect("nothing stands in the way");
    connection.close().await.expect("the database is there");
    let mut connection = app.connect().await;
    until_recorded(&mut connection, "plans").await;
    connection
}

/// What a page reads of a table, and the page.
async fn cost<T>(
    app: &TestApp,
    connection: &mut PgConnection,
    (table, dealership): (&str, DealershipId),
    page: impl AsyncFnOnce(&mut TenantTx) -> T,
) -> (Reads, T) {
    let before = Reads::of(connection, table).await;
    let db = Db::new(&app.database_url.parse().expect("a URL"), 1, "plans");
    let mut tx = db.tenant(dealership).await.expect("the database is there");
    let page = page(&mut tx).await;
    drop(tx);
    db.close().await;
    until_recorded(connection, "plans").await;
    (Reads::of(connection, table).await.since(before), page)
}

/// Mails are parked and forms are processed, but for a few of each; what Clerk says came last.
fn deliveries_of(dealership: DealershipId) -> String {
    format!(
        "INSERT INTO deliveries (source, external_id, event_type, dealership_id, body, status, outcome)
         SELECT CASE WHEN n > {ROWS} THEN 'clerk' WHEN n % 2000 = 1 THEN 'adf' WHEN n % 2 = 0 THEN 'form' ELSE 'email' END,
                '{dealership} ' || n, 'inquiry', '{dealership}', convert_to(repeat('Hei! ', 200), 'UTF8'), s.status,
                CASE s.status WHEN 'pending' THEN NULL ELSE 'it came to something' END
         FROM generate_series(1, {ROWS} + 2000) n CROSS JOIN LATERAL (
           SELECT CASE WHEN n % 2000 = 2 THEN 'pending' WHEN n % 2000 = 3 THEN 'dead' WHEN n % 2 = 0 THEN 'processed'
                       ELSE 'parked' END AS status) s"
    )
}

/// How many of them this shows in all.
async fn matching(connection: &mut PgConnection, dealership: DealershipId, filter: &InboundFilter) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM deliveries WHERE dealership_id = $1 AND source <> 'clerk' AND ($2::text IS NULL OR status = $2)
           AND ($3::text IS NULL OR source = $3) AND ($4::bigint IS NULL OR id < $4)",
    )
    .bind(dealership)
    .bind(filter.status)
    .bind(filter.source)
    .bind(filter.before)
    .fetch_one(connection)
    .await
    .expect("a valid statement")
}

#[tokio::test]
async fn a_page_of_what_came_in_reads_a_page() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let mut connection = fill(&app, &[deliveries_of(oslo.id), deliveries_of(bergen.id)], "deliveries").await;
    // It is asked what the pages must hold, which does not count.
    let mut asking = app.connect().await;
    let some = |status, source| InboundFilter { status, source, before: None };
    let mut filters = vec![some(None, None), InboundFilter { before: Some(10_000), ..some(None, None) }];
    filters.extend(Source::ALL.map(|source| some(None, Some(source))));
    for status in Status::ALL {
        filters.push(some(Some(status), None));
        filters.extend(Source::ALL.map(|source| some(Some(status), Some(source))));
    }
    let mut pages = Vec::new();
    for filter in &filters {
        let list = async |tx: &mut TenantTx| deliveries::list_own(tx, filter).await.expect("a valid filter");
        pages.push(cost(&app, &mut connection, ("deliveries", oslo.id), list).await);
    }
    let mut wrong = Vec::new();
    for (filter, (Reads { scans, table, indexes }, (items, more))) in filters.iter().zip(pages) {
        let fits = items.iter().all(|item| {
            item.source != Source::Clerk
                && filter.status.is_none_or(|status| status == item.status)
                && filter.source.is_none_or(|source| source == item.source)
                && filter.before.is_none_or(|before| item.id < before)
        });
        let expected = matching(&mut asking, oslo.id, filter).await;
        let length = i64::try_from(items.len()).expect("few");
        assert!(fits && (length, more) == (expected.min(100), expected > 100), "{length} of {expected}: {filter:?}");
        assert!(items.is_sorted_by_key(|item| Reverse(item.id)), "newest first");
        if scans > 0 || table > 150 || indexes > 550 {
            wrong.push(format!("{scans} scans, {table} blocks and {indexes} of indexes: {filter:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// People with an address and a number each, of whom one in a thousand is the first.
fn customers_of(dealership: DealershipId) -> [String; 3] {
    let id = |n: &str| format!("md5('{dealership} ' || {n})::uuid");
    [
        format!(
            "INSERT INTO customers (id, dealership_id, name, created_at)
             SELECT {}, '{dealership}', repeat('Kunde ', 50), now() - n * interval '1 minute' FROM generate_series(1, {ROWS}) n",
            id("n")
        ),
        format!(
            "INSERT INTO customer_identities (dealership_id, kind, value, customer_id)
             SELECT '{dealership}', k.kind, k.value, {} FROM generate_series(1, {ROWS}) n CROSS JOIN LATERAL (
               VALUES ('email', 'kunde' || n || '@example.no'), ('phone', '+479' || lpad(n::text, 7, '0'))) k (kind, value)",
            id("n")
        ),
        format!(
            "UPDATE customers SET merged_into = {}, merged_at = now()
             WHERE id IN (SELECT {} FROM generate_series(5, {ROWS}, 1000) n)",
            id("1"),
            id("n")
        ),
    ]
}

#[tokio::test]
async fn a_page_of_customers_reads_a_page_and_counts_in_an_index() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let inserts: Vec<_> = customers_of(oslo.id).into_iter().chain(customers_of(bergen.id)).collect();
    let mut connection = fill(&app, &inserts, "customers, customer_identities").await;
    let index: i64 = sqlx::query_scalar("SELECT pg_relation_size('customers_shown') / 8192")
        .fetch_one(&mut connection)
        .await
        .expect("it is there");
    let all = |offset| CustomerFilter { email: None, phone: None, page: PageRequest { limit: 25, offset } };
    let address = || Some(email("kunde77@example.no"));
    let shown = ROWS - ROWS / 1000;
    let mut wrong = Vec::new();
    for (filter, total, limit) in [
        (all(25), shown, 400 + index),
        (all(10_000), shown, 400 + 2 * index),
        (CustomerFilter { email: address(), ..all(0) }, 1, 100),
        (CustomerFilter { phone: Some(phone("900 00 077")), ..all(0) }, 1, 100),
        (CustomerFilter { email: address(), phone: Some(phone("900 00 077")), ..all(0) }, 1, 100),
        (CustomerFilter { phone: Some(phone("900 99 999")), ..all(0) }, 0, 100),
    ] {
        let list = async |tx: &mut TenantTx| customers::list(tx, &filter).await.expect("a valid filter");
        let (Reads { scans, table, indexes }, page) = cost(&app, &mut connection, ("customers", oslo.id), list).await;
        assert_eq!((page.total, page.items.len()), (total, usize::try_from(total.min(25)).expect("few")), "{filter:?}");
        if scans > 0 || table > 100 || indexes > limit {
            wrong.push(format!("{scans} scans, {table} blocks and {indexes} of indexes, of {limit}: {filter:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! Filters and searches in the inbox of a large dealership, and of one that means harm.

use sqlx::Executor;

use super::growth::Asker;
use crate::{
    Outcome,
    context::Bench,
    loading::{self, Size},
    postgres::Database,
    report::{Row, Target},
};

/// Of what is asked for, and how that is written in a URL.
type Queries = [(&'static str, &'static str)];

/// One after the other: 15 leads, none, and so many that counting them is what takes the time.
const FILTERS: &Queries = &[
    ("status=new", "status=new"),
    ("status=new&source=email", "status=new&source=email"),
    ("status=lost", "status=lost"),
    ("source=facebook", "source=facebook"),
    ("assigned_to=none", "assigned_to=none"),
    ("assigned_to=me", "assigned_to=me"),
    ("created_to=2025-06-01", "created_to=2025-06-01"),
    ("status=won&source=manual&assigned_to=none", "status=won&source=manual&assigned_to=none"),
    ("created_from=2000-01-01", "created_from=2000-01-01"),
];

/// Many, some, one and none; a number in several spellings; words in any order; letters without their marks.
const SEARCHES: &Queries = &[
    ("hansen", "hansen"),
    ("håkonsen", "h%C3%A5konsen"),
    ("hakonsen bjørn", "hakonsen%20bj%C3%B8rn"),
    ("tesla hansen", "tesla%20hansen"),
    ("kunde123456@", "kunde123456@"),
    ("901 23 456", "901%2023%20456"),
    ("+4790123456", "%2B4790123456"),
    ("finnes-ikke", "finnes-ikke"),
];

const FEW_ARE_NEW: &str = "
    SET session_replication_role = replica;
    UPDATE leads SET status = 'contacted' WHERE dealership_id = (SELECT id FROM dealerships WHERE clerk_org_id = 'org_large_1') AND status = 'new';
    UPDATE leads SET status = 'new' WHERE id IN (
      SELECT id FROM leads WHERE dealership_id = (SELECT id FROM dealerships WHERE clerk_org_id = 'org_large_1') ORDER BY created_at LIMIT 15);
    RESET session_replication_role";
const HOSTILE_LEADS: i64 = 50_000;
const HOSTILE: &str = "
    SET session_replication_role = replica;
    UPDATE leads SET customer_name = repeat('x', 200), vehicle_interest = repeat('xy', 250)
    WHERE dealership_id = (SELECT id FROM dealerships WHERE clerk_org_id = 'org_hostile_1');
    RESET session_replication_role";

/// Asks as somebody of the large dealership, then as somebody of the hostile one.
pub(super) async fn measure(
    bench: &mut Bench,
    database: &Database,
    large: &mut Asker,
    hostile: &mut Asker,
) -> Outcome<()> {
    // Before FEW_ARE_NEW changes a fifth of all leads at once, which leaves the pages of the index half empty.
    slowest(bench, "search in a large dealership", large, SEARCHES, "search=", 200.0).await?;
    let mut connection = database.connect().await?;
    connection.execute(FEW_ARE_NEW).await?;
    let size = Size { dealerships: 1, leads: HOSTILE_LEADS, conversations: 0, users: 5 };
    loading::load(database, "hostile", size).await?;
    connection.execute(HOSTILE).await?;
    connection.execute("VACUUM (ANALYZE) leads").await?;

    let first = large.median("limit=25").await?;
    let rare = large.median("limit=25&status=new").await?;
    let note = format!(
        "p50 {rare:.2} ms for 15 leads of a status among {}, {first:.2} ms for the first page",
        bench.options.growth_leads
    );
    bench.report.add(Row::measured(
        "page of a rare status, against the first page",
        rare / first,
        " ×",
        Target::AtMost(2.0),
        note,
    ));
    slowest(bench, "filters in a large dealership", large, FILTERS, "", 200.0).await?;

    let long = format!("{}b", "x".repeat(199));
    let many = ["xz", "xyxyz", "yxyz", "xxz", "yxz", "xyz", "yz", "xyxz"].join("%20");
    let mut millis = Vec::new();
    for search in [long, format!("x%20y%20xy%20yx%20{many}")] {
        millis.push(hostile.median(&format!("limit=25&search={search}")).await?);
    }
    let note = format!(
        "p50 among {HOSTILE_LEADS} leads called xxx…: {:.0} ms for 199 times x and b, {:.0} ms for words that nearly match",
        millis[0], millis[1]
    );
    let worst = millis.into_iter().fold(0.0, f64::max);
    bench.report.add(Row::measured("search made to be slow", worst, " ms", Target::AtMost(500.0), note));
    Ok(())
}

async fn slowest(
    bench: &mut Bench,
    name: &str,
    asker: &mut Asker,
    queries: &Queries,
    prefix: &str,
    target: f64,
) -> Outcome<()> {
    let mut took = Vec::new();
    for (shown, query) in queries {
        took.push((*shown, asker.median(&format!("limit=25&{prefix}{query}")).await?));
    }
    let slowest = took.iter().map(|(_, millis)| *millis).fold(0.0, f64::max);
    let note: Vec<String> = took.iter().map(|(shown, millis)| format!("“{shown}” {millis:.1} ms")).collect();
    let note = format!("p50, exact total included: {}", note.join(", "));
    bench.report.add(Row::measured(name, slowest, " ms", Target::AtMost(target), note));
    Ok(())
}

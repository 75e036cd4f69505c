//! All that there is of a dealership, read by whoever sees everything, as the catalog has it.

use std::collections::BTreeMap;

use common::{ids::DealershipId, moving::STAYS};
use sqlx::AssertSqlSafe;
use tests::app::TestApp;

/// The rows of each table, as text.
#[derive(Debug)]
pub(super) struct Contents(BTreeMap<String, Vec<String>>);

impl Contents {
    pub(super) fn rows(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    pub(super) fn of(&self, table: &str) -> &[String] {
        &self.0[table]
    }

    #[track_caller]
    pub(super) fn expect_same(&self, other: &Self) {
        for (table, rows) in &self.0 {
            let others = &other.0[table];
            let missing: Vec<_> = rows.iter().filter(|row| !others.contains(row)).collect();
            let added: Vec<_> = others.iter().filter(|row| !rows.contains(row)).collect();
            assert!(
                missing.is_empty() && added.is_empty() && rows.len() == others.len(),
                "{table}: {} and {} rows; missing {missing:#?}; added {added:#?}",
                rows.len(),
                others.len()
            );
        }
    }
}

/// Numbers of deliveries and jobs are each server's own: they are told by what the source calls them, and by their order.
const SPECIAL: [(&str, &str); 5] = [
    (
        "deliveries",
        "SELECT (row_number() OVER (ORDER BY id), to_jsonb(t) - 'id')::text FROM deliveries t WHERE dealership_id = $1 ORDER BY id",
    ),
    (
        "delivery_repetitions",
        "SELECT concat_ws(' ', d.source, d.external_id, r.received_at) FROM delivery_repetitions r JOIN deliveries d ON d.id = r.delivery_id
         WHERE d.dealership_id = $1 ORDER BY 1",
    ),
    (
        "inquiries",
        "SELECT (to_jsonb(t) - 'delivery_id')::text || coalesce(d.source || d.external_id, '') FROM inquiries t
         LEFT JOIN deliveries d ON d.id = t.delivery_id WHERE t.dealership_id = $1 ORDER BY 1",
    ),
    (
        "jobs",
        "SELECT (row_number() OVER (ORDER BY t.id), to_jsonb(t) - 'id' - 'payload', t.payload - 'delivery_id', d.source, d.external_id)::text
         FROM jobs t LEFT JOIN deliveries d ON d.id = (t.payload ->> 'delivery_id')::bigint
         WHERE for_dealership = $1 AND state NOT IN ('done', 'cancelled') ORDER BY t.id",
    ),
    (
        "clerk_objects",
        "SELECT t::text FROM clerk_objects t JOIN dealerships d ON d.clerk_org_id IN (t.id, t.org_id)
         WHERE d.id = $1 ORDER BY 1",
    ),
];

pub(super) async fn contents(app: &TestApp, dealership: DealershipId) -> Contents {
    let mut superuser = app.connect().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.columns
         WHERE table_schema = 'public' AND (column_name = 'dealership_id' OR (table_name, column_name) = ('dealerships', 'id'))
           AND table_name <> ALL ($1)",
    )
    .bind(STAYS.map(|(name, _)| name).as_slice())
    .fetch_all(&mut superuser)
    .await
    .expect("a valid statement");
    let mut contents = BTreeMap::new();
    let special = SPECIAL.map(|(name, _)| name.to_owned());
    for table in tables.into_iter().chain(special) {
        let owner = if table == "dealerships" { "id" } else { "dealership_id" };
        let select = match SPECIAL.iter().find(|(name, _)| *name == table) {
            Some((_, select)) => (*select).to_owned(),
            None => format!("SELECT to_jsonb(t)::text FROM {table} t WHERE {owner} = $1 ORDER BY 1"),
        };
        let rows = sqlx::query_scalar(AssertSqlSafe(select)).bind(dealership).fetch_all(&mut superuser).await;
        contents.insert(table, rows.expect("a valid statement"));
    }
    Contents(contents)
}

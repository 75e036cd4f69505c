//! What belongs to a dealership, as the catalog has it: a table that a later release adds moves without a word here.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::FromRow;

use crate::{
    db::{Result, SystemTx},
    jobs::PROCESS_DELIVERY,
};

/// Tables that stay where they are, with the reason. A test knows that every other table moves.
pub const STAYS: [(&str, &str); 9] = [
    ("_sqlx_migrations", "the schema is the server's"),
    ("periodic_jobs", "the queue's own"),
    ("queues", "the queue's own"),
    ("workers", "the queue's own"),
    ("operator_actions", "what operators did on this server"),
    ("clerk_instance", "the server's; the archive names it, to be compared"),
    ("clerk_reconciliation", "the server's"),
    ("dealership_moves", "how far the move has come"),
    ("facebook_logins", "Facebook sends the person back to this server; they begin again on the other one"),
];

/// Columns that hold secrets, sealed.
const SECRETS: [(&str, &str); 3] =
    [("lead_sources", "turnstile_secret"), ("lead_sources", "page_token"), ("sending_accounts", "secret")];

/// In place of a secret that is left out.
pub(super) const LEFT_OUT: &str = "left out";

/// The delivery whose name is in a column. Names stand for the numbers of deliveries, which each server gives anew.
macro_rules! delivery_named {
    ($column:literal) => {
        concat!(
            "(SELECT d.id FROM deliveries d WHERE d.source = split_part(",
            $column,
            ", ' ', 1) AND d.external_id = substr(",
            $column,
            ", strpos(",
            $column,
            ", ' ') + 1))"
        )
    };
}

/// A column of an archive.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// As PostgreSQL writes it.
    pub(super) kind: String,
    /// What is exported of `t`.
    out: String,
    /// What is imported of `r`, whose columns are texts. None of what is part of another column.
    into: Option<String>,
}

/// A table with what an archive has of it.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    pub(super) columns: Vec<Column>,
    /// Its rows are those where this is true, of `t` and the dealership `$1`.
    condition: String,
    order: String,
    /// The place of the column that says whose a row is, if one does.
    pub(super) owner: Option<usize>,
    /// Whether the dealership itself may write it.
    pub(super) written_by_tenant: bool,
    /// Whether a server gives all rows back as they came.
    pub(super) is_kept: bool,
}

impl Table {
    pub(super) fn is_secret(&self, column: &Column) -> bool {
        SECRETS.contains(&(self.name.as_str(), column.name.as_str()))
    }

    /// The columns with their types, as an archive names them.
    pub(super) fn header(&self) -> Vec<String> {
        self.columns.iter().map(|column| format!("{} {}", column.name, column.kind)).collect()
    }

    /// Reads the rows of the dealership `$1`, each as a JSON array of texts: what PostgreSQL writes, which it also reads.
    pub(super) fn select(&self, with_secrets: bool) -> String {
        let out = self.columns.iter().map(|column| {
            if self.is_secret(column) && !with_secrets {
                format!("CASE WHEN t.{} IS NOT NULL THEN '{LEFT_OUT}' END", column.name)
            } else {
                column.out.clone()
            }
        });
        let (out, Self { name, condition, order, .. }) = (out.collect::<Vec<_>>().join(", "), self);
        format!("-- moving::rows\nSELECT to_json(ARRAY[{out}])::text FROM {name} t WHERE {condition} ORDER BY {order}")
    }

    /// Writes rows whose columns are given as arrays of texts.
    pub(super) fn insert(&self) -> String {
        let (mut given, mut read, mut names, mut into) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (place, column) in (1..).zip(&self.columns) {
            given.push(format!("${place}::text[]"));
            read.push(column.name.as_str());
            if let Some(expression) = &column.into {
                names.push(column.name.as_str());
                into.push(expression.as_str());
            }
        }
        let tail = match self.name.as_str() {
            DELIVERIES => " ON CONFLICT (source, external_id) DO NOTHING RETURNING source, external_id",
            _ => "",
        };
        format!(
            "-- moving::insert\nINSERT INTO {} ({}) SELECT {} FROM unnest({}) WITH ORDINALITY AS r ({}, nth) ORDER BY nth{tail}",
            self.name,
            names.join(", "),
            into.join(", "),
            given.join(", "),
            read.join(", ")
        )
    }
}

pub(super) const CLERK_OBJECTS: &str = "clerk_objects";
pub(super) const DELIVERIES: &str = "deliveries";
const REPETITIONS: &str = "delivery_repetitions";
const JOBS: &str = "jobs";

/// A table as the catalog has it.
#[derive(Debug, FromRow)]
struct Found {
    name: String,
    columns: Vec<String>,
    kinds: Vec<String>,
    /// Of the primary key, in its order.
    key: Vec<String>,
    /// The column by which a row refers to another one of the same table.
    parent: Option<String>,
    refers_to: Vec<String>,
    written_by_tenant: bool,
}

/// All that moves with a dealership, in the order in which it can be written.
pub async fn tables(tx: &mut SystemTx) -> Result<Vec<Table>> {
    let found: Vec<Found> = sqlx::query_as(
        "-- moving::tables
         SELECT c.relname::text AS name,
                ARRAY(SELECT quote_ident(attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                      AND a.attgenerated = '' ORDER BY attnum) AS columns,
                ARRAY(SELECT format_type(atttypid, atttypmod) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
                      AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY attnum) AS kinds,
                ARRAY(SELECT quote_ident(a.attname) FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, nth)
                      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                      WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.nth) AS key,
                (SELECT quote_ident(a.attname) FROM pg_constraint f JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (f.conkey)
                 WHERE f.contype = 'f' AND f.conrelid = c.oid AND f.confrelid = c.oid AND a.attname <> 'dealership_id' LIMIT 1) AS parent,
                ARRAY(SELECT confrelid::regclass::text FROM pg_constraint f
                      WHERE f.contype = 'f' AND f.conrelid = c.oid AND f.confrelid <> c.oid) AS refers_to,
                has_table_privilege('norvalt_tenant', c.oid, 'INSERT') AS written_by_tenant
         FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> ALL ($1)
           AND (c.relname IN ('dealerships', 'jobs', 'delivery_repetitions')
                OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'dealership_id' AND NOT a.attisdropped))
         ORDER BY c.relname",
    )
    .bind(STAYS.map(|(name, _)| name).as_slice())
    .fetch_all(tx.conn())
    .await?;
    let sorted = in_order(found);
    Ok(std::iter::once(clerk_objects()).chain(sorted.into_iter().map(Found::into_table)).collect())
}

/// Each after what it refers to.
fn in_order(found: Vec<Found>) -> Vec<Found> {
    let mut waiting: BTreeMap<String, Found> = found.into_iter().map(|table| (table.name.clone(), table)).collect();
    let mut sorted: Vec<Found> = Vec::new();
    while !waiting.is_empty() {
        let names: BTreeSet<String> = waiting.keys().cloned().collect();
        let ready = names.iter().find(|name| waiting[*name].needs().all(|needed| !names.contains(needed)));
        // Tables that refer to each other in a circle cannot be written row by row; there are none, and a test would see them.
        let next = ready.or_else(|| names.first()).cloned().unwrap_or_default();
        sorted.extend(waiting.remove(&next));
    }
    sorted
}

impl Found {
    fn needs(&self) -> impl Iterator<Item = &str> {
        let names_delivery = self.columns.iter().any(|column| column == "delivery_id") || self.name == JOBS;
        let dealership = (self.name != "dealerships").then_some("dealerships");
        self.refers_to.iter().map(String::as_str).chain(names_delivery.then_some(DELIVERIES)).chain(dealership)
    }

    fn into_table(self) -> Table {
        let numbered = self.name == DELIVERIES || self.name == JOBS;
        let given_anew =
            |name: &str| numbered && name == "id" || self.name == JOBS && matches!(name, "lease_token" | "lease_until");
        let columns = self.columns.iter().zip(&self.kinds).filter(|(name, _)| !given_anew(name));
        let mut columns: Vec<Column> = columns.map(|(name, kind)| self.column(name, kind)).collect();
        if self.name == JOBS {
            columns.push(delivery_of_job());
        }
        let owner = match self.name.as_str() {
            "dealerships" => "id",
            JOBS => "for_dealership",
            _ => "dealership_id",
        };
        let is_theirs = format!("t.{owner} = $1");
        let condition = match self.name.as_str() {
            REPETITIONS => "t.delivery_id IN (SELECT id FROM deliveries WHERE dealership_id = $1)".to_owned(),
            // What is over stays where it was done.
            JOBS => format!("{is_theirs} AND t.state IN ('available', 'scheduled', 'retryable', 'dead')"),
            _ => is_theirs,
        };
        Table {
            condition,
            order: self.order(),
            owner: columns.iter().position(|column| column.name == owner),
            columns,
            written_by_tenant: self.written_by_tenant,
            is_kept: !numbered && self.name != REPETITIONS,
            name: self.name,
        }
    }

    fn column(&self, name: &str, kind: &str) -> Column {
        let named = "(SELECT d.source || ' ' || d.external_id FROM deliveries d WHERE d.id = t.delivery_id AND d.dealership_id = $1)";
        let out = if name == "delivery_id" { named.to_owned() } else { format!("t.{name}::text") };
        let into = match (self.name.as_str(), name) {
            // One that was pruned has no name any more: no delivery has the number 0.
            (_, "delivery_id") => concat!("coalesce(", delivery_named!("r.delivery_id"), ", 0)").to_owned(),
            (JOBS, "payload") => concat!(
                "CASE WHEN r.delivery IS NULL THEN r.payload::jsonb ELSE jsonb_set(r.payload::jsonb, '{delivery_id}', to_jsonb(coalesce(",
                delivery_named!("r.delivery"),
                ", 0))) END"
            )
            .to_owned(),
            // The triggers of leads count what is written; what was counted is written in the end.
            ("dealerships", "leads_counted") => "0".to_owned(),
            ("dealerships", "leads_counted_before") => "'-infinity'".to_owned(),
            _ => format!("r.{name}::{kind}"),
        };
        Column { name: name.to_owned(), kind: kind.to_owned(), out, into: Some(into) }
    }

    /// The same on every server; rows after those of the same table that they refer to.
    fn order(&self) -> String {
        let kind =
            |name: &String| self.columns.iter().position(|column| column == name).map(|at| self.kinds[at].as_str());
        let by = |name: &String| match kind(name) {
            Some("text") => format!("t.{name} COLLATE \"C\""),
            _ => format!("t.{name}"),
        };
        let mut order: Vec<String> = self.key.iter().map(by).collect();
        if order.is_empty() {
            order.push("t::text COLLATE \"C\"".to_owned());
        }
        if let (Some(parent), Some(id)) = (&self.parent, self.key.first()) {
            let Self { name, .. } = self;
            order.insert(
                0,
                format!(
                    "(WITH RECURSIVE up AS (SELECT t.{parent} AS parent UNION ALL
                        SELECT o.{parent} FROM {name} o JOIN up ON o.{id} = up.parent WHERE o.dealership_id = $1)
                      SELECT count(*) FROM up)"
                ),
            );
        }
        order.join(", ")
    }
}

/// Which delivery a job processes, if that is what it does.
fn delivery_of_job() -> Column {
    let kinds = PROCESS_DELIVERY.map(|kind| format!("'{kind}'")).join(", ");
    Column {
        name: "delivery".to_owned(),
        kind: "text".to_owned(),
        // Of one that is gone the number is worth nothing: elsewhere it is another's.
        out: format!(
            "CASE WHEN t.kind IN ({kinds}) AND t.payload ? 'delivery_id'
                  THEN coalesce((SELECT d.source || ' ' || d.external_id FROM deliveries d
                                 WHERE d.id = CASE WHEN t.payload ->> 'delivery_id' ~ '^[0-9]{{1,18}}$'
                                                   THEN (t.payload ->> 'delivery_id')::bigint END), '') END"
        ),
        into: None,
    }
}

/// What is known from Clerk of the organization and of its people.
fn clerk_objects() -> Table {
    let column = |name: &str, kind: &str| Column {
        name: name.to_owned(),
        kind: kind.to_owned(),
        out: format!("t.{name}::text"),
        into: None,
    };
    Table {
        name: CLERK_OBJECTS.to_owned(),
        columns: [
            ("kind", "text"),
            ("id", "text"),
            ("state", "jsonb"),
            ("user_id", "text"),
            ("updated_at", "timestamp with time zone"),
        ]
        .map(|(name, kind)| column(name, kind))
        .into(),
        condition: "(t.kind, t.id) IN (
              SELECT 'organization', clerk_org_id FROM dealerships WHERE id = $1
              UNION SELECT 'user', clerk_user_id FROM users WHERE dealership_id = $1
              UNION SELECT 'user', m.user_id FROM clerk_objects m JOIN dealerships d ON d.clerk_org_id = m.org_id WHERE d.id = $1
              UNION SELECT 'membership', m.id FROM clerk_objects m JOIN dealerships d ON d.clerk_org_id = m.org_id WHERE d.id = $1)"
            .to_owned(),
        // Organizations before people before memberships.
        order: "array_position(ARRAY['organization', 'user', 'membership'], t.kind), t.id COLLATE \"C\"".to_owned(),
        owner: None,
        written_by_tenant: false,
        is_kept: false,
    }
}

//! What a statement on a dealership's table may not do where the tables are spread over machines.

use std::{collections::BTreeSet, fs, path::Path};

use super::{SPREAD, plans::Executed};

/// Why the statement could not be executed there, if it could not.
pub(super) fn forbidden(text: &str) -> Option<String> {
    let sql = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let writes = |verb: &str| SPREAD.iter().any(|(table, _)| sql.contains(&format!("{verb} {table} ")));
    let why = if writes("INSERT INTO") && conflicts_without_dealership(&sql) {
        "a conflict is only noticed among keys with the dealership"
    } else if writes("INSERT INTO")
        && sql
            .split("DO UPDATE")
            .skip(1)
            .any(|rest| is_volatile(assignments(rest)) || assignments(rest).contains("now("))
    {
        "what is written on a conflict must not depend on when or where"
    } else if writes("UPDATE") && sql.split(" SET ").nth(1).is_some_and(is_volatile) {
        "what is written must not depend on when or where"
    } else if (writes("INSERT INTO") || writes("UPDATE") || writes("DELETE FROM")) && sql.contains("RETURNING (SELECT")
    {
        "what is returned cannot be looked up elsewhere"
    } else {
        return None;
    };
    Some(format!("{why}: {text}"))
}

fn conflicts_without_dealership(sql: &str) -> bool {
    let target = sql.split("ON CONFLICT (").nth(1).and_then(|rest| rest.split(')').next());
    let named = |key: &str| target.is_some_and(|target| target.split(", ").any(|column| column == key));
    sql.contains("ON CONFLICT") && !named("dealership_id") && !(sql.contains("INTO dealerships ") && named("id"))
}

/// What stands before the rest of a statement, which may write something else.
fn assignments(rest: &str) -> &str {
    rest.split(" RETURNING ").next().unwrap_or(rest)
}

fn is_volatile(assignments: &str) -> bool {
    ["clock_timestamp(", "random(", "gen_random_uuid(", "nextval("].iter().any(|call| assignments.contains(call))
}

/// Where the statements stand that a dealership's transaction sends.
const SOURCES: [&str; 21] = [
    "answers",
    "automation_rules.rs",
    "conversations",
    "customers",
    "db/access.rs",
    "db/mod.rs",
    "dealerships.rs",
    "deliveries/inbound.rs",
    "deliveries/opinion.rs",
    "idempotency.rs",
    "intake",
    "lead_sources",
    "leads",
    "deliveries/ledger.rs",
    "notifications",
    "outbox",
    "restored.rs",
    "secrets",
    "sending_accounts",
    "users.rs",
    "vehicles.rs",
];
/// Of the system, which counts for all dealerships.
const SYSTEMS: [&str; 11] = [
    "idempotency::prune",
    "leads::adopt_all",
    "deliveries::ledger_of_all",
    "leads::count",
    "lead_sources::connected_pages",
    "lead_sources::forget_logins",
    "restored::hold",
    "restored::on_its_way",
    "secrets::keys_in_use",
    "secrets::dealerships_to_reseal",
    "sending_accounts::tokens_of_number",
];

/// The statements of the sources that were not executed, by the names that they begin with.
pub(super) fn never_seen(executed: &[Executed]) -> Vec<String> {
    let seen: BTreeSet<&str> = executed.iter().filter_map(|executed| name(&executed.text)).collect();
    let common = Path::new(env!("CARGO_MANIFEST_DIR")).join("../common/src");
    let mut named = BTreeSet::new();
    for source in SOURCES {
        collect(&common.join(source), &mut named);
    }
    assert!(named.len() > 20, "the statements have names");
    named.into_iter().filter(|name| !seen.contains(name.as_str()) && !SYSTEMS.contains(&name.as_str())).collect()
}

fn collect(source: &Path, named: &mut BTreeSet<String>) {
    if source.is_dir() {
        let entries = fs::read_dir(source).expect("it is a directory");
        return entries.for_each(|entry| collect(&entry.expect("it can be read").path(), named));
    }
    let text = fs::read_to_string(source).expect("a source");
    named.extend(text.split("\"-- ").skip(1).filter_map(|rest| name(&format!("-- {rest}")).map(str::to_owned)));
}

/// `leads::page` of `-- leads::page`. What is prepared by name comes after what prepares it.
fn name(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("-- ")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|name| name.contains("::"))
}

#[test]
fn what_one_machine_alone_can_do_is_found() {
    for wrong in [
        "INSERT INTO dealerships AS d (id, clerk_org_id) VALUES ($1, $2) ON CONFLICT (clerk_org_id) DO NOTHING",
        "INSERT INTO leads (id) VALUES ($1) ON CONFLICT DO NOTHING",
        "INSERT INTO users (id, dealership_id) VALUES ($1, $2) ON CONFLICT (id, dealership_id) DO UPDATE SET at = clock_timestamp()",
        "INSERT INTO users (id, dealership_id) VALUES ($1, $2) ON CONFLICT (id, dealership_id) DO UPDATE SET at = coalesce($3, now())",
        "UPDATE leads SET updated_at = clock_timestamp() WHERE id = $1 AND dealership_id = $2",
        "UPDATE users u SET name = $1 WHERE id = $2 RETURNING (SELECT name FROM before)",
    ] {
        assert!(forbidden(wrong).is_some(), "{wrong}");
    }
    for right in [
        "INSERT INTO users AS u (id) VALUES ($1) ON CONFLICT (dealership_id, clerk_user_id) DO UPDATE SET name = excluded.name",
        "INSERT INTO dealerships (id) VALUES ($1) ON CONFLICT (id) DO NOTHING",
        "UPDATE jobs SET run_at = clock_timestamp()",
    ] {
        assert_eq!(forbidden(right), None);
    }
}

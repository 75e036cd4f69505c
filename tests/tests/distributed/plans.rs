//! Plans, as `auto_explain` writes them to the server's log.

use std::{fs, path::Path};

use serde_json::Value;

use super::SPREAD;

/// A statement that was executed, and how.
pub(super) struct Executed {
    pub(super) text: String,
    pub(super) plan: Value,
}

/// Reads the log. An entry's further lines begin with a tab.
pub(super) fn read(log: &Path) -> Vec<Executed> {
    let log = fs::read_to_string(log).expect("the server writes a log");
    let entries = log.split("  plan:\n").skip(1);
    let executed = entries.map(|entry| {
        let lines: Vec<_> = entry.lines().take_while(|line| line.starts_with('\t')).collect();
        let json: Value = serde_json::from_str(&lines.join("\n").replace("\n\t", "\n")).expect("JSON");
        Executed { text: json["Query Text"].as_str().expect("a text").to_owned(), plan: json["Plan"].clone() }
    });
    let executed: Vec<_> = executed.collect();
    assert!(executed.len() > 100, "every statement is explained");
    executed
}

impl Executed {
    /// What is read of a dealership's table under the policies without the statement itself naming the dealership.
    pub(super) fn relations_without_dealership(&self) -> Vec<String> {
        let mut found = Vec::new();
        // Only who is bound by a policy has this in the plan.
        if self.plan.to_string().contains("app.current_dealership_id") {
            visit(&self.plan, "", &mut found);
        }
        found
            .into_iter()
            .map(|table| format!("{table} is read without naming the dealership by: {}", self.text))
            .collect()
    }
}

/// `above` is what was asked once for all of the nodes below.
fn visit(node: &Value, above: &str, found: &mut Vec<String>) {
    let here: Vec<&str> = ["Index Cond", "Recheck Cond", "Filter", "One-Time Filter", "Hash Cond", "Join Filter"]
        .iter()
        .filter_map(|key| node[key].as_str())
        .collect();
    let conditions = format!("{above}\n{}", here.join("\n"));
    let children = || node["Plans"].as_array().into_iter().flatten();
    // A bitmap is made by the nodes below the one that reads the table.
    let below: Vec<&str> = children().filter_map(|child| child["Index Cond"].as_str()).collect();
    // What writes a table finds the rows by a scan below it.
    let scans = node["Node Type"].as_str().is_some_and(|kind| kind.ends_with("Scan"));
    let table = node["Relation Name"]
        .as_str()
        .filter(|_| scans)
        .and_then(|name| SPREAD.iter().find(|(spread, _)| *spread == name));
    if let Some((table, key)) = table
        && !names(&format!("{conditions}\n{}", below.join("\n")), key)
    {
        found.push((*table).to_owned());
    }
    let once = node["One-Time Filter"].as_str().unwrap_or_default();
    // A parameter was null: nothing below is read.
    if once == "false" {
        return;
    }
    children().for_each(|child| visit(child, &format!("{above}\n{once}"), found));
}

/// How PostgreSQL writes what a policy compares with.
const POLICY: &str = "(NULLIF(current_setting('app.current_dealership_id'::text, true), ''::text))::uuid";

/// Whether something other than the policy says which dealership: a parameter or its value. The planner compares it either
/// with each row, or once with the policy's value, and that with each row.
fn names(conditions: &str, key: &str) -> bool {
    let conditions = conditions.replace(POLICY, "POLICY");
    let is_value = |text: &str| text.starts_with('$') || text.starts_with('\'');
    conditions.split(&format!("{key} = ")).skip(1).any(is_value)
        || conditions.split("POLICY = ").skip(1).any(is_value)
        || conditions
            .match_indices(" = POLICY")
            .any(|(at, _)| conditions[..at].rsplit('(').next().is_some_and(is_value))
}

#[test]
fn a_policy_alone_names_no_dealership() {
    let index = format!("(dealership_id = {POLICY})");
    assert!(
        !names(&index, "dealership_id")
            && !names("(id = $1)", "dealership_id")
            && !names(&format!("({POLICY} = dealership_id)"), "dealership_id")
    );
    for named in ["(dealership_id = $2)", "((id = $1) AND (dealership_id = 'af0b'::uuid))"] {
        assert!(names(named, "dealership_id"), "{named}");
    }
    for once in [format!("($1 = {POLICY})"), format!("('af0b'::uuid = {POLICY})"), format!("({POLICY} = $1)")] {
        assert!(names(&format!("{once}\n{index}"), "dealership_id"), "{once}");
    }
}

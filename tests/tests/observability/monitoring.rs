//! The alert rules and the dashboard that operators load, checked by Prometheus' own tool where it is installed.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use super::{Pair, metrics::documented_metrics};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).expect("the file is part of the repository")
}

/// What `promtool` says to this input; nothing, with a word, where it is not installed.
fn promtool(arguments: &[&str], input: &str) -> Option<Output> {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(file("")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = command.spawn() else {
        println!("skipped: there is no promtool (Debian's package `prometheus` has it)");
        return None;
    };
    promtool.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    Some(promtool.wait_with_output().expect("it ends"))
}

#[track_caller]
fn assert_accepts(arguments: &[&str], input: &str) {
    let Some(output) = promtool(arguments, input) else { return };
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

/// Every PromQL expression of the dashboard.
fn dashboard_expressions() -> Vec<String> {
    fn collect(value: &Value, expressions: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                expressions.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| collect(member, expressions));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, expressions)),
            _ => {}
        }
    }
    let dashboard = serde_json::from_str(&text("dashboard.json")).expect("JSON");
    let mut expressions = Vec::new();
    collect(&dashboard, &mut expressions);
    expressions
}

#[test]
fn prometheus_loads_the_alerts_and_they_fire_when_they_should() {
    assert_accepts(&["check", "rules", "alerts.yml"], "");
    assert_accepts(&["test", "rules", "alerts.test.yml"], "");
}

#[test]
fn every_alert_is_tested() {
    let tests = text("alerts.test.yml");
    let alerts = text("alerts.yml");
    let names: Vec<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(tests.contains(&format!("alertname: {name}")), "{name} is not tested");
    }
}

#[test]
fn prometheus_understands_every_query_of_the_dashboard() {
    let expressions = dashboard_expressions();
    assert!(expressions.len() > 20, "the queries were found");
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, expression) in expressions.iter().enumerate() {
        let _ = writeln!(rules, "      - {{ record: 'query:{number}', expr: '{}' }}", expression.replace('\'', "''"));
    }
    let path = std::env::temp_dir().join(format!("norvalt-dashboard-{}.yml", std::process::id()));
    fs::write(&path, rules).expect("there is a directory for temporary files");
    assert_accepts(&["check", "rules", path.to_str().expect("text")], "");
    fs::remove_file(path).expect("it is ours");
}

#[test]
fn alerts_and_dashboard_name_only_metrics_that_exist() {
    let documented = documented_metrics();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let texts = [text("alerts.yml"), text("alerts.test.yml"), dashboard_expressions().join("\n")];
    let named: BTreeSet<_> = texts
        .iter()
        .flat_map(|text| text.split(|c| !is_name(c)))
        .filter(|word| word.starts_with("norvalt_"))
        .map(|name| name.strip_suffix("_bucket").unwrap_or(name).to_owned())
        .collect();
    assert!(named.len() > 10, "{named:?}");
    let unknown: Vec<_> = named.difference(&documented).collect();
    assert!(unknown.is_empty(), "{unknown:?} do not exist");
}

#[tokio::test]
async fn metrics_follow_the_header_accept() {
    let pair = Pair::start(&[]).await;
    for admin in [&pair.api_admin, &pair.worker_admin] {
        let scrape = |accept: &'static str| {
            reqwest::Client::new().get(format!("{admin}/metrics")).header("accept", accept).send()
        };
        let answer = scrape("text/plain;version=0.0.4").await.expect("an answer");
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let plain = answer.text().await.expect("text");
        assert!(plain.contains("# TYPE norvalt_build_info gauge") && !plain.contains("# EOF"), "{plain}");
        assert_accepts(&["check", "metrics"], &plain);

        let answer = scrape("application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await.expect("an answer");
        assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
        assert!(answer.text().await.expect("text").ends_with("# EOF\n"));
    }
}

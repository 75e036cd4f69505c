mod keys;
mod mail;

use std::{collections::BTreeSet, process::ExitCode, time::Duration};

use common::{
    clerk,
    config::{ApiConfig, CliConfig, ConfigError, Settings, TelemetryConfig, WorkerConfig},
    db::{self, Db, pending_migrations},
    deliveries::{self, Stuck},
    moving::{self, State},
    queue::{self, Stats, WorkerRecord},
    secrets::{Keyring, keys_in_use},
    telemetry::error_chain,
};

use self::keys::Verified;
use super::{
    jobs::describe_pause,
    secrets::{Key, KeyState, known},
};
use crate::table::{beside, time};

/// How long anything that is asked may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What was found out about one thing.
enum Finding {
    Fine(String),
    /// Somebody may want it so.
    Note(String),
    Wrong(String),
}

use Finding::{Fine, Note, Wrong};

/// Looks at everything that the API and the worker need, and says what is wrong and how to fix it.
pub(crate) async fn run() -> ExitCode {
    let mut settings = Settings::from_env();
    TelemetryConfig::read(&mut settings);
    let (api, worker) = (ApiConfig::read(&mut settings.clone()), WorkerConfig::read(&mut settings.clone()));
    let cli = CliConfig::read(&mut settings);
    let problems = [api.as_ref().err(), worker.as_ref().err(), cli.as_ref().err()];
    // What two of them need and neither has is said once.
    let problems: BTreeSet<_> = problems.into_iter().flatten().flat_map(ConfigError::problems).cloned().collect();
    let mut findings = vec![("settings", settings_finding(&problems))];
    let mut backend = None;
    if let Ok(config) = &cli {
        let (connected, reachable) = connection(config).await;
        findings.push(("database", connected));
        if reachable {
            let (found, verified) = database(config).await;
            findings.extend(found);
            backend = verified;
        } else {
            findings.push(("Clerk's Backend API", Fine("not asked: whose key it is, the database tells".to_owned())));
        }
    }
    if let Ok(config) = &api {
        let secret = cli.as_ref().ok().and_then(|config| config.clerk.as_ref());
        findings.push(("Clerk's public keys", keys::public(&config.clerk, secret, backend.as_ref()).await));
    }
    if let Ok(config) = &worker {
        findings.extend(mail::domains(config).await);
    }
    report(&findings)
}

fn settings_finding(problems: &BTreeSet<String>) -> Finding {
    if problems.is_empty() {
        return Fine("complete".to_owned());
    }
    let lines: Vec<_> = problems.iter().map(|problem| problem.trim()).collect();
    Wrong(lines.join("\n"))
}

fn report(findings: &[(&str, Finding)]) -> ExitCode {
    let width = findings.iter().map(|(what, _)| what.len()).max().unwrap_or_default();
    for (what, finding) in findings {
        let (mark, text) = match finding {
            Fine(text) => ("ok", text),
            Note(text) => ("note", text),
            Wrong(text) => ("WRONG", text),
        };
        let before = width + 9;
        println!("{mark:5}  {what:width$}  {}", beside(before, text).join(&format!("\n{:before$}", "")));
    }
    if findings.iter().any(|(_, finding)| matches!(finding, Wrong(_))) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A number of things, with the words for one or for several.
fn count(number: i64, one: &str, several: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {several}") }
}

/// Whether the database can be reached, and whether its schema is up to date.
async fn connection(config: &CliConfig) -> (Finding, bool) {
    match tokio::time::timeout(ANSWER_TIMEOUT, pending_migrations(&config.database_url)).await {
        Ok(Ok(pending)) if pending.is_empty() => {
            let server = server(config).await.map(|server| format!("{server}: reachable and migrated"));
            (server.map_or_else(|error| Wrong(error_chain(&error)), Fine), true)
        }
        Ok(Ok(pending)) => (Wrong(format!("{} migrations are pending; run: norvalt migrate", pending.len())), false),
        Ok(Err(error)) => (Wrong(error_chain(&error)), false),
        Err(_) => (Wrong(format!("no answer within {ANSWER_TIMEOUT:?}; is a firewall in between?")), false),
    }
}

/// Which database of which server this is.
async fn server(config: &CliConfig) -> db::Result<String> {
    let db = Db::new(&config.database_url, 1, "norvalt doctor");
    let version = db::server_version(&mut db.system().await?).await?;
    Ok(format!("{:?}, PostgreSQL {version}", config.database_url))
}

/// What is in the database, and Clerk's Backend API if the key is of the database's instance.
async fn database(config: &CliConfig) -> (Vec<(&'static str, Finding)>, Option<Verified>) {
    let db = Db::new(&config.database_url, 1, "norvalt doctor");
    let isolated = isolation(&db).await;
    let secrets = secrets(&db, &config.keyring).await.unwrap_or_else(|error| Wrong(error_chain(&error)));
    let queue = queue(&db).await.unwrap_or_else(|error| Wrong(error_chain(&error)));
    let workers = workers(&db).await.unwrap_or_else(|error| Wrong(error_chain(&error)));
    let deliveries = deliveries(&db).await.unwrap_or_else(|error| Wrong(error_chain(&error)));
    let instance = keys::instance(&db, config).await.unwrap_or_else(|error| Wrong(error_chain(&error)));
    let reconciliation = reconciliation(&db).await.unwrap_or_else(|error| Wrong(error_chain(&error)));
    let (backend, verified) = keys::secret(&db, config).await;
    let commits = commits(&db).await.unwrap_or_else(|error| Some(Wrong(error_chain(&error))));
    let moving = on_their_way(&db).await.unwrap_or_else(|error| Some(Wrong(error_chain(&error))));
    let mut findings = vec![
        ("dealerships", isolated),
        ("secrets", secrets),
        ("queue", queue),
        ("workers", workers),
        ("deliveries", deliveries),
        ("Clerk's instance", instance),
        ("Clerk's Backend API", backend),
        ("Clerk's reconciliation", reconciliation),
    ];
    findings.extend(commits.map(|finding| ("commits", finding)));
    findings.extend(moving.map(|finding| ("dealerships on their way", finding)));
    (findings, verified)
}

async fn isolation(db: &Db) -> Finding {
    if let Err(error) = db.wait_until_usable().await {
        return Wrong(error_chain(&error));
    }
    let inherits = async { db::login_inherits(&mut db.system().await?).await };
    match inherits.await {
        Ok(false) => Fine("roles and policies keep them apart".to_owned()),
        Ok(true) => Note(
            "roles and policies keep them apart, but the role of DATABASE_URL has the rights of norvalt_system without taking \
             them; PostgreSQL 16 or newer, as an administrator: GRANT norvalt_tenant, norvalt_system TO it WITH INHERIT FALSE; \
             before: ALTER ROLE it NOINHERIT, if it is a member of no other role that it needs"
                .to_owned(),
        ),
        Err(error) => Wrong(error_chain(&error)),
    }
}

/// Whether every stored secret can be opened here, and which keys are still needed for that.
async fn secrets(db: &Db, keyring: &Keyring) -> db::Result<Finding> {
    let keys = known(keyring, keys_in_use(&mut db.system().await?).await?);
    let of = |state| keys.iter().filter(move |key: &&Key| key.state == state);
    let missing: Vec<_> = of(KeyState::Missing)
        .map(|Key { id, secrets, .. }| {
            format!(
                "{} sealed with the key {id}; add it to SECRETS_KEYS after the first one",
                count(*secrets, "secret is", "secrets are")
            )
        })
        .collect();
    let old: Vec<_> = of(KeyState::Needed)
        .map(|Key { id, secrets, .. }| {
            format!(
                "{} still sealed with the key {id}; norvalt secrets reseal",
                count(*secrets, "secret is", "secrets are")
            )
        })
        .collect();
    Ok(match (keys.first(), missing.is_empty(), old.is_empty()) {
        (_, false, _) => Wrong([missing, old].concat().join("\n")),
        (_, true, false) => Note(old.join("\n")),
        (Some(Key { id, secrets, .. }), ..) => Fine(format!("{secrets}, sealed with the key {id}")),
        (None, ..) => Fine("none, and no keys: SECRETS_KEYS is not set".to_owned()),
    })
}

/// Whether what is acknowledged may be lost.
async fn commits(db: &Db) -> db::Result<Option<Finding>> {
    let durability = db::durability(&mut db.system().await?).await?;
    Ok(match durability.problem() {
        Some(problem) => Some(Wrong(problem)),
        None if durability.fsync => None,
        None => {
            Some(Note("fsync is off: nothing on this server survives a crash; never for customers' data".to_owned()))
        }
    })
}

/// Those that are closed until somebody goes on with their move.
async fn on_their_way(db: &Db) -> db::Result<Option<Finding>> {
    let known = moving::on_their_way(&mut db.system().await?).await?;
    let lines = known.iter().filter_map(|known| {
        let name = known.name.as_deref().unwrap_or(known.clerk_org_id.as_str());
        let since = time(known.moving_since?);
        match known.moving? {
            State::Leaving => Some(format!(
                "{name} is frozen since {since}, and closed to its people; go on: norvalt dealership --help"
            )),
            State::Arriving => {
                Some(format!("{name} arrived at {since}, and is not open; go on: norvalt dealership open --help"))
            }
            State::Gone => None,
        }
    });
    let lines: Vec<_> = lines.collect();
    Ok((!lines.is_empty()).then(|| Note(lines.join("\n"))))
}

async fn queue(db: &Db) -> db::Result<Finding> {
    let mut tx = db.system().await?;
    let stats = queue::stats(&mut tx).await?;
    let paused: Vec<_> = queue::paused(&mut tx).await?.iter().map(describe_pause).collect();
    let sum = |count: fn(&Stats) -> i64| stats.iter().map(count).sum::<i64>();
    let oldest = stats.iter().filter_map(|stats| stats.oldest_available).fold(0.0, f64::max);
    let dead = sum(|stats| stats.dead);
    let mut wrong = Vec::new();
    if dead > 0 {
        let jobs = count(dead, "job is dead", "jobs are dead");
        wrong.push(format!("{jobs}; to see why: norvalt jobs list --state dead"));
    }
    if oldest > STALE && paused.is_empty() {
        wrong.push(format!(
            "a job has been waiting for {:.0} minutes; does a worker take from its queue?",
            oldest / 60.0
        ));
    }
    let lines: Vec<_> = wrong.iter().chain(&paused).map(String::as_str).collect();
    Ok(match lines.join("\n") {
        lines if !wrong.is_empty() => Wrong(lines),
        lines if !paused.is_empty() => Note(lines),
        _ => {
            let waiting = sum(|stats| stats.available + stats.scheduled + stats.retryable);
            Fine(format!("{waiting} waiting, {} running", sum(|stats| stats.running)))
        }
    })
}

/// Without a worker nothing is done. That is wrong as soon as there is something to do.
async fn workers(db: &Db) -> db::Result<Finding> {
    let mut tx = db.system().await?;
    let known = queue::workers(&mut tx).await?;
    let describe = |worker: &WorkerRecord| {
        let WorkerRecord { host, pid, version, queues, running, slots, .. } = worker;
        format!(
            "{host}, process {pid}, version {version}: {running} of {slots} slots in use, queues {}",
            queues.join(", ")
        )
    };
    let (missing, there): (Vec<_>, Vec<_>) = known.iter().partition(|worker| worker.missing);
    if there.is_empty() {
        let available: i64 = queue::stats(&mut tx).await?.iter().map(|stats| stats.available).sum();
        let remedy = "none runs; start the binary `worker` (the Procfile's worker) with the same DATABASE_URL";
        return Ok(if available > 0 {
            Wrong(format!("{remedy}: {}", count(available, "job waits", "jobs wait")))
        } else {
            Note(remedy.to_owned())
        });
    }
    let mut lines: Vec<_> = there.into_iter().map(describe).collect();
    lines.extend(missing.iter().map(|worker| format!("not seen since {}: {}", time(worker.seen_at), describe(worker))));
    Ok(Fine(lines.join("\n")))
}

async fn deliveries(db: &Db) -> db::Result<Finding> {
    let Stuck { dead, quarantined, unowned, abandoned, .. } = deliveries::stuck(&mut db.system().await?).await?;
    let stuck = [
        (dead, "delivery is dead", "deliveries are dead", "to see why: norvalt deliveries list --status dead"),
        (
            quarantined,
            "delivery is of another Clerk instance",
            "deliveries are of another Clerk instance",
            "to see them: norvalt deliveries list --status quarantined",
        ),
        (
            unowned,
            "delivery is for an address or a page that nobody has",
            "deliveries are for addresses or pages that nobody has",
            "to see them: norvalt deliveries list --status parked",
        ),
        (
            abandoned,
            "delivery has lost its job",
            "deliveries have lost their jobs",
            "to process them: norvalt deliveries replay --status pending",
        ),
    ];
    let stuck = stuck.iter().filter(|(number, ..)| *number > 0);
    let found: Vec<_> =
        stuck.map(|(number, one, several, remedy)| format!("{}; {remedy}", count(*number, one, several))).collect();
    Ok(if found.is_empty() { Fine("none waits for an operator".to_owned()) } else { Wrong(found.join("\n")) })
}

/// A job that could run and waited longer than this many seconds is not being worked on.
const STALE: f64 = 300.0;

/// Whether the last comparison with Clerk waits for an operator.
async fn reconciliation(db: &Db) -> db::Result<Finding> {
    Ok(match clerk::last_reconciliation(&mut db.system().await?).await? {
        None => Fine("none yet".to_owned()),
        Some(last) => match last.refusal {
            None => Fine(format!("done at {}", time(last.ended_at))),
            Some(refusal) => Wrong(format!("refused at {}: {refusal}", time(last.ended_at))),
        },
    })
}

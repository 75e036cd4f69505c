use std::{collections::BTreeSet, process::ExitCode, time::Duration};

use common::{
    clerk::{self, BackendApi, OwnInstance, Stuck},
    config::{ApiConfig, CliConfig, ConfigError, Settings, TelemetryConfig, WorkerConfig},
    db::{self, Db, pending_migrations},
    queue::{self, Stats, WorkerRecord},
    telemetry::chain,
};

use super::jobs::describe_pause;
use crate::table::time;

/// How long anything that is asked may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found out about one thing.
enum Finding {
    Fine(String),
    /// Somebody may want it so.
    Note(String),
    Wrong(String),
}

use Finding::{Fine, Note, Wrong};

/// Looks at everything that the API and the worker need, and says what is wrong and how to mend it.
pub(crate) async fn run() -> ExitCode {
    let mut settings = Settings::from_env();
    TelemetryConfig::read(&mut settings);
    let (api, worker) = (ApiConfig::read(&mut settings.clone()), WorkerConfig::read(&mut settings.clone()));
    let cli = CliConfig::read(&mut settings);
    let problems = [api.as_ref().err(), worker.as_ref().err(), cli.as_ref().err()];
    // What two of them need and neither has is said once.
    let problems: BTreeSet<_> = problems.into_iter().flatten().flat_map(ConfigError::problems).cloned().collect();
    let mut findings = vec![("settings", settings_finding(&problems))];
    if let Ok(config) = &cli {
        let (connected, reachable) = connection(config).await;
        findings.push(("database", connected));
        if reachable {
            findings.extend(database(config).await);
        } else {
            findings.push(("Clerk's Backend API", Fine("not asked: whose key it is, the database tells".to_owned())));
        }
    }
    if let Ok(config) = &api {
        findings.push(("Clerk's public keys", public_keys(&config.clerk.jwks_url).await));
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
        println!("{mark:5}  {what:width$}  {}", text.replace('\n', &format!("\n{:indent$}", "", indent = width + 9)));
    }
    if findings.iter().any(|(_, finding)| matches!(finding, Wrong(_))) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn outcome<E: std::error::Error + 'static>(result: Result<String, E>) -> Finding {
    match result {
        Ok(how) => Fine(how),
        Err(error) => Wrong(chain(&error)),
    }
}

/// Whether the database can be reached, and whether its schema is up to date.
async fn connection(config: &CliConfig) -> (Finding, bool) {
    match tokio::time::timeout(PATIENCE, pending_migrations(&config.database_url)).await {
        Ok(Ok(pending)) if pending.is_empty() => {
            let server = server(config).await.map(|server| format!("{server}: reachable and migrated"));
            (server.map_or_else(|error| Wrong(chain(&error)), Fine), true)
        }
        Ok(Ok(pending)) => (Wrong(format!("{} migrations are pending; run: norvalt migrate", pending.len())), false),
        Ok(Err(error)) => (Wrong(chain(&error)), false),
        Err(_) => (Wrong(format!("no answer within {PATIENCE:?}; is a firewall in between?")), false),
    }
}

/// Which database of which server this is.
async fn server(config: &CliConfig) -> db::Result<String> {
    let db = Db::new(&config.database_url, 1, "norvalt doctor");
    let version = db::server_version(&mut db.system().await?).await?;
    Ok(format!("{:?}, PostgreSQL {version}", config.database_url))
}

async fn database(config: &CliConfig) -> Vec<(&'static str, Finding)> {
    let db = Db::new(&config.database_url, 1, "norvalt doctor");
    let isolated = db.wait_until_usable().await.map(|()| "roles and policies keep them apart".to_owned());
    let queue = queue(&db).await.unwrap_or_else(|error| Wrong(chain(&error)));
    let workers = workers(&db).await.unwrap_or_else(|error| Wrong(chain(&error)));
    let events = events(&db).await.unwrap_or_else(|error| Wrong(chain(&error)));
    let instance = instance(&db, config).await.unwrap_or_else(|error| Wrong(chain(&error)));
    let reconciliation = reconciliation(&db).await.unwrap_or_else(|error| Wrong(chain(&error)));
    vec![
        ("dealerships", outcome(isolated)),
        ("queue", queue),
        ("workers", workers),
        ("Clerk's events", events),
        ("Clerk's instance", instance),
        ("Clerk's Backend API", backend_api(&db, config).await),
        ("Clerk's reconciliation", reconciliation),
    ]
}

async fn queue(db: &Db) -> db::Result<Finding> {
    let mut tx = db.system().await?;
    let stats = queue::stats(&mut tx).await?;
    let paused: Vec<_> = queue::paused(&mut tx).await?.iter().map(describe_pause).collect();
    let sum = |count: fn(&Stats) -> i64| stats.iter().map(count).sum::<i64>();
    let oldest = stats.iter().filter_map(|stats| stats.oldest_available).fold(0.0, f64::max);
    let dead = sum(|stats| stats.dead);
    Ok(if dead > 0 {
        Wrong(format!("{dead} jobs are dead; look at them with: norvalt jobs list --state dead"))
    } else if !paused.is_empty() {
        Note(paused.join("\n"))
    } else if oldest > STALE {
        Wrong(format!("a job has been waiting for {:.0} minutes; is a worker running?", oldest / 60.0))
    } else {
        let waiting = sum(|stats| stats.available + stats.scheduled + stats.retryable);
        Fine(format!("{waiting} waiting, {} running", sum(|stats| stats.running)))
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
            Wrong(format!("{remedy}: {available} jobs wait"))
        } else {
            Note(remedy.to_owned())
        });
    }
    let mut lines: Vec<_> = there.into_iter().map(describe).collect();
    lines.extend(missing.iter().map(|worker| format!("not seen since {}: {}", time(worker.seen_at), describe(worker))));
    Ok(Fine(lines.join("\n")))
}

async fn events(db: &Db) -> db::Result<Finding> {
    let Stuck { dead, quarantined, abandoned } = clerk::stuck(&mut db.system().await?).await?;
    let stuck = [
        (dead, "are dead; look at them with: norvalt events list --status dead"),
        (quarantined, "are of another Clerk instance; look at them with: norvalt events list --status quarantined"),
        (abandoned, "have lost their job; process them with: norvalt events replay --status pending"),
    ];
    let found: Vec<_> = stuck.iter().filter(|(count, _)| *count > 0).map(|(n, what)| format!("{n} {what}")).collect();
    Ok(if found.is_empty() { Fine("none waits for an operator".to_owned()) } else { Wrong(found.join("\n")) })
}

/// A job that could run and waited longer than this many seconds is not being worked on.
const STALE: f64 = 300.0;

async fn public_keys(url: &str) -> Finding {
    let keys = async {
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        client.get(url).send().await?.error_for_status()?.json::<serde_json::Value>().await
    };
    match keys.await {
        Ok(set) if set["keys"].as_array().is_some_and(|keys| !keys.is_empty()) => Fine(url.to_owned()),
        Ok(_) => Wrong(format!("{url} has no keys; check CLERK_PUBLISHABLE_KEY and CLERK_JWKS_URL")),
        Err(error) => Wrong(format!(
            "{url} cannot be read: {}\nlet this host reach it over HTTPS (DNS, firewall, proxy), and check CLERK_PUBLISHABLE_KEY; \
             where the keys are elsewhere, set CLERK_JWKS_URL",
            chain(&error)
        )),
    }
}

/// The instance that the database belongs to.
async fn instance(db: &Db, config: &CliConfig) -> db::Result<Finding> {
    let own = clerk::own_instance(&mut db.system().await?).await?;
    let configured = &config.clerk_instance;
    Ok(match (own, configured) {
        (Some(OwnInstance { id, learnt_from, .. }), Some(configured)) if id != *configured => Wrong(format!(
            "CLERK_INSTANCE_ID is {configured}, but this database belongs to {id} (according to the {learnt_from})\n\
             is DATABASE_URL the right one? Events and keys of both are refused until they agree;\n\
             if the database has the wrong one: norvalt instance --set"
        )),
        (Some(OwnInstance { id, learnt_from, .. }), _) => {
            Fine(format!("{id}, according to the {learnt_from}; events and keys of any other are refused"))
        }
        (None, Some(configured)) => Fine(format!("{configured}, once the first webhook or norvalt sync confirms it")),
        (None, None) => Fine("not known yet; CLERK_INSTANCE_ID says it, or the first signed event".to_owned()),
    })
}

async fn backend_api(db: &Db, config: &CliConfig) -> Finding {
    let Some(clerk) = &config.clerk else {
        return Fine("not used: CLERK_SECRET_KEY is not set".to_owned());
    };
    match tokio::time::timeout(PATIENCE, BackendApi::verified(db, clerk)).await {
        Ok(Ok(api)) => match api.instance() {
            Some(id) => Fine(format!("{} accepts the key of {id}", clerk.url)),
            None => Fine(format!("{} accepts the key, and has what is known here", clerk.url)),
        },
        Ok(Err(error)) => Wrong(chain(&error)),
        Err(_) => {
            Wrong(format!("{} gave no answer within {PATIENCE:?}; check CLERK_API_URL and the network", clerk.url))
        }
    }
}

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

//! Those who mean harm beside those who want to work, all at once, on the real API.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use chrono::TimeDelta;
use dev::hostile::Hostile;
use futures::future::join_all;
use reqwest::{Client, Method};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};
use tests::{
    app::{Dealership, TestApp},
    load::{Load, What},
    processes::{Signal, command, ended, resident_memory, signal, start_api_as},
};
use tokio::time::{Instant, sleep};

const PEOPLE: u8 = 10;
/// How long the attack lasts.
const ATTACK: Duration = Duration::from_secs(10);
/// Between two requests of one person.
const PAUSE: Duration = Duration::from_millis(200);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// In MiB, of the API: 150 MB.
const MEMORY: usize = 143;
/// As many as the API has by default; one that cancels what nobody waits for, one that asks whether
/// it is ready, and one that is opened in place of another while that is being ended.
const CONNECTIONS: i64 = 8;
const OTHER_CONNECTIONS: i64 = 3;
/// Without the processes that work for a statement of another one.
const POOL: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND application_name = 'norvalt api' AND backend_type = 'client backend'";
const BACKENDS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND application_name LIKE 'norvalt api%' AND backend_type = 'client backend'";

/// What became of requests.
#[derive(Debug, Default)]
struct Outcome {
    asked: usize,
    done: usize,
    slowest: Duration,
    refused: BTreeMap<String, usize>,
}

/// An ordinary day of one person, from an address of their own.
async fn work(url: &str, from: IpAddr, token: String, until: Instant) -> Outcome {
    let client =
        Client::builder().local_address(from).timeout(REQUEST_TIMEOUT).build().expect("there is nothing to refuse");
    let mut outcome = Outcome::default();
    let mut lead = String::new();
    for n in 0.. {
        if Instant::now() >= until {
            break;
        }
        let one = format!("/api/v1/leads/{lead}");
        let (method, path) = match n % 3 {
            0 => (Method::POST, "/api/v1/leads"),
            1 => (Method::GET, "/api/v1/leads"),
            _ => (Method::GET, &*one),
        };
        let mut request = client.request(method.clone(), format!("{url}{path}")).bearer_auth(&token);
        if method == Method::POST {
            request = request.json(&json!({ "customer_email": "kunde@example.no", "source": "website" }));
        }
        let asked = Instant::now();
        outcome.asked += 1;
        match request.send().await {
            Ok(answer) if answer.status().is_success() => {
                let body = answer.json::<serde_json::Value>().await.unwrap_or_default();
                if let Some(id) = body["id"].as_str() {
                    id.clone_into(&mut lead);
                }
                outcome.done += usize::from(body.is_object());
            }
            Ok(answer) => *outcome.refused.entry(format!("{method} {}", answer.status())).or_default() += 1,
            Err(error) => *outcome.refused.entry(format!("{method} {error:?}")).or_default() += 1,
        }
        outcome.slowest = outcome.slowest.max(asked.elapsed());
        sleep(PAUSE).await;
    }
    outcome
}

/// Many leads that a search has to look at, and some that make long answers.
async fn fill(app: &TestApp, hostile: &str) {
    let insert = format!(
        "INSERT INTO leads (dealership_id, source, customer_email, customer_name, initial_message, created_at)
         SELECT '{hostile}', 'website', 'kunde@example.no', repeat('a', 200),
                CASE WHEN n <= 200 THEN repeat('😀', 20000) END, now() - n * interval '1 s'
         FROM generate_series(1, 5000) n"
    );
    app.connect().await.execute(AssertSqlSafe(insert)).await.expect("valid leads");
}

/// Valid for longer than any machine needs for the preparations.
fn token(app: &TestApp, dealership: &Dealership<'_>) -> String {
    dealership.admin().session().ttl(TimeDelta::minutes(10)).mint(&app.clerk.key())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_means_harm_harms_nobody_else() {
    let app = TestApp::start().await;
    let hostile = app.dealership("Hostile").await;
    fill(&app, &hostile.id.to_string()).await;
    let mut tokens = Vec::new();
    for n in 0..PEOPLE {
        tokens.push(token(&app, &app.dealership(&format!("Dealership {n}")).await));
    }
    // Those of the API in this process, which nobody uses from now on.
    let idle = app.count(POOL).await;
    let (mut api, url) = start_api_as(command("api", &app.database_url), &app.clerk).await;
    let address: SocketAddr = url.strip_prefix("http://").expect("an address").parse().expect("an address");
    let before = resident_memory(&api);

    let stranger = Hostile::stranger([127, 0, 0, 2].into(), address);
    let words = format!("{}b", "a".repeat(199));
    let seller = Hostile::seller([127, 0, 0, 3].into(), address, &token(&app, &hostile), &words);
    let load = Load::start(What::Webhooks, &url, 2);
    let until = Instant::now() + ATTACK;
    let working =
        join_all(tokens.into_iter().zip(10..).map(|(token, n)| work(&url, [127, 0, 0, n].into(), token, until)));
    let watching = async {
        let (mut memory, mut pool, mut backends) = (before, 0, 0);
        while Instant::now() < until {
            memory = memory.max(resident_memory(&api));
            pool = pool.max(app.count(POOL).await);
            backends = backends.max(app.count(BACKENDS).await);
            sleep(Duration::from_millis(20)).await;
        }
        (memory, pool - idle, backends - idle)
    };
    let (outcomes, (memory, pool, backends)) = tokio::join!(working, watching);
    let webhooks = load.end().await;
    drop((stranger, seller));

    let asked: usize = outcomes.iter().map(|outcome| outcome.asked).sum();
    let done: usize = outcomes.iter().map(|outcome| outcome.done).sum();
    let slowest = outcomes.iter().map(|outcome| outcome.slowest).max().expect("there are people");
    let refused: Vec<_> = outcomes.into_iter().flat_map(|outcome| outcome.refused).collect();
    let refused_webhooks: u32 = webhooks.refused.values().sum();
    println!(
        "people: {done} of {asked}, the slowest after {slowest:?}; webhooks: {} and {refused_webhooks} refused; \
         {before} MiB, at most {memory} MiB; at most {pool} connections in the pool and {backends} in all",
        webhooks.acknowledged.len()
    );
    assert!(asked >= 50 && webhooks.acknowledged.len() >= 10, "nothing was measured");
    assert!(done * 100 >= asked * 99, "{done} of {asked}: {refused:?}");
    let acknowledged = webhooks.acknowledged.len();
    assert!(acknowledged >= 99 * usize::try_from(refused_webhooks).expect("few"), "{:?}", webhooks.refused);
    assert!(memory <= MEMORY, "{before} MiB, then {memory} MiB");
    assert!(pool <= CONNECTIONS && backends <= CONNECTIONS + OTHER_CONNECTIONS, "{pool} and {backends}");

    signal(&api, Signal::TERM);
    assert_eq!(ended(&mut api).await.code(), Some(0), "all requests were answered");
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    while app.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()").await > 0 {
        assert!(Instant::now() < deadline, "statements of a process that has ended go on");
        sleep(Duration::from_millis(20)).await;
    }
}

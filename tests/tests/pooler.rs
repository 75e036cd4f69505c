//! What may stand between us and PostgreSQL is found out by how it behaves.

use std::{cell::Cell, time::Duration};

use common::{
    config::{CliConfig, Settings},
    db::{DatabaseUrl, Db, Identity, NotUsable, UnusablePooler},
};
use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::json;
use tests::{
    answer::Answer,
    app::TestApp,
    cluster::database,
    pgbouncer::{PgBouncer, SKIPPED, version},
};
use tokio::time::timeout;

const TRANSACTION_MODE: &str = "pool_mode = transaction\ndefault_pool_size = 3";
/// More than the pooler has connections; who waits for longer than a rush lasts is refused.
const AT_ONCE: usize = 12;

async fn start(url: &str, direct: Option<&str>) -> Result<(), NotUsable> {
    let settings = [("DATABASE_URL", Some(url)), ("DIRECT_DATABASE_URL", direct)];
    let settings = settings.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned())));
    let config = CliConfig::read(&mut Settings::from_values(settings)).expect("valid settings");
    Db::new(&config.database_url, 2, "tests").wait_until_usable().await
}

async fn write(app: &TestApp, times: usize) {
    let oslo = app.dealership("Tesla Oslo").await;
    // More than one person may have under way.
    let people = [oslo.admin(), oslo.member("jonas", "org:member").await];
    let create = async |n: usize| {
        let lead = json!({ "customer_name": format!("Kunde {n}"), "customer_email": "kunde@example.no" });
        let person = &people[n % people.len()];
        Answer::of(person.request(Method::POST, "/api/v1/leads").json(&lead)).await.expect(201);
    };
    stream::iter(0..times).for_each_concurrent(AT_ONCE, create).await;
    assert_eq!(people[0].get("/api/v1/leads").await.expect(200)["total"], times);
}

#[tokio::test]
async fn in_session_mode_nothing_is_to_be_done() {
    if version().await.is_none() {
        return println!("{SKIPPED}");
    }
    let database = database().await;
    let bouncer = PgBouncer::before(&database.url, "pool_mode = session\ndefault_pool_size = 50").await;
    start(&bouncer.url, None).await.expect("a session is all that is needed");
    write(&TestApp::start_on(&bouncer.url, |_| {}).await, 20).await;
}

#[tokio::test]
async fn one_that_loses_prepared_statements_is_refused() {
    let Some(version) = version().await else { return println!("{SKIPPED}") };
    let database = database().await;
    let without = if version < (1, 21) { "" } else { "\nmax_prepared_statements = 0" };
    let bouncer = PgBouncer::before(&database.url, &format!("{TRANSACTION_MODE}{without}")).await;
    for direct in [None, Some(database.url.as_str())] {
        let refused = start(&bouncer.url, direct).await.expect_err("statements are lost");
        assert!(matches!(refused, NotUsable::Pooler(UnusablePooler::NoPreparedStatements)), "{refused}");
        assert!(refused.to_string().contains("1.21") && refused.to_string().contains("max_prepared_statements"));
    }
}

#[tokio::test]
async fn in_transaction_mode_sessions_take_the_direct_way() {
    if version().await.is_none_or(|version| version < (1, 21)) {
        return println!("{SKIPPED} 1.21 or later");
    }
    let database = database().await;
    let bouncer = PgBouncer::before(&database.url, &format!("{TRANSACTION_MODE}\nmax_prepared_statements = 200")).await;
    let refused = start(&bouncer.url, None).await.expect_err("there is no direct way");
    assert!(matches!(refused, NotUsable::Pooler(UnusablePooler::NoDirectUrl)), "{refused}");
    let refused = start(&bouncer.url, Some(&bouncer.url)).await.expect_err("that is not direct");
    assert!(matches!(refused, NotUsable::Pooler(UnusablePooler::DirectUrlIsPooled)), "{refused}");
    start(&bouncer.url, Some(&database.url)).await.expect("all that is needed");
    let direct = database.url.parse::<DatabaseUrl>().expect("a URL");
    let app = TestApp::start_on(&bouncer.url, |config| {
        config.database_url = config.database_url.clone().with_direct(direct);
    });
    write(&app.await, 96).await;
}

#[tokio::test]
async fn in_transaction_mode_nobody_keeps_a_server_process_from_others() {
    if version().await.is_none_or(|version| version < (1, 21)) {
        return println!("{SKIPPED} 1.21 or later");
    }
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (user, organization) = (oslo.admin().user.clone(), Some(oslo.org.clone()));
    let kari = Identity { user, organization, impersonator: None };
    // Finding out what is in between takes two.
    let two = "pool_mode = transaction\ndefault_pool_size = 2\nmax_prepared_statements = 200";
    let bouncer = PgBouncer::before(&app.database_url, two).await;
    let [url, direct] = [&bouncer.url, &app.database_url].map(|url| url.parse::<DatabaseUrl>().expect("a URL"));
    let [busy, other] = ["busy", "other"].map(|name| Db::new(&url.clone().with_direct(direct.clone()), 2, name));
    for db in [&busy, &other] {
        db.wait_until_usable().await.expect("all that is needed");
    }
    let done = Cell::new(false);
    let reading = async || {
        while !done.get() {
            busy.enter(&kari).await.expect("a member").tx.leave();
        }
    };
    let waiting = async {
        for _ in 0..10 {
            let turn = timeout(Duration::from_secs(1), other.system()).await.expect("in time");
            turn.expect("its turn").commit().await.expect("it commits");
        }
        done.set(true);
    };
    let shared = async { tokio::join!(reading(), reading(), waiting) };
    timeout(Duration::from_secs(20), shared).await.expect("it is shared");
}

//! Two servers of which one is lost: what was acknowledged is there, and nobody restarts anything. `docs/scaling/fail-over.md`
//! is what an operator does for it.

mod asynchronous;
mod stalled;

use std::{thread, time::Duration};

use sqlx::{Connection, PgConnection};
use tests::{
    cluster::{PrivateCluster, private_cluster},
    haproxy::HaProxy,
    inquirers::Inquirers,
    pgbouncer::{self, PgBouncer},
    processes::command,
    proxy::Proxy,
    test_system::TestSystem,
};
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

/// Within this time of the promotion everybody writes again.
const WRITES_AGAIN: Duration = Duration::from_secs(5);
/// Each sender of a kind has been answered about once.
const ENOUGH: usize = 10;

/// A primary and its standby.
struct Pair {
    primary: PrivateCluster,
    standby: PrivateCluster,
}

impl Pair {
    async fn asynchronous() -> Self {
        let mut primary = private_cluster().await;
        let standby = primary.standby().await;
        let pair = Self { primary, standby };
        pair.wait_for("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')").await;
        pair
    }

    async fn synchronous() -> Self {
        let mut primary = private_cluster().await;
        let standby = primary.synchronous_standby().await;
        Self { primary, standby }
    }

    async fn wait_for(&self, condition: &'static str) {
        let mut superuser = self.primary.connect().await;
        let met = async {
            while !sqlx::query_scalar::<_, bool>(condition).fetch_one(&mut superuser).await.expect("valid") {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), met).await.expect(condition);
    }
}

/// What is between the binaries and the servers.
trait Way {
    /// For somebody who does not change what they were told at the start.
    fn url(&self) -> &str;

    /// The standby has been promoted, or is about to be. Who finds that out themselves is told nothing.
    fn switch(&self, _to: &PrivateCluster) {}
}

impl Way for HaProxy {
    fn url(&self) -> &str {
        &self.url
    }
}

impl Way for Proxy {
    fn url(&self) -> &str {
        Self::url(self)
    }

    fn switch(&self, to: &PrivateCluster) {
        self.lead_to(&to.url);
    }
}

/// What the binaries are told.
#[derive(Clone, Copy)]
struct Urls<'a> {
    database: &'a str,
    /// For what a pooler in transaction mode cannot carry.
    direct: Option<&'a str>,
}

impl<'a> Urls<'a> {
    fn one(database: &'a str) -> Self {
        Self { database, direct: None }
    }

    fn command(&self, name: &str) -> Command {
        let mut command = command(name, self.database);
        command.envs(self.direct.map(|direct| ("DIRECT_DATABASE_URL", direct)));
        command
    }
}

/// Where it is not installed, our own, which does not find out by itself who the primary is.
async fn haproxy(pair: &Pair) -> Box<dyn Way> {
    if let Some(proxy) = HaProxy::before(&[&pair.primary, &pair.standby]).await {
        return Box::new(proxy);
    }
    println!("there is no HAProxy here: through the tests' own proxy");
    Box::new(Proxy::before(&pair.primary.url).await)
}

/// Everybody works, the primary is lost, and everybody works on. The binaries are given `urls`; `during` is done between the
/// loss and the promotion.
async fn fail_over(pair: &Pair, way: &dyn Way, urls: Urls<'_>, during: impl AsyncFnOnce()) {
    let system = TestSystem::open_with(way.url(), urls.database, 2, |name| urls.command(name)).await;
    let inquirers = Inquirers::start(&system, way.url()).await;
    inquirers.carry_on(ENOUGH).await;
    let lost = Instant::now();
    pair.primary.kill();
    during().await;
    pair.standby.promote().await;
    let promoted = Instant::now();
    way.switch(&pair.standby);
    let ((), wrote_again) = tokio::join!(system.carry_on(20), inquirers.carry_on(1));
    println!(
        "{}: promoted {:.1} s after the loss; writes again after {:.1} s",
        thread::current().name().unwrap_or_default(),
        (promoted - lost).as_secs_f32(),
        wrote_again.as_secs_f32()
    );
    system.recover("the loss of the primary", promoted).await;
    inquirers.carry_on(ENOUGH).await;
    let inquiries = inquirers.end().await;
    // Its processes are those from before, and end when they are told to.
    let tally = system.close().await;
    println!("{inquiries}{tally}");
    inquiries.expect_exactly_once();
    tally.expect_exactly_once();
    assert!(wrote_again <= WRITES_AGAIN, "{wrote_again:?}");
}

#[tokio::test]
async fn a_lost_primary_is_followed_by_its_standby() {
    let pair = Pair::synchronous().await;
    let way = haproxy(&pair).await;
    fail_over(&pair, &*way, Urls::one(way.url()), async || sleep(Duration::from_secs(1)).await).await;
}

#[tokio::test]
async fn a_name_that_leads_to_a_standby_before_it_is_promoted() {
    let pair = Pair::synchronous().await;
    let way = Proxy::before(&pair.primary.url).await;
    let switched = async || {
        way.switch(&pair.standby);
        sleep(Duration::from_secs(3)).await;
    };
    fail_over(&pair, &way, Urls::one(way.url()), switched).await;
}

#[tokio::test]
async fn an_old_primary_that_comes_back_by_mistake_gets_no_connections() {
    const WHERE: &str = "SELECT current_setting('data_directory')";
    let mut pair = Pair::asynchronous().await;
    let Some(way) = HaProxy::before(&[&pair.primary, &pair.standby]).await else {
        return println!("skipped: needs HAProxy");
    };
    let leads_to = async || -> Option<String> {
        let mut superuser = PgConnection::connect(way.url()).await.ok()?;
        sqlx::query_scalar(WHERE).fetch_one(&mut superuser).await.ok()
    };
    let primary = pair.primary.directory().join("data").display().to_string();
    assert_eq!(leads_to().await, Some(primary.clone()));
    pair.primary.kill();
    pair.standby.promote().await;
    let elsewhere = async {
        while leads_to().await.is_none_or(|place| place == primary) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(WRITES_AGAIN, elsewhere).await.expect("it finds the new primary");
    pair.primary.restart_immediate().await;
    for _ in 0..10 {
        sleep(Duration::from_millis(200)).await;
        assert!(leads_to().await.is_some_and(|place| place != primary));
    }
}

#[tokio::test]
async fn a_lost_primary_behind_a_pooler() {
    if pgbouncer::version().await.is_none() {
        return println!("{}", pgbouncer::SKIPPED);
    }
    let pair = Pair::synchronous().await;
    let Some(way) = HaProxy::before(&[&pair.primary, &pair.standby]).await else {
        return println!("skipped: needs HAProxy");
    };
    let settings = "pool_mode = session\ndefault_pool_size = 50\nserver_login_retry = 1";
    let bouncer = PgBouncer::before(way.url(), settings).await;
    fail_over(&pair, &way, Urls::one(&bouncer.url), async || sleep(Duration::from_secs(1)).await).await;
}

#[tokio::test]
async fn a_lost_primary_behind_a_pooler_in_transaction_mode() {
    // Older ones lose prepared statements.
    if pgbouncer::version().await.is_none_or(|version| version < (1, 21)) {
        return println!("{} 1.21 or later", pgbouncer::SKIPPED);
    }
    let pair = Pair::synchronous().await;
    let Some(way) = HaProxy::before(&[&pair.primary, &pair.standby]).await else {
        return println!("skipped: needs HAProxy");
    };
    let settings =
        "pool_mode = transaction\nmax_prepared_statements = 200\ndefault_pool_size = 50\nserver_login_retry = 1";
    let bouncer = PgBouncer::before(way.url(), settings).await;
    let urls = Urls { database: &bouncer.url, direct: Some(way.url()) };
    fail_over(&pair, &way, urls, async || sleep(Duration::from_secs(1)).await).await;
}

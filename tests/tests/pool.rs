//! Connections are shared: whoever is done leaves one at once, and whoever waits gets one.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use common::{
    db::{AccessError, Db, Identity},
    ids::ClerkUserId,
    leads,
};
use futures::future::join_all;
use rustix::process::{Pid, Signal, kill_process};
use tests::app::TestApp;
use tokio::{
    runtime,
    time::{Instant, sleep, timeout},
};

const SOON: Duration = Duration::from_secs(5);
const OPEN: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'pool' AND state LIKE 'idle in transaction%'";
const BACKENDS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'pool'";

async fn db(app: &TestApp, connections: u32) -> Db {
    let db = Db::new(&app.database_url.parse().expect("a URL"), connections, "pool");
    db.wait_until_usable().await.expect("it is migrated");
    db
}

fn identity(user: &str, organization: &str) -> Identity {
    let user = user.parse().expect("printable");
    Identity { user, organization: organization.parse().ok(), impersonator: None }
}

async fn read(db: &Db, who: &Identity) {
    let tenant = db.enter(who).await.expect("a member");
    assert_eq!(tenant.caller.clerk_user_id, who.user);
    tenant.tx.leave();
}

async fn until_none(app: &TestApp, count: &'static str) {
    let none = async {
        while app.count(count).await > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, none).await.expect("nobody needs to come for it");
}

/// What could be in the way of whoever reads and writes rows: locks other than a reader's, and snapshots.
const HELD: &str = "SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid)
    WHERE pg_stat_activity.datname = current_database() AND application_name = 'pool'
      AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL OR mode <> 'AccessShareLock' AND locktype <> 'virtualxid')";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_were_left_keep_nobody_waiting() {
    const READERS: usize = 8;
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("Tesla Bergen").await);
    let people = [&oslo, &bergen].map(|of| identity(of.admin().user.as_str(), of.org.as_str()));
    let db = db(&app, 1).await;
    let turns = AtomicUsize::new(0);
    // Of one connection, which is never free for long. Whoever waits has all others before them once, or twice when they come
    // in the middle of a turn.
    let in_turn = async |turn: &mut (dyn Future<Output = ()> + Unpin)| {
        let before = turns.fetch_add(1, Ordering::Relaxed);
        turn.await;
        let passed = turns.load(Ordering::Relaxed) - before;
        assert!(passed <= 2 * (READERS + 1), "{passed} had their turn before");
    };
    let reading = async |who: &Identity| {
        for _ in 0..100 {
            in_turn(&mut Box::pin(read(&db, who))).await;
        }
    };
    let waiting = async {
        for _ in 0..100 {
            in_turn(&mut Box::pin(async { db.system().await.expect("its turn").commit().await.expect("it commits") }))
                .await;
        }
    };
    tokio::join!(join_all((0..READERS).map(|n| reading(&people[n % 2]))), waiting);
    read(&db, &people[0]).await;
    until_none(&app, OPEN).await;
    assert_eq!(db.pool_use().in_use, 0);
}

#[tokio::test]
async fn those_who_leave_transactions_do_not_keep_a_pool_open() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = identity(oslo.admin().user.as_str(), oslo.org.as_str());
    let db = db(&app, 1).await;
    let reading = async {
        while let Ok(tenant) = db.enter(&kari).await {
            tenant.tx.leave();
        }
    };
    let closing = async {
        sleep(Duration::from_millis(100)).await;
        timeout(Duration::from_secs(2), db.close()).await.expect("it waits for one transaction");
    };
    timeout(SOON, async { tokio::join!(reading, closing) }).await.expect("whoever comes later is refused");
    until_none(&app, BACKENDS).await;
}

#[tokio::test]
async fn a_transaction_that_was_left_holds_next_to_nothing_and_ends_with_its_runtime() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = identity(oslo.admin().user.as_str(), oslo.org.as_str());
    let url = app.database_url.clone();
    // Nothing but this runs there, so what ends the transaction does not.
    let starved = thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let db = runtime.block_on(async {
            let db = Db::new(&url.parse().expect("a URL"), 1, "pool");
            db.wait_until_usable().await.expect("it is migrated");
            read(&db, &kari).await;
            db
        });
        (runtime, db)
    });
    let (runtime, _db) = starved.join().expect("it does not panic");
    assert_eq!((app.count(OPEN).await, app.count(HELD).await), (1, 0));
    runtime.shutdown_background();
    until_none(&app, OPEN).await;
}

/// Starts what goes on for 20 seconds, however often it is cancelled.
const STUBBORN: &str = "CREATE FUNCTION stubborn() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE until timestamptz := clock_timestamp() + '20 s';
    BEGIN
      WHILE clock_timestamp() < until LOOP
        BEGIN PERFORM pg_sleep(1); EXCEPTION WHEN query_canceled THEN NULL; END;
      END LOOP;
      RETURN OLD;
    END $$;
    CREATE TRIGGER stubborn BEFORE DELETE ON leads FOR EACH ROW EXECUTE FUNCTION stubborn()";

#[tokio::test]
async fn what_cannot_be_cancelled_is_ended_and_keeps_nobody_else_waiting() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, lead) = (identity(oslo.admin().user.as_str(), oslo.org.as_str()), oslo.lead("Ola Nordmann").await.id);
    sqlx::raw_sql(STUBBORN).execute(&mut app.connect().await).await.expect("valid");
    let db = db(&app, 2).await;
    let mut tenant = db.enter(&kari).await.expect("a member");
    let delete = leads::delete(&mut tenant.tx, lead);
    timeout(Duration::from_millis(300), delete).await.expect_err("it takes long");
    drop(tenant);
    sleep(Duration::from_millis(200)).await;
    let until = Instant::now() + Duration::from_secs(2);
    let reading = async {
        while Instant::now() < until {
            read(&db, &kari).await;
        }
    };
    let waiting = async {
        while Instant::now() < until {
            let turn = timeout(Duration::from_millis(500), db.system()).await.expect("in time");
            turn.expect("its turn").commit().await.expect("it commits");
        }
    };
    tokio::join!(reading, waiting);
    let ended = async {
        while db.pool_use().in_use > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, ended).await.expect("it is ended");
    assert!(app.count(BACKENDS).await <= 1, "it is gone");
}

/// A process that does nothing for as long as this is there. Left so, it would stop all of its cluster at the next DROP DATABASE.
struct Stopped(Pid);

impl Stopped {
    fn now(pid: Pid) -> Self {
        kill_process(pid, Signal::STOP).expect("it is there");
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // An error means that it is gone.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

#[tokio::test]
async fn a_server_process_that_does_not_answer_counts_until_it_is_gone() {
    let app = TestApp::start().await;
    let db = db(&app, 1).await;
    db.system().await.expect("it is there").commit().await.expect("it commits");
    let pid =
        "SELECT pid::bigint FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pool'";
    let pid = i32::try_from(app.count(pid).await).ok().and_then(Pid::from_raw).expect("a process");
    let stopped = Stopped::now(pid);
    let refused = async {
        db.system().await.expect_err("there is only one connection");
    };
    let counting = async {
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            assert_eq!(app.count(BACKENDS).await, 1);
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(refused, counting);
    drop(stopped);
    timeout(SOON, db.system()).await.expect("in time").expect("there is another").commit().await.expect("it commits");
    assert_eq!(app.count(BACKENDS).await, 1);
}

#[tokio::test]
async fn no_id_is_more_than_an_id() {
    let app = TestApp::start().await;
    let db = db(&app, 1).await;
    for user in ["'", "''", "\\", "\\'", "'),now()--", "';RESET", "$1", "$$", "user_1;COMMIT"] {
        let user: ClerkUserId = user.parse().expect("printable");
        for _ in 0..2 {
            let refused = db.enter(&identity(user.as_str(), "org_nobody")).await.expect_err("nobody");
            assert!(matches!(refused, AccessError::NotAMember), "{user}: {refused:?}");
        }
    }
    assert_eq!(db.pool_use().idle + db.pool_use().in_use, 1, "the connection was good enough each time");
}

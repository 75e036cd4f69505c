//! Connections are shared: whoever is done leaves one at once, and whoever waits gets one.

use std::time::Duration;

use common::{
    db::{AccessError, Db, Identity},
    ids::ClerkUserId,
};
use futures::future::join_all;
use tests::app::TestApp;
use tokio::time::{Instant, sleep, timeout};

const SOON: Duration = Duration::from_secs(5);
const OPEN: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'pool%' AND state LIKE 'idle in transaction%'";

async fn db(app: &TestApp, connections: u32) -> Db {
    let db = Db::new(&app.database_url.parse().expect("a URL"), connections, "pool");
    db.wait_until_usable().await.expect("it is migrated");
    db
}

fn identity(user: &str, organization: &str) -> Identity {
    let user = user.parse().expect("printable");
    Identity { user, organization: organization.parse().ok(), impersonator: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_were_left_end_and_keep_nobody_waiting() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("Tesla Bergen").await);
    let people = [&oslo, &bergen].map(|of| identity(of.admin().user.as_str(), of.org.as_str()));
    let db = db(&app, 1).await;
    let until = Instant::now() + Duration::from_secs(1);
    let reading = async |who: &Identity| {
        let mut entered = 0;
        while Instant::now() < until {
            let tenant = db.enter(who).await.expect("a member");
            assert_eq!(tenant.caller.clerk_user_id, who.user);
            tenant.tx.leave();
            entered += 1;
        }
        entered
    };
    // Of one connection, which is never free for long.
    let waiting = async {
        sleep(Duration::from_millis(100)).await;
        for _ in 0..20 {
            timeout(SOON, db.system()).await.expect("in time").expect("its turn").commit().await.expect("it commits");
        }
    };
    let (entered, ()) = tokio::join!(join_all((0..8).map(|n| reading(&people[n % 2]))), waiting);
    assert!(entered.iter().all(|entered| *entered > 0), "{entered:?}");
    db.enter(&people[0]).await.expect("a member").tx.leave();
    let ended = async {
        while app.count(OPEN).await > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(2), ended).await.expect("nobody needs to come for it");
    assert_eq!(db.pool_use().in_use, 0);
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

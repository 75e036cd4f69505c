//! Without a synchronous standby, what was acknowledged last is lost with its primary. What that is can be found out.

use std::time::Duration;

use dev::stand_ins::clerk::Event;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::Answer,
    app::{TestApp, WEBHOOK_SECRET},
    cluster::PrivateCluster,
    proxy::Proxy,
};
use tokio::time::{sleep, timeout};

use super::Pair;
use crate::cli::norvalt;

/// How many were received, of all days: from Clerk, and by forms.
async fn received(url: &str) -> [i64; 2] {
    let rows = norvalt(&["deliveries", "--json", "ledger"], &[("DATABASE_URL", url)]).await.done();
    let rows: Value = serde_json::from_str(&rows).expect("JSON");
    let rows = rows.as_array().expect("rows");
    ["clerk", "form"].map(|source| {
        let of_source = rows.iter().filter(|row| row["source"] == source);
        of_source.map(|row| row["received"].as_i64().expect("a count")).sum()
    })
}

/// An organization is founded, and Clerk's webhook is acknowledged.
async fn found(app: &TestApp, name: &str) {
    let event: Event = app
        .clerk
        .change(|instance, now| {
            let (_, mut events) = instance.create_organization(name, now)?;
            Ok((events.remove(0), Vec::new()))
        })
        .expect("a valid change");
    app.deliver(&format!("msg_{name}"), &event.body()).await.expect(202);
}

#[tokio::test]
async fn what_was_lost_without_a_synchronous_standby_is_known() {
    let mut pair = Pair::asynchronous().await;
    let way = Proxy::before(&pair.primary.url).await;
    let app = TestApp::start_on(way.url(), |_| {}).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let form = |n: usize| json!({ "email": format!("kunde{n}@example.no"), "message": "Hei" });
    let fill_in = async |n: usize| {
        let path = format!("/webhooks/form/{}", oslo.id);
        Answer::of(app.request(Method::POST, &path).json(&form(n))).await.expect(200)
    };
    found(&app, "kept").await;
    fill_in(0).await;
    pair.wait_for("SELECT pg_current_wal_lsn() = replay_lsn FROM pg_stat_replication").await;

    // It has fallen behind when the primary is lost.
    pair.standby.stop().await;
    found(&app, "lost").await;
    let receipts = [fill_in(1).await, fill_in(2).await];
    pair.primary.kill();
    pair.standby.start().await;
    pair.standby.promote().await;
    way.lead_to(&pair.standby.url);
    let ready = async {
        while app.get("/health/ready").await.status != 200 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(10), ready).await.expect("it serves from the standby");
    for receipt in &receipts {
        let path = format!("/api/v1/leads/{}", receipt["lead_id"].as_str().expect("a receipt"));
        oslo.admin().get(&path).await.expect_problem(404, "lead-not-found");
    }

    // The ledgers of both say how much is missing, as soon as the old primary's disk can be read.
    let mut old: PrivateCluster = pair.primary;
    old.restart_immediate().await;
    let (before, after) = (received(&old.url).await, received(&pair.standby.url).await);
    assert_eq!((before, after), ([2, 3], [1, 1]));

    // What Clerk told comes back by asking it.
    let (clerk, jwks) = (app.clerk.url(), app.clerk.jwks_url());
    let environment = [
        ("DATABASE_URL", way.url()),
        ("CLERK_API_URL", &clerk),
        ("CLERK_JWKS_URL", &jwks),
        ("CLERK_SECRET_KEY", "sk_test_stand_in"),
        ("CLERK_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("CLERK_INSTANCE_ID", dev::stand_ins::clerk::INSTANCE_ID),
    ];
    norvalt(&["sync", "--allow-mass-deletion"], &environment).await.done();
    assert_eq!(
        app.count("SELECT count(*) FROM dealerships WHERE name IN ('kept', 'lost') AND closed_at IS NULL").await,
        2
    );
}

//! Who asks before, while and after their membership comes or goes. See `docs/adr/0005`.

use common::{
    clerk::process,
    config::{Settings, WorkerConfig},
};
use reqwest::StatusCode;
use serde_json::Value;
use sqlx::Executor;
use tests::{
    app::TestApp,
    clerk_events::{Membership, deleted, organization},
};
use tokio::sync::oneshot;

fn kari() -> Membership<'static> {
    Membership {
        id: "orgmem_kari",
        org: "org_1",
        org_name: "Tesla Oslo",
        org_at: 1_000,
        user: "user_kari",
        first_name: "Kari",
        identifier: Some("kari@example.no"),
        role: "org:admin",
        at: 2_000,
    }
}

/// The event arrives and is processed.
async fn hear(app: &TestApp, svix_id: &str, event: &Value) {
    app.deliver(svix_id, event).await.expect(202);
    let id = app.count("SELECT max(id) FROM deliveries").await;
    let mut tx = app.db.system().await.expect("the database is there");
    process(&mut tx, id).await.expect("it can be processed");
    tx.commit().await.expect("the database is there");
}

async fn me(app: &TestApp) -> tests::answer::Answer {
    let token =
        dev::stand_ins::clerk::SessionToken::for_user("user_kari").organization("org_1", "tesla-oslo", "org:admin");
    app.get_with(&token.authorized_party(tests::app::FRONTEND).mint(&app.clerk.key()), "/api/v1/me").await
}

#[tokio::test]
async fn who_is_early_is_asked_to_come_back() {
    let app = TestApp::start().await;
    let early = me(&app).await;
    let wait: u32 = early.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=10).contains(&wait), "{wait}");
    early.expect_problem(403, "not-provisioned");
    assert_eq!(app.count("SELECT count(*) FROM users").await, 0, "a token provisions nobody");
    hear(&app, "msg_1", &kari().event("created")).await;
    assert_eq!(me(&app).await.expect(200)["role"], "admin");
}

#[tokio::test]
async fn a_token_brings_nobody_back() {
    for (end, beginning) in [
        (kari().event("deleted"), kari().event("created")),
        (deleted("user.deleted", "user_kari", 9_000), kari().event("created")),
        (deleted("organization.deleted", "org_1", 9_000), kari().event("created")),
    ] {
        let app = TestApp::start().await;
        hear(&app, "msg_1", &end).await;
        me(&app).await.expect_problem(403, "not-provisioned");
        hear(&app, "msg_2", &beginning).await;
        me(&app).await.expect_problem(403, "not-provisioned");
        hear(&app, "msg_3", &organization("organization.created", "org_1", "Tesla Oslo", 500)).await;
        me(&app).await.expect_problem(403, "not-provisioned");
    }
}

#[tokio::test]
async fn a_token_promotes_nobody() {
    let app = TestApp::start().await;
    hear(&app, "msg_1", &Membership { role: "org:member", at: 3_000, ..kari() }.event("updated")).await;
    assert_eq!(me(&app).await.expect(200)["role"], "sales_rep", "though the token says admin");
}

#[tokio::test]
async fn whoever_asks_meanwhile_sees_nothing_or_all_of_it() {
    let app = TestApp::start().await;
    let settings = [("DATABASE_URL", app.database_url.clone())];
    let config = WorkerConfig::read(&mut Settings::from_values(settings)).expect("valid");
    let registry = worker::jobs::registry(&config);
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = tokio::spawn(worker::run(config, registry, async { _ = stopped.await }));

    let second = Membership { id: "orgmem_again", at: 9_000, ..kari() };
    let comings_and_goings = [
        (kari().event("created"), StatusCode::OK),
        (kari().event("deleted"), StatusCode::FORBIDDEN),
        (second.event("created"), StatusCode::OK),
        (deleted("user.deleted", "user_kari", 10_000), StatusCode::FORBIDDEN),
    ];
    let mut before = StatusCode::FORBIDDEN;
    for (n, (event, after)) in comings_and_goings.iter().enumerate() {
        app.deliver(&format!("msg_{n}"), event).await.expect(202);
        // From the first changed answer on, it stays changed.
        let mut answers = Vec::new();
        while answers.last() != Some(after) {
            let four = tokio::join!(me(&app), me(&app), me(&app), me(&app));
            answers.extend([four.0.status, four.1.status, four.2.status, four.3.status]);
            assert!(answers.iter().all(|status| status == after || *status == before), "{answers:?}");
            assert!(answers.len() < 100_000, "it never came to be {after}");
        }
        assert_eq!(me(&app).await.status, *after);
        before = *after;
    }
    stop.send(()).expect("it runs");
    worker.await.expect("no panic").expect("it stops cleanly");
}

#[tokio::test]
async fn a_suspended_member_is_told_so_and_nobody_else_is() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let jonas = oslo.member("jonas", "org:member").await;
    let suspend = "UPDATE users SET suspended = true WHERE clerk_user_id LIKE '%tesla_oslo_jonas'
                     AND dealership_id = (SELECT id FROM dealerships WHERE name = 'Tesla Oslo')";
    assert_eq!(app.connect().await.execute(suspend).await.expect("a statement").rows_affected(), 1);
    // He changed jobs meanwhile, and his session is still of the old one, or of none.
    let without_organization = oslo.person("jonas").without_organization().token();
    for token in [jonas.token(), without_organization.clone()] {
        let answer = app.get_with(&token, "/api/v1/leads").await;
        assert!(answer.headers.get("retry-after").is_none(), "to wait is of no use");
        let problem = answer.expect_problem(403, "suspended");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("ask an admin")), "{problem}");
    }
    for stranger in [
        bergen.admin().session().organization(oslo.org.as_str(), "oslo", "org:admin").mint(&app.clerk.key()),
        oslo.person("nobody").token(),
    ] {
        let answer = app.get_with(&stranger, "/api/v1/leads").await;
        assert_eq!(answer.headers["retry-after"], "5");
        answer.expect_problem(403, "not-provisioned");
    }
    bergen.join(&jonas, "org:member").await;
    // What Clerk says of him is written for each of his dealerships.
    app.connect().await.execute(suspend).await.expect("a statement");
    let me = app.get_with(&without_organization, "/api/v1/me").await.expect(200);
    assert_eq!(me["dealership_id"], serde_json::json!(bergen.id), "where he may, he works");
    app.get_with(&jonas.token(), "/api/v1/leads").await.expect_problem(403, "suspended");
    let closed = "UPDATE dealerships SET closed_at = now() WHERE name = 'Tesla Oslo'";
    app.connect().await.execute(closed).await.expect("a statement");
    app.get_with(&jonas.token(), "/api/v1/leads").await.expect_problem(403, "not-provisioned");
}

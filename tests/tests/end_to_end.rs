//! The main job, with the real binaries: a Clerk webhook becomes a dealership and a user who can read their leads.

use dev::stand_ins::clerk::{Options, SessionToken, SigningKey, StandIn};
use reqwest::Client;
use sqlx::raw_sql;
use tests::{
    answer::Answer,
    clerk_events::Membership,
    cluster::database,
    jobs::JobTable,
    processes::{deliver, start_api, start_worker},
};
use tokio::net::TcpListener;

#[tokio::test]
async fn an_event_delivered_ten_times_to_a_worker_that_is_killed_has_its_one_effect() {
    let database = database().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let clerk = StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file");
    let (_api, url) = start_api(&database.url, &clerk).await;
    let session = SessionToken::for_user("user_1").organization("org_1", "tesla-oslo", "org:member");
    let me = async || {
        let token = session.clone().mint(&clerk.key());
        Answer::of(Client::new().get(format!("{url}/api/v1/leads")).bearer_auth(token)).await
    };
    me().await.expect_problem(403, "not-provisioned");

    let membership = Membership {
        id: "orgmem_1",
        org: "org_1",
        org_name: "Tesla Oslo",
        org_at: 1_000,
        user: "user_1",
        first_name: "Kari",
        identifier: Some("kari@example.no"),
        role: "org:member",
        at: 2_000,
    };
    let body = membership.event("created").to_string();
    // Holds the worker between claiming the event and its effect.
    let mut lock = database.connect().await;
    raw_sql("BEGIN; LOCK TABLE dealerships IN SHARE MODE").execute(&mut lock).await.expect("nobody holds it");
    let mut killed = start_worker(&database.url);
    deliver(&url, "msg_1", &body).await.expect(202);
    for _ in 0..9 {
        assert_eq!(deliver(&url, "msg_1", &body).await.expect(200)["status"], "duplicate");
    }
    let mut jobs = JobTable::at(&database.url).await;
    let waits = "SELECT $1 <= (SELECT count(*) FROM pg_stat_activity
                               WHERE datname = current_database() AND wait_event_type = 'Lock')";
    jobs.wait_until(waits, 1).await;
    killed.kill().await.expect("it runs");
    raw_sql("ROLLBACK").execute(&mut lock).await.expect("the lock is ours");
    me().await.expect_problem(403, "not-provisioned");

    let _other = start_worker(&database.url);
    jobs.wait_for_count("clerk.process_event", "done", 1).await;
    assert_eq!(me().await.expect(200)["total"], 0);
    deliver(&url, "msg_again", &body).await.expect(202);
    jobs.wait_for_count("clerk.process_event", "done", 2).await;
    let counts = "SELECT concat_ws(' ', (SELECT count(*) FROM dealerships), (SELECT count(*) FROM users),
                                   (SELECT string_agg(outcome, ' ' ORDER BY id) FROM deliveries),
                                   (SELECT string_agg(attempts::text, ' ' ORDER BY id) FROM jobs
                                    WHERE kind = 'clerk.process_event'))";
    let counts: String = sqlx::query_scalar(counts).fetch_one(&mut lock).await.expect("a valid statement");
    assert_eq!(counts, "1 1 applied stale 2 1");
}

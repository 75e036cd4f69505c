//! Only the database's clock counts for the queue, so that hosts need not agree on the time.

use tests::{
    clerk_events,
    cluster::database,
    jobs::JobTable,
    processes::{Signal, command_at, deliver, ended, signal, start_api_as},
    test_system::TestSystem,
};
use tokio::time::Instant;

const SKIPPED: &str = "skipped: needs Debian's package libfaketime";

#[tokio::test]
async fn workers_on_hosts_an_hour_off() {
    let database = database().await;
    let (Some(fast), Some(slow)) =
        (command_at("+1h", "worker", &database.url), command_at("-1h", "worker", &database.url))
    else {
        return println!("{SKIPPED}");
    };
    // Before there is a worker, which could claim it meanwhile.
    let mut jobs = JobTable::at(&database.url).await;
    let scheduled = jobs.insert("test.scheduled", 1, "{}").await;
    jobs.change("UPDATE jobs SET state = 'scheduled', run_at = now() + interval '50 min' WHERE id = $1", scheduled)
        .await;
    let mut system = TestSystem::open(&database.url, &database.url, 1).await;
    system.hire_by(fast);
    system.hire_by(slow);
    // Nobody takes over what others have in hand.
    let held = system.in_mid_job().await;
    system.carry_on(8).await;
    drop(held);
    system.recover("clocks an hour fast and an hour slow", Instant::now()).await;
    assert_eq!(jobs.state(scheduled).await, "scheduled");
    system.close().await.expect_exactly_once();
    jobs.wait_until("SELECT count(*) = $1 FROM jobs WHERE attempts > 1", 0).await;
}

#[tokio::test]
async fn an_api_on_a_host_an_hour_off_refuses_what_it_cannot_judge() {
    let database = database().await;
    let system = TestSystem::open(&database.url, &database.url, 1).await;
    let Some(command) = command_at("+1h", "api", &database.url) else { return println!("{SKIPPED}") };
    let (mut api, url) = start_api_as(command, &system.clerk).await;
    let body = clerk_events::organization("organization.created", "org_1", "Tesla Oslo", 1).to_string();
    deliver(&url, "msg_1", &body).await.expect_problem(400, "invalid-signature");
    signal(&api, Signal::TERM);
    assert_eq!(ended(&mut api).await.code(), Some(0));
    system.close().await.expect_exactly_once();
}

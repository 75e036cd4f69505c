//! Whatever fails: every message ends in one state, which is true, and no customer gets one twice.
//!
//! Customers ask, answer, complain; people answer, send drafts, send again; the mailbox, the assistant, workers and
//! connections fail, and reports come late, twice and in any order. `CASES=100 cargo test every_message_ends` tells more stories, `SEED=…` those
//! of a run that failed.

mod check;
mod stage;
mod story;

use std::{cell::Cell, time::Duration};

use proptest::test_runner::TestCaseError;
use sqlx::Executor;
use tests::{
    app::TestApp,
    chaos::{count_statements, doom, runner},
};
use tokio::{
    runtime::Runtime,
    time::{sleep, timeout},
};

use self::{
    check::check,
    stage::Stage,
    story::{Story, story},
};

/// Far longer than any story.
const TIMEOUT: Duration = Duration::from_mins(2);

#[test]
fn every_message_ends_in_one_state_whatever_fails() {
    tell_stories(&[], false);
}

#[test]
fn a_provider_that_knows_what_it_has_is_asked_again_and_the_customer_has_one_copy() {
    tell_stories(&[("EMAIL_PROVIDER", "resend"), ("RESEND_API_KEY", "re_key_of_tests")], true);
}

fn tell_stories(through: &[(&'static str, &'static str)], is_idempotent: bool) {
    let (seed, mut runner) = runner(6, 30);
    let runtime = Runtime::new().expect("the system has threads to start with");
    let app = runtime.block_on(TestApp::start_with_reports());
    runtime.block_on(async { count_statements(&mut app.connect().await).await });
    let number = Cell::new(0_u16);
    let outcome = runner.run(&story(), |story| {
        number.set(number.get().wrapping_add(1));
        let told = async { timeout(TIMEOUT, tell(&app, number.get(), through, is_idempotent, &story)).await };
        runtime.block_on(told).unwrap_or_else(|_| Err(TestCaseError::fail("it takes too long")))
    });
    if let Err(failure) = outcome {
        panic!("SEED={seed}: {failure}");
    }
}

/// Has a story happen to a dealership of its own, and looks at what is left of it.
async fn tell(
    app: &TestApp,
    number: u16,
    through: &[(&'static str, &'static str)],
    is_idempotent: bool,
    story: &Story,
) -> Result<(), TestCaseError> {
    let mut conn = app.connect().await;
    doom(&mut conn, &[]).await;
    conn.execute("TRUNCATE clerk_objects, deliveries, dealerships, source_keys, jobs CASCADE")
        .await
        .expect("a superuser may");
    let mut stage = Stage::set(app, number, through, story).await;
    doom(&mut conn, &story.last_statements).await;
    for (pause, step) in &story.steps {
        sleep(Duration::from_millis(*pause)).await;
        stage.perform(*step).await;
    }
    stage.settle().await;
    check(&mut conn, &stage.mailbox.messages(), is_idempotent).await
}

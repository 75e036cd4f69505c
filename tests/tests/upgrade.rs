//! From the release before to this one, under load: nothing that was acknowledged is lost or done twice.

use std::{env, path::PathBuf};

use tests::{
    cluster::empty_database,
    processes::{command, command_of},
    test_system::TestSystem,
};
use tokio::{process::Command, time::Instant};

/// Both releases side by side, on the schema of the later one.
#[tokio::test]
async fn the_release_before_works_on_while_the_schema_is_migrated() {
    let Some(before) = env::var_os("NORVALT_PREVIOUS_BIN").map(PathBuf::from) else {
        return println!("skipped: needs NORVALT_PREVIOUS_BIN, a directory with the binaries of the release before");
    };
    let database = empty_database().await;
    migrate(command_of(&before, "norvalt", &database.url)).await;
    let start = |name: &str| command_of(&before, name, &database.url);
    let mut system = TestSystem::open_with(&database.url, &database.url, 2, start).await;
    system.carry_on(50).await;
    tokio::join!(migrate(command("norvalt", &database.url)), system.carry_on(50));
    system.carry_on(50).await;
    system.hire();
    system.carry_on(50).await;
    system.replace_killed_api().await;
    for _ in 0..2 {
        system.carry_on(50).await;
        assert_eq!(system.dismiss().await, Some(0));
    }
    system.recover("a release", Instant::now()).await;
    system.close().await.expect_exactly_once();
}

async fn migrate(mut norvalt: Command) {
    let output = norvalt.arg("migrate").output().await.expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

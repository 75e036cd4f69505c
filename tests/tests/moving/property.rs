//! Whatever has happened to a dealership, and whatever interrupts its move: it is the same on the other server, and goes on there as
//! if nothing had been, and the same once more when it is back.
//!
//! `CASES=100 cargo test whatever_has_happened` moves more of them, `SEED=…` those of a run that failed.

mod life;
mod step;

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use common::{ids::DealershipId, moving::tables};
use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use serde_json::{Value, json};
use sqlx::Executor;
use tests::{
    app::{Person, TestApp},
    chaos::{count_statements, doom, runner},
};
use tokio::{
    runtime::Runtime,
    time::{sleep, timeout},
};

use self::{
    life::Life,
    step::{Step, step, steps_of_all_kinds},
};
use super::{
    contents::contents,
    stage::{Archive, Server, archive, fill},
};

const NAME: &str = "Tesla Oslo";
/// Far longer than any move.
const TIMEOUT: Duration = Duration::from_mins(2);
/// As long as an export takes, in milliseconds.
const EXPORTING: u64 = 250;
/// More statements than an import writes with.
const IMPORTING: i64 = 16;

#[derive(Debug, Clone)]
struct Story {
    before: Vec<Step>,
    there: Vec<Step>,
    /// How exports and imports are interrupted.
    exports: Vec<u64>,
    imports: Vec<i64>,
}

fn story() -> impl Strategy<Value = Story> {
    let before = (steps_of_all_kinds(), vec(step(), 0..16)).prop_map(|(all, more)| [all, more].concat());
    let interruptions = (vec(0..EXPORTING, 0..3), vec(1..IMPORTING, 0..3));
    (before, vec(step(), 1..12), interruptions).prop_map(|(before, there, (exports, imports))| Story {
        before,
        there,
        exports,
        imports,
    })
}

/// Two servers, and the tables in which there ever was something to be moved.
struct World {
    source: TestApp,
    target: TestApp,
    seen: RefCell<BTreeSet<String>>,
}

#[test]
fn a_dealership_is_the_same_after_a_move_whatever_has_happened_to_it() {
    let (seed, mut runner) = runner(2, 10);
    let runtime = Runtime::new().expect("the system has threads to start with");
    let world = runtime.block_on(async {
        let start = || TestApp::start_with(|config| config.trusted_proxies = 1);
        let (source, target) = tokio::join!(start(), start());
        for app in [&source, &target] {
            count_statements(&mut app.connect().await).await;
        }
        World { source, target, seen: RefCell::default() }
    });
    let outcome = runner.run(&story(), |story| {
        let moved = runtime.block_on(async { timeout(TIMEOUT, world.there_and_back(&story)).await });
        moved.map_err(|_| TestCaseError::fail("it takes too long"))
    });
    if let Err(failure) = outcome {
        panic!("SEED={seed}: {failure}");
    }
    let all = runtime.block_on(async {
        tables(&mut world.source.db.system().await.expect("the database is there")).await.expect("a valid statement")
    });
    let ever = world.seen.borrow();
    let never: Vec<_> = all.iter().filter(|table| !ever.contains(&table.name)).map(|table| &table.name).collect();
    assert!(never.is_empty(), "nothing of {never:?} was ever moved: have something happen in moving/property/life.rs");
}

impl World {
    async fn there_and_back(&self, story: &Story) {
        for app in [&self.source, &self.target] {
            let mut superuser = app.connect().await;
            doom(&mut superuser, &[]).await;
            let empty = "TRUNCATE clerk_objects, deliveries, dealerships, source_keys, jobs, dealership_moves, facebook_logins CASCADE";
            superuser.execute(empty).await.expect("a superuser may");
        }
        let oslo = fill(&self.source, NAME).await;
        let (moss, bergen) = (self.source.dealership("Audi Moss").await.id, fill(&self.target, "VW Bergen").await.id);
        let others = async || [contents(&self.source, moss).await, contents(&self.target, bergen).await];
        for (from, to, steps) in
            [(&self.source, &self.target, &story.before), (&self.target, &self.source, &story.there)]
        {
            self.live(from, steps).await;
            let before = others().await;
            go(from, to, oslo.id, story).await;
            before.iter().zip(&others().await).for_each(|(before, now)| before.expect_same(now));
        }
    }

    async fn live(&self, app: &TestApp, steps: &[Step]) {
        let mut life = Life::new(app, NAME).await;
        for step in steps {
            life.perform(*step).await;
            let tables = life.tables().await;
            self.seen.borrow_mut().extend(tables);
        }
    }
}

/// Moves it, and compares what is there with what was here, as the catalog has it and as its people see it.
async fn go(from: &TestApp, to: &TestApp, id: DealershipId, story: &Story) {
    let (here, there) = (Server::of(from), Server::of(to));
    let name = id.to_string();
    // Given up once: what was under way has ended.
    here.does(&["freeze", &name]).await;
    here.does(&["open", &name]).await;
    let shown = shown(&from.known_dealership(NAME).admin()).await;
    here.does(&["freeze", &name]).await;
    let before = contents(from, id).await;
    let file = exported(&here, &name, &story.exports).await;
    before.expect_same(&contents(from, id).await);
    import(to, &there, &file, id, &story.imports).await;
    before.expect_same(&contents(to, id).await);
    let code = here.code(&["release", &name]).await;
    there.does(&["open", &name, "--code", &code]).await;
    assert_eq!(shown, self::shown(&to.known_dealership(NAME).admin()).await, "its people see something else");
    here.does(&["discard", &name, "--yes"]).await;
    assert_eq!(contents(from, id).await.rows(), 0, "nothing is left where it was");
}

/// Each attempt but the last is killed after so many milliseconds.
async fn exported(server: &Server, name: &str, killed: &[u64]) -> Archive {
    let file = archive();
    let export = ["export", name, "--to", file.to_str(), "--with-secrets"];
    for millis in killed {
        let mut running = server.start(&export);
        sleep(Duration::from_millis(*millis)).await;
        running.kill().await.expect("it was started");
        if file.exists() {
            return file;
        }
    }
    server.does(&export).await;
    file
}

/// Each attempt but the last loses its connection with this one of its statements.
async fn import(to: &TestApp, server: &Server, file: &Archive, id: DealershipId, cut_off: &[i64]) {
    let mut superuser = to.connect().await;
    let before = contents(to, id).await;
    for statement in cut_off {
        doom(&mut superuser, &[*statement]).await;
        if server.tries(&["import", file.to_str()]).await {
            break;
        }
        before.expect_same(&contents(to, id).await);
    }
    doom(&mut superuser, &[]).await;
    server.does(&["import", file.to_str()]).await;
}

/// What its people see, without the numbers that each server gives anew.
async fn shown(person: &Person<'_>) -> Vec<Value> {
    let mut shown = Vec::new();
    for path in [
        "leads?limit=100",
        "customers?limit=100",
        "vehicles",
        "automation-rules",
        "users",
        "lead-sources",
        "dealership",
        "dealership/answers",
        "me",
    ] {
        shown.push(person.get(&format!("/api/v1/{path}")).await.expect(200));
    }
    let leads: Vec<Value> = shown[0]["items"].as_array().cloned().unwrap_or_default();
    for lead in leads {
        for part in ["conversations", "history", "related", "answers", "suggestions"] {
            let path = format!("/api/v1/leads/{}/{part}", lead["id"].as_str().expect("an id"));
            shown.push(person.get(&path).await.expect(200));
        }
    }
    let mut received = person.get("/api/v1/inbound").await.expect(200);
    for one in received.as_array_mut().into_iter().flatten() {
        one["id"] = json!(null);
    }
    shown.push(received);
    shown
}

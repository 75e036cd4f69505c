//! Whatever happens in Clerk, and however its events arrive, we end where Clerk is.
//!
//! A random history is lived through by a simple model of a Clerk instance, which says what must be true at the end and
//! sends the events. They are delivered in random order, some twice, some to processes that die between any two of their
//! statements. `CASES=10000 cargo test convergence` runs more of them.

mod journey;
mod model;

use std::{cell::Cell, collections::BTreeSet};

use common::{
    clerk::{Change, Reconciliation, apply, reconcile},
    config::{CliConfig, Settings},
    db::Db,
};
use dev::stand_ins::clerk::{Instance, Options, SigningKey, StandIn};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestCaseResult, TestRunner},
};
use serde_json::Value;
use sqlx::{PgConnection, Row};
use tests::cluster::{TestDatabase, database};
use tokio::{net::TcpListener, runtime::Runtime};

use self::{
    journey::{Arrival, Journey, arrivals, journey, timeline, travel},
    model::{Clerk, Happening, Look, happening, look},
};

/// Where the histories of one property end.
struct World {
    runtime: Runtime,
    database: TestDatabase,
    db: Db,
}

impl World {
    fn new() -> Self {
        let runtime = Runtime::new().expect("the system has threads to start with");
        let (database, db) = runtime.block_on(async {
            let database = database().await;
            let db = Db::new(&database.url.parse().expect("a valid URL"), 8, "tests");
            (database, db)
        });
        Self { runtime, database, db }
    }

    fn travel(&self, arrivals: &[Arrival]) {
        self.runtime.block_on(travel(&self.db, arrivals));
    }

    /// What is so, one line for each row.
    fn state(&self, clerk: &Clerk) -> BTreeSet<String> {
        self.runtime.block_on(async { state(&mut self.database.connect().await, &clerk.prefix).await })
    }

    fn execute(&self, statement: &'static str) {
        self.runtime.block_on(async {
            sqlx::raw_sql(statement).execute(&mut self.database.connect().await).await.expect("a valid statement")
        });
    }
}

/// Lives through random histories: `CASES` of them, or as many as are given.
fn check(cases: u32, case: impl Fn(usize, Vec<Happening>, &[Journey]) -> TestCaseResult) {
    check_with(cases, Just(()), |number, history, journeys, ()| case(number, history, journeys));
}

/// The same, with something more that is random.
fn check_with<S: Strategy>(
    cases: u32,
    more: S,
    case: impl Fn(usize, Vec<Happening>, &[Journey], S::Value) -> TestCaseResult,
) {
    let asked = std::env::var("CASES").ok().and_then(|cases| cases.parse().ok());
    let histories = (vec(happening(), 1..25), vec(journey(), 25), more);
    let number = Cell::new(0);
    let config =
        Config { cases: asked.unwrap_or(cases), max_shrink_iters: 400, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&histories, |(history, journeys, more)| {
        number.set(number.get() + 1);
        case(number.get(), history, &journeys, more)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

async fn state(conn: &mut PgConnection, prefix: &str) -> BTreeSet<String> {
    let rows = sqlx::query(
        "SELECT concat_ws(' | ', d.clerk_org_id, d.name, 'closed ' || (d.closed_at IS NOT NULL)) AS line
         FROM dealerships d WHERE d.clerk_org_id LIKE 'org\\_' || $1 || '%'
         UNION ALL
         SELECT concat_ws(' | ', d.clerk_org_id, u.clerk_user_id, u.name, u.email, u.role, 'suspended ' || u.suspended)
         FROM users u JOIN dealerships d ON d.id = u.dealership_id WHERE d.clerk_org_id LIKE 'org\\_' || $1 || '%'",
    )
    .bind(prefix)
    .fetch_all(conn)
    .await
    .expect("a valid statement");
    rows.iter().map(|row| row.get("line")).collect()
}

#[test]
fn every_order_of_every_history_ends_where_clerk_is() {
    let world = World::new();
    check(300, |number, history, journeys| {
        let clerk = Clerk::lived(number, &history);
        let arrivals = arrivals(&clerk.prefix, &clerk.events, journeys, 0);
        world.travel(&arrivals);
        prop_assert_eq!(world.state(&clerk), clerk.truth(), "after{}", timeline(&arrivals));
        Ok(())
    });
}

/// Has events arrive, and between them what somebody saw who looked at Clerk, or did not find there.
async fn travel_with_looks(db: &Db, arrivals: &[Arrival], looks: &[(usize, Change)]) {
    for (n, arrival) in arrivals.iter().map(Some).chain([None]).enumerate() {
        for (_, seen) in looks.iter().filter(|(when, _)| when % (arrivals.len() + 1) == n) {
            let mut tx = db.system().await.expect("the database is there");
            apply(&mut tx, seen.clone()).await.expect("a valid change");
            tx.commit().await.expect("the database is there");
        }
        travel(db, arrival.map(std::slice::from_ref).unwrap_or_default()).await;
    }
}

#[test]
fn what_was_not_found_is_withdrawn_until_it_is_seen_later_in_every_order() {
    let world = World::new();
    let looks = vec(look(), 1..12);
    check_with(120, looks, |number, history, journeys, looks: Vec<Look>| {
        let clerk = Clerk::lived(number, &history);
        let looks: Vec<_> = looks.iter().filter_map(|look| clerk.look(look)).collect();
        let arrivals = arrivals(&clerk.prefix, &clerk.events, journeys, 0);
        world.runtime.block_on(travel_with_looks(&world.db, &arrivals, &looks));
        let told = || format!("after{}\nand {looks:#?}", timeline(&arrivals));
        prop_assert_eq!(world.state(&clerk), clerk.truth_after(&looks), "{}", told());
        Ok(())
    });
}

#[test]
fn what_was_withdrawn_stays_withdrawn_whatever_is_missing() {
    let world = World::new();
    check(150, |number, history, journeys| {
        let clerk = Clerk::lived(number, &history);
        let arrivals = arrivals(&clerk.prefix, &clerk.events, journeys, 30);
        world.travel(&arrivals);
        let arrived: Vec<_> = arrivals.iter().map(|arrival| &arrival.event).collect();
        let end = world.state(&clerk);
        prop_assert!(nothing_withdrawn(&arrived, &end), "{end:#?}\nafter{}", timeline(&arrivals));
        Ok(())
    });
}

#[test]
fn one_look_at_clerk_repairs_what_is_missing_and_a_second_one_finds_nothing() {
    let world = World::new();
    let (clerk, backend) = world.runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let instance_id = "ins_1".to_owned();
        let options =
            Options { initial: Instance::default(), instance_id, ..Options::in_memory(SigningKey::generate()) };
        let clerk = StandIn::start(listener, options).await.expect("it keeps no file");
        let settings = [
            ("DATABASE_URL", world.database.url.clone()),
            ("CLERK_API_URL", clerk.url()),
            ("CLERK_SECRET_KEY", "sk_test_stand_in".to_owned()),
        ];
        let config = CliConfig::read(&mut Settings::from_values(settings)).expect("the settings above are valid");
        (clerk, config.clerk.expect("it is set"))
    });
    let how = Reconciliation { allow_mass_deletion: true, ..Reconciliation::default() };
    let look = || world.runtime.block_on(reconcile(&world.db, &backend, how)).expect("both answer");
    check(60, |number, history, journeys| {
        let model = Clerk::lived(number, &history);
        // Whom an earlier history left behind, this one's instance would not know.
        world.execute("TRUNCATE clerk_objects, deliveries, dealerships CASCADE");
        let heard = arrivals(&model.prefix, &model.events, journeys, 20);
        world.travel(&heard);
        clerk
            .change(|instance, _| {
                *instance = model.instance();
                Ok(((), Vec::new()))
            })
            .expect("a valid change");
        let drift = look();
        let told = || format!("after{}\nand then{:#?}", timeline(&heard), drift);
        prop_assert_eq!(open(&world.state(&model), &model), open(&model.truth(), &model), "{}", told());
        prop_assert_eq!(look().news, 0, "{}", told());

        // What comes late changes nothing any more.
        world.travel(&arrivals(&format!("{}late", model.prefix), &model.events, journeys, 0));
        prop_assert_eq!(open(&world.state(&model), &model), open(&model.truth(), &model), "{}", told());
        Ok(())
    });
}

/// What is so in dealerships that are open. Of one that was closed, Clerk says nothing any more. Nor does it of whom it no
/// longer has: they are suspended, and may be seen again.
fn open(state: &BTreeSet<String>, model: &Clerk) -> BTreeSet<String> {
    let closed: BTreeSet<_> = state
        .iter()
        .filter(|line| line.ends_with("closed true"))
        .filter_map(|line| line.split(" | ").next().map(str::to_owned))
        .collect();
    let is_open = |line: &&String| line.split(" | ").next().is_some_and(|org| !closed.contains(org));
    let is_banned = |line: &str| model.truth().contains(line);
    let may_be_there = |line: &&String| !line.ends_with("suspended true") || is_banned(line);
    state.iter().filter(is_open).filter(may_be_there).cloned().collect()
}

/// Whether nobody has access of whose end an event has arrived.
fn nothing_withdrawn(arrived: &[&Value], end: &BTreeSet<String>) -> bool {
    let seen = |kind: &'static str| arrived.iter().filter(move |event| event["type"] == kind);
    let gone = seen("user.deleted").all(|event| {
        let id = event["data"]["id"].as_str().expect("an id");
        !end.iter().any(|line| line.contains(&format!("| {id} |")))
    });
    let closed = seen("organization.deleted").all(|event| {
        let id = event["data"]["id"].as_str().expect("an id");
        !end.iter().any(|line| line.starts_with(&format!("{id} |")) && line.ends_with("closed false"))
    });
    // Somebody who left has no row, unless another membership of theirs arrived that did not end.
    let left = seen("organizationMembership.deleted").all(|event| {
        let pair = |data: &Value| (data["organization"]["id"].clone(), data["public_user_data"]["user_id"].clone());
        let (org, user) = pair(&event["data"]);
        let ended = |id: &Value| seen("organizationMembership.deleted").any(|event| event["data"]["id"] == *id);
        let others = seen("organizationMembership.created").chain(seen("organizationMembership.updated"));
        let justified =
            others.map(|event| &event["data"]).any(|data| pair(data) == pair(&event["data"]) && !ended(&data["id"]));
        let (org, user) = (org.as_str().expect("an id"), user.as_str().expect("an id"));
        justified || !end.iter().any(|line| line.starts_with(&format!("{org} | {user} |")))
    });
    gone && closed && left
}

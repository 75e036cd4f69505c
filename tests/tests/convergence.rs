//! Whatever happens in Clerk, and however its events arrive, we end where Clerk is.
//!
//! A random history is lived through by a simple model of a Clerk instance, which says what must be true at the end and
//! sends the events. They are delivered in random order, some twice, some to a worker that dies before it commits.
//! `CASES=10000 cargo test convergence` runs more of them.

use std::collections::{BTreeMap, BTreeSet};

use common::{
    clerk::{Receipt, process, receive},
    db::Db,
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::Value;
use sqlx::{PgConnection, Row};
use tests::{
    clerk_events::{Membership, deleted, delivery, organization, user},
    cluster::database,
};

/// Something that happens in Clerk. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Happening {
    Founded,
    Renamed(usize),
    Closed(usize),
    SignedUp { with_email: bool },
    Changed { who: usize, banned: bool, email_of: usize },
    Deleted(usize),
    Joined { who: usize, where_to: usize, role: usize },
    Promoted { which: usize, role: usize },
    Left(usize),
}

const ROLES: [(&str, &str); 4] =
    [("org:admin", "admin"), ("org:manager", "manager"), ("org:member", "sales_rep"), ("org:intern", "sales_rep")];

fn happening() -> impl Strategy<Value = Happening> {
    let which = 0..64_usize;
    prop_oneof![
        2 => Just(Happening::Founded),
        2 => which.clone().prop_map(Happening::Renamed),
        1 => which.clone().prop_map(Happening::Closed),
        3 => any::<bool>().prop_map(|with_email| Happening::SignedUp { with_email }),
        2 => (which.clone(), any::<bool>(), which.clone())
            .prop_map(|(who, banned, email_of)| Happening::Changed { who, banned, email_of }),
        1 => which.clone().prop_map(Happening::Deleted),
        6 => (which.clone(), which.clone(), which.clone())
            .prop_map(|(who, where_to, role)| Happening::Joined { who, where_to, role }),
        2 => (which.clone(), which.clone()).prop_map(|(which, role)| Happening::Promoted { which, role }),
        3 => which.prop_map(Happening::Left),
    ]
}

/// How one event of the history travels.
#[derive(Debug, Clone)]
struct Journey {
    /// Decides when it arrives, compared with others.
    arrives: u16,
    /// Whether it arrives a second time under a new id, and when.
    again: Option<u16>,
    /// How often a worker dies with it.
    crashes: u8,
    /// Whether it arrives at all, where some may not.
    lost: bool,
}

fn journey() -> impl Strategy<Value = Journey> {
    let again = prop_oneof![3 => Just(None), 1 => any::<u16>().prop_map(Some)];
    (any::<u16>(), again, prop_oneof![4 => Just(0), 1 => 1..3_u8], prop::bool::weighted(0.3))
        .prop_map(|(arrives, again, crashes, lost)| Journey { arrives, again, crashes, lost })
}

struct Org {
    id: String,
    name: String,
    at: i64,
    closed: bool,
}

struct Person {
    id: String,
    email: Option<String>,
    banned: bool,
    deleted: bool,
}

struct Member {
    id: String,
    org: usize,
    person: usize,
    role: usize,
}

/// A Clerk instance, and what it told.
#[derive(Default)]
struct Clerk {
    now: i64,
    prefix: String,
    orgs: Vec<Org>,
    people: Vec<Person>,
    members: Vec<Member>,
    joined: usize,
    events: Vec<Value>,
}

fn pick<'a, T>(items: impl Iterator<Item = &'a T>, which: usize) -> Option<&'a T> {
    let items: Vec<_> = items.collect();
    items.get(which.checked_rem(items.len())?).copied()
}

impl Clerk {
    /// Ids of their own keep many histories apart in one database.
    fn new(case: usize) -> Self {
        Self { now: 1_700_000_000_000, prefix: format!("c{case}x"), ..Self::default() }
    }

    fn live(&mut self, happening: &Happening) {
        self.now += 1_000;
        let at = self.now;
        match *happening {
            Happening::Founded => {
                let n = self.orgs.len();
                let org = Org { id: format!("org_{}{n}", self.prefix), name: "Bilhuset".to_owned(), at, closed: false };
                self.events.push(organization("organization.created", &org.id, &org.name, at));
                self.orgs.push(org);
            }
            Happening::Renamed(which) => {
                let open = self.orgs.iter().enumerate().filter(|(_, org)| !org.closed).map(|(n, _)| n);
                let open: Vec<_> = open.collect();
                if let Some(&n) = pick(open.iter(), which) {
                    let org = &mut self.orgs[n];
                    (org.name, org.at) = (format!("Bilhuset {at}"), at);
                    self.events.push(organization("organization.updated", &org.id, &org.name, at));
                }
            }
            Happening::Closed(which) => {
                let open: Vec<_> = (0..self.orgs.len()).filter(|&n| !self.orgs[n].closed).collect();
                if let Some(&n) = pick(open.iter(), which) {
                    self.orgs[n].closed = true;
                    self.events.push(deleted("organization.deleted", &self.orgs[n].id, at));
                }
            }
            Happening::SignedUp { with_email } => {
                let n = self.people.len();
                let id = format!("user_{}{n}", self.prefix);
                let email = with_email.then(|| format!("person{n}@example.no"));
                self.events.push(user("user.created", &id, &id, email.as_deref(), false, at));
                self.people.push(Person { id, email, banned: false, deleted: false });
            }
            Happening::Changed { who, banned, email_of } => {
                // Addresses may be passed on: they identify nobody.
                let email = pick(self.people.iter(), email_of).and_then(|person| person.email.clone());
                if let Some(n) = self.somebody(who) {
                    let person = &mut self.people[n];
                    (person.banned, person.email) = (banned, email);
                    self.events.push(user("user.updated", &person.id, &person.id, person.email.as_deref(), banned, at));
                }
            }
            Happening::Deleted(who) => {
                if let Some(n) = self.somebody(who) {
                    self.people[n].deleted = true;
                    // Whether events of the memberships follow is not documented: here they do not.
                    self.members.retain(|member| member.person != n);
                    self.events.push(deleted("user.deleted", &self.people[n].id, at));
                }
            }
            Happening::Joined { who, where_to, role } => {
                let open: Vec<_> = (0..self.orgs.len()).filter(|&n| !self.orgs[n].closed).collect();
                let (Some(&org), Some(person)) = (pick(open.iter(), where_to), self.somebody(who)) else { return };
                if !self.members.iter().any(|member| member.org == org && member.person == person) {
                    self.joined += 1;
                    let id = format!("orgmem_{}{}", self.prefix, self.joined);
                    let member = Member { id, org, person, role: role % ROLES.len() };
                    self.events.push(self.membership(&member, "created"));
                    self.members.push(member);
                }
            }
            Happening::Promoted { which, role } => {
                if let Some(n) = self.a_member(which) {
                    self.members[n].role = role % ROLES.len();
                    self.events.push(self.membership(&self.members[n], "updated"));
                }
            }
            Happening::Left(which) => {
                if let Some(n) = self.a_member(which) {
                    let member = self.members.remove(n);
                    self.events.push(self.membership(&member, "deleted"));
                }
            }
        }
    }

    fn somebody(&self, who: usize) -> Option<usize> {
        let alive: Vec<_> = (0..self.people.len()).filter(|&n| !self.people[n].deleted).collect();
        pick(alive.iter(), who).copied()
    }

    fn a_member(&self, which: usize) -> Option<usize> {
        let open: Vec<_> = (0..self.members.len()).filter(|&n| !self.orgs[self.members[n].org].closed).collect();
        pick(open.iter(), which).copied()
    }

    /// With snapshots of the organization and the person as they are now, and for a deletion the time of the last change.
    fn membership(&self, member: &Member, kind: &str) -> Value {
        let (org, person) = (&self.orgs[member.org], &self.people[member.person]);
        let at = if kind == "deleted" { org.at } else { self.now };
        let (identifier, role) = (person.email.as_deref(), ROLES[member.role].0);
        let (id, org_at) = (&member.id, org.at);
        let embedded = (&org.id, &org.name, &person.id);
        Membership {
            id,
            org: embedded.0,
            org_name: embedded.1,
            org_at,
            user: embedded.2,
            first_name: "Snapshot",
            identifier,
            role,
            at,
        }
        .event(kind)
    }

    /// What must be true at the end, one line for each row.
    fn truth(&self) -> BTreeSet<String> {
        let dealerships = self.orgs.iter().map(|org| format!("{} | {} | closed {}", org.id, org.name, org.closed));
        let users = self.members.iter().map(|member| {
            let (org, person) = (&self.orgs[member.org], &self.people[member.person]);
            let email = person.email.clone().or_else(|| self.hinted_email(member.person));
            let email = email.unwrap_or_else(|| format!("{}@user.invalid", person.id));
            let (name, role) = (&person.id, ROLES[member.role].1);
            format!("{} | {} | {name} | {email} | {role} | suspended {}", org.id, person.id, person.banned)
        });
        dealerships.chain(users).collect()
    }

    /// Where a person's own record has no address, the last membership that had one says it.
    fn hinted_email(&self, person: usize) -> Option<String> {
        let kinds = ["organizationMembership.created", "organizationMembership.updated"];
        let hints = self.events.iter().filter(|event| kinds.iter().any(|kind| event["type"] == *kind));
        let of_person = hints
            .map(|event| &event["data"])
            .filter(|data| data["public_user_data"]["user_id"] == self.people[person].id);
        of_person.max_by_key(|data| data["updated_at"].as_i64())?["public_user_data"]["identifier"]
            .as_str()
            .map(str::to_owned)
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

/// Delivers an event, and lets a worker process it that dies `crashes` times just before it would commit.
async fn travel(db: &Db, svix_id: &str, event: &Value, crashes: u8) {
    let body = event.to_string();
    let received = receive(db, None, &delivery(svix_id, &body)).await.expect("the database is there");
    let Receipt::Accepted { event_id, .. } = received else { panic!("{received:?} to {event}") };
    for _ in 0..crashes {
        let mut tx = db.system().await.expect("the database is there");
        process(&mut tx, event_id).await.expect("it can be processed");
    }
    let mut tx = db.system().await.expect("the database is there");
    process(&mut tx, event_id).await.expect("it can be processed");
    tx.commit().await.expect("the database is there");
}

/// All arrivals in their order: which event, and how often a worker dies with it.
fn arrivals(events: usize, journeys: &[Journey], lossy: bool) -> Vec<(usize, u8)> {
    let mut arrivals = BTreeMap::new();
    for (n, journey) in (0..events).zip(journeys.iter().cycle()) {
        if lossy && journey.lost {
            continue;
        }
        arrivals.insert((journey.arrives, n, 0), (n, journey.crashes));
        if let Some(again) = journey.again {
            arrivals.insert((again, n, 1), (n, 0));
        }
    }
    arrivals.into_values().collect()
}

fn check(cases: u32, lossy: bool) {
    let runtime = tokio::runtime::Runtime::new().expect("the system has threads to start with");
    let (database, db) = runtime.block_on(async {
        let database = database().await;
        let db = Db::new(&database.url.parse().expect("a valid URL"), 2, "tests");
        (database, db)
    });
    let histories = (vec(happening(), 1..25), vec(journey(), 25));
    let case = std::cell::Cell::new(0);
    let config = Config { cases, max_shrink_iters: 400, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&histories, |(history, journeys)| {
        case.set(case.get() + 1);
        let mut clerk = Clerk::new(case.get());
        for happening in &history {
            clerk.live(happening);
        }
        let arrivals = arrivals(clerk.events.len(), &journeys, lossy);
        let end = runtime.block_on(async {
            for (n, (event, crashes)) in arrivals.iter().enumerate() {
                travel(&db, &format!("msg_{}{n}", clerk.prefix), &clerk.events[*event], *crashes).await;
            }
            state(&mut database.connect().await, &clerk.prefix).await
        });
        let timeline: Vec<_> = arrivals.iter().map(|(n, _)| clerk.events[*n].to_string()).collect();
        let timeline = timeline.join("\n");
        if lossy {
            let arrived: BTreeSet<_> = arrivals.iter().map(|(n, _)| *n).collect();
            prop_assert!(nothing_withdrawn(&clerk, &arrived, &end), "{end:#?}\nafter\n{timeline}");
        } else {
            prop_assert_eq!(end, clerk.truth(), "after\n{}", timeline);
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// Whether nobody has access of whose end an event has arrived.
fn nothing_withdrawn(clerk: &Clerk, arrived: &BTreeSet<usize>, end: &BTreeSet<String>) -> bool {
    let seen =
        |kind: &'static str| arrived.iter().map(|n| &clerk.events[*n]).filter(move |event| event["type"] == kind);
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

fn cases(otherwise: u32) -> u32 {
    std::env::var("CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn every_order_of_every_history_ends_where_clerk_is() {
    check(cases(150), false);
}

#[test]
fn what_was_withdrawn_stays_withdrawn_whatever_is_missing() {
    check(cases(100), true);
}

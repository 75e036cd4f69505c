//! A simple model of a Clerk instance: what happened to it, what is true of it, and what it told.

use std::collections::BTreeSet;

use common::clerk::{Change, Event};
use dev::stand_ins::clerk::{self, Instance};
use proptest::prelude::*;
use serde_json::Value;
use tests::clerk_events::{Membership, deleted, organization, user};

/// Something that happens in Clerk. Numbers choose among what there is.
#[derive(Debug, Clone)]
pub(super) enum Happening {
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

pub(super) fn happening() -> impl Strategy<Value = Happening> {
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

/// One look at Clerk, at one object.
#[derive(Debug, Clone)]
pub(super) struct Look {
    which: usize,
    finds: bool,
    /// Milliseconds since the beginning: between any two events, or after the last.
    at: i64,
    /// When it is taken note of.
    when: usize,
}

pub(super) fn look() -> impl Strategy<Value = Look> {
    let seconds = (0..30_i64).prop_map(|second| second * 1_000 + 500);
    (0..64_usize, any::<bool>(), seconds, any::<u16>()).prop_map(|(which, finds, at, when)| Look {
        which,
        finds,
        at,
        when: when.into(),
    })
}

/// When all histories begin.
const BEGINNING: i64 = 1_700_000_000_000;
const FIRST_NAME: &str = "Bilhuset";

#[derive(Clone)]
struct Org {
    id: String,
    name: String,
    founded: i64,
    at: i64,
    closed: bool,
}

#[derive(Clone)]
struct Person {
    id: String,
    email: Option<String>,
    banned: bool,
    at: i64,
    deleted: bool,
}

#[derive(Clone)]
struct Member {
    id: String,
    org: usize,
    person: usize,
    role: usize,
    at: i64,
}

/// A Clerk instance, and what it told.
#[derive(Default)]
pub(super) struct Clerk {
    now: i64,
    pub(super) prefix: String,
    orgs: Vec<Org>,
    people: Vec<Person>,
    members: Vec<Member>,
    joined: usize,
    pub(super) events: Vec<Value>,
}

fn pick<'a, T>(items: impl Iterator<Item = &'a T>, which: usize) -> Option<&'a T> {
    let items: Vec<_> = items.collect();
    items.get(which.checked_rem(items.len())?).copied()
}

impl Clerk {
    /// Ids of their own keep many histories apart in one database.
    pub(super) fn lived(case: usize, history: &[Happening]) -> Self {
        let mut clerk = Self { now: BEGINNING, prefix: format!("c{case}x"), ..Self::default() };
        for happening in history {
            clerk.live(happening);
        }
        clerk
    }

    fn live(&mut self, happening: &Happening) {
        self.now += 1_000;
        let at = self.now;
        match *happening {
            Happening::Founded => {
                let n = self.orgs.len();
                let id = format!("org_{}{n}", self.prefix);
                let org = Org { id, name: FIRST_NAME.to_owned(), founded: at, at, closed: false };
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
                self.people.push(Person { id, email, banned: false, at, deleted: false });
            }
            Happening::Changed { who, banned, email_of } => {
                // Addresses may be passed on: they identify nobody.
                let email = pick(self.people.iter(), email_of).and_then(|person| person.email.clone());
                if let Some(n) = self.somebody(who) {
                    let person = &mut self.people[n];
                    (person.banned, person.email, person.at) = (banned, email, at);
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
                    let member = Member { id, org, person, role: role % ROLES.len(), at };
                    self.events.push(self.membership(&member, "created"));
                    self.members.push(member);
                }
            }
            Happening::Promoted { which, role } => {
                if let Some(n) = self.a_member(which) {
                    (self.members[n].role, self.members[n].at) = (role % ROLES.len(), at);
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

    /// With snapshots: of the person as they are now, of the organization as it is now or, in an update, once was; and for
    /// a deletion with the time of the last change.
    fn membership(&self, member: &Member, kind: &str) -> Value {
        let (org, person) = (&self.orgs[member.org], &self.people[member.person]);
        let at = if kind == "deleted" { org.at } else { self.now };
        let (identifier, role) = (person.email.as_deref(), ROLES[member.role].0);
        let (org_name, org_at) =
            if kind == "updated" { (FIRST_NAME, org.founded) } else { (org.name.as_str(), org.at) };
        Membership {
            id: &member.id,
            org: &org.id,
            org_name,
            org_at,
            user: &person.id,
            first_name: "Snapshot",
            identifier,
            role,
            at,
        }
        .event(kind)
    }

    /// What must be true at the end, one line for each row.
    pub(super) fn truth(&self) -> BTreeSet<String> {
        let dealerships = self.orgs.iter().map(|org| format!("{} | {} | closed {}", org.id, org.name, org.closed));
        let users = self.members.iter().map(|member| {
            let (org, person) = (&self.orgs[member.org], &self.people[member.person]);
            let email = person.email.clone().unwrap_or_else(|| format!("{}@user.invalid", person.id));
            let (name, role) = (&person.id, ROLES[member.role].1);
            format!("{} | {} | {name} | {email} | {role} | suspended {}", org.id, person.id, person.banned)
        });
        dealerships.chain(users).collect()
    }

    /// What one look finds, or does not find, and when it is taken note of.
    pub(super) fn look(&self, look: &Look) -> Option<(usize, Change)> {
        let at = BEGINNING + look.at;
        let (orgs, people) = (self.orgs.len(), self.people.len());
        let which = look.which.checked_rem(orgs + people + self.members.len())?;
        let read = |event: &Value| Event::parse(&event.to_string()).expect("well-formed").change.seen_at(at);
        let id = |text: &str| text.to_owned();
        let change = if let Some(org) = self.orgs.get(which) {
            if look.finds {
                read(&organization("organization.updated", &org.id, &org.name, org.at))
            } else {
                Change::OrganizationMissing { id: id(&org.id).try_into().ok()?, at }
            }
        } else if let Some(person) = self.people.get(which - orgs) {
            let email = person.email.as_deref();
            if look.finds {
                read(&user("user.updated", &person.id, &person.id, email, person.banned, person.at))
            } else {
                Change::UserMissing { id: id(&person.id).try_into().ok()?, at }
            }
        } else {
            let member = &self.members[which - orgs - people];
            let user = id(&self.people[member.person].id).try_into().ok()?;
            if look.finds {
                read(&self.membership(member, "created"))
            } else {
                Change::MembershipMissing { id: id(&member.id).try_into().ok()?, user, at }
            }
        };
        Some((look.when, change))
    }

    /// What must be true at the end if these were seen, or not found, as well.
    pub(super) fn truth_after(&self, looks: &[(usize, Change)]) -> BTreeSet<String> {
        let events = self.events.iter().filter_map(|event| Event::parse(&event.to_string()).ok());
        let changes: Vec<_> =
            events.map(|event| event.change).chain(looks.iter().map(|(_, seen)| seen.clone())).collect();
        let is_missing = |wanted: &str| {
            let of = |change: &Change| match change {
                Change::Membership { id, seen, membership, .. } => {
                    let ids = [id.as_str(), membership.org.as_str(), membership.user.as_str()];
                    ids.contains(&wanted).then_some((*seen, 0))
                }
                Change::Organization { seen, .. } | Change::User { seen, .. } if change.object() == wanted => {
                    Some((*seen, 0))
                }
                Change::OrganizationMissing { at, .. }
                | Change::UserMissing { at, .. }
                | Change::MembershipMissing { at, .. }
                    if change.object() == wanted =>
                {
                    Some((0, *at))
                }
                _ => None,
            };
            let (seen, missing): (Vec<_>, Vec<_>) = changes.iter().filter_map(of).unzip();
            missing.into_iter().max() > seen.into_iter().max()
        };
        let mut after = Self { prefix: self.prefix.clone(), ..Self::default() };
        after.orgs =
            self.orgs.iter().map(|org| Org { closed: org.closed || is_missing(&org.id), ..org.clone() }).collect();
        after.people.clone_from(&self.people);
        let mut suspended = BTreeSet::new();
        for member in &self.members {
            let person = &self.people[member.person];
            if is_missing(&person.id) || is_missing(&member.id) {
                suspended.insert(format!("{} | {} |", self.orgs[member.org].id, person.id));
            }
        }
        after.members.clone_from(&self.members);
        let is_suspended = |line: &str| suspended.iter().any(|pair| line.starts_with(pair.as_str()));
        let suspend = |line: String| line.replace("suspended false", "suspended true");
        after.truth().into_iter().map(|line| if is_suspended(&line) { suspend(line) } else { line }).collect()
    }

    /// As its Backend API shows it.
    pub(super) fn instance(&self) -> Instance {
        let organization = |org: &Org| clerk::Organization {
            id: org.id.clone(),
            name: org.name.clone(),
            slug: org.id.clone(),
            created_by: None,
            created_at: org.at,
            updated_at: org.at,
        };
        let user = |person: &Person| clerk::User {
            id: person.id.clone(),
            first_name: Some(person.id.clone()),
            last_name: None,
            email: person.email.clone(),
            banned: person.banned,
            created_at: person.at,
            updated_at: person.at,
        };
        let membership = |member: &Member| clerk::Membership {
            id: member.id.clone(),
            organization_id: self.orgs[member.org].id.clone(),
            user_id: self.people[member.person].id.clone(),
            role: ROLES[member.role].0.to_owned(),
            created_at: member.at,
            updated_at: member.at,
        };
        Instance {
            organizations: self.orgs.iter().filter(|org| !org.closed).map(organization).collect(),
            users: self.people.iter().filter(|person| !person.deleted).map(user).collect(),
            memberships: self.members.iter().filter(|member| !self.orgs[member.org].closed).map(membership).collect(),
            deleted: Vec::new(),
        }
    }
}

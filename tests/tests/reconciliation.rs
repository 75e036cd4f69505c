//! Whatever webhooks missed, asking Clerk repairs: the same dealerships, people and access as if every event had come. And
//! whatever is wrong with the asking destroys nothing.

mod commands;
mod deletions;
mod faults;
mod instance;
mod sightings;
mod walk;

use std::{collections::BTreeSet, sync::Arc};

use common::{
    clerk::{BackendApi, Drift, ReconcileError, Reconciliation, apply, reconcile},
    config::{ClerkBackend, CliConfig, Settings},
    db::Db,
};
use dev::stand_ins::clerk::{Event, INSTANCE_ID, Instance, NewMember, Options, StandIn, UserChange};
use sqlx::Row;
use tests::{
    cluster::{TestDatabase, database},
    signing::signing_key,
};
use tokio::net::TcpListener;

/// A Clerk instance, and a database that hears of it only what a test tells it.
struct Apart {
    clerk: StandIn,
    database: Arc<TestDatabase>,
    db: Db,
    backend: ClerkBackend,
}

impl Apart {
    /// The operator has said which instance it is.
    async fn start(initial: Instance) -> Self {
        Self::start_with(initial, Some(INSTANCE_ID)).await
    }

    /// The instance is as far known as is said here.
    async fn start_with(initial: Instance, instance: Option<&str>) -> Self {
        let database = database().await;
        let clerk = stand_in(initial, INSTANCE_ID).await;
        let backend = backend(&clerk.url(), instance);
        let db = Db::new(&database.url.parse().expect("a valid URL"), 2, "tests");
        Self { clerk, database: Arc::new(database), db, backend }
    }

    /// A pilot customer's: two organizations and five people, all of whom Clerk has told of.
    async fn pilot() -> Self {
        let apart = Self::start(pilot()).await;
        apart.sync().await;
        assert_eq!(apart.access().await.len(), 5);
        apart
    }

    /// Something happens of which no webhook arrives.
    fn unheard<T>(&self, change: impl FnOnce(&mut Instance) -> Result<T, dev::stand_ins::clerk::ChangeError>) -> T {
        self.clerk.change(|instance, _| Ok((change(instance)?, Vec::new()))).expect("a valid change")
    }

    async fn hear(&self, events: &[Event]) {
        for event in events {
            let event = common::clerk::Event::parse(&event.body().to_string()).expect("a well-formed event");
            self.apply(event.change).await;
        }
    }

    async fn apply(&self, change: common::clerk::Change) {
        let mut tx = self.db.system().await.expect("the database is there");
        apply(&mut tx, change).await.expect("a valid change");
        tx.commit().await.expect("the database is there");
    }

    async fn sync(&self) -> Drift {
        self.reconcile(Reconciliation::default()).await.expect("both answer")
    }

    async fn dry_run(&self) -> Drift {
        let how = Reconciliation { dry_run: true, ..Reconciliation::default() };
        self.reconcile(how).await.expect("both answer")
    }

    async fn reconcile(&self, how: Reconciliation) -> Result<Drift, ReconcileError> {
        reconcile(&self.db, &self.backend, how).await
    }

    /// Neither a run nor a dry run writes anything, and both say why.
    async fn refused(&self) -> String {
        let before = self.everything().await;
        let dry_run = Reconciliation { dry_run: true, ..Reconciliation::default() };
        let foreseen = self.reconcile(dry_run).await.expect_err("it is to stop").to_string();
        let said = self.reconcile(Reconciliation::default()).await.expect_err("it is to stop").to_string();
        assert_eq!(foreseen, said);
        assert_eq!(self.everything().await, before, "after: {said}");
        said
    }

    /// Everybody who has access, where, and as what.
    async fn access(&self) -> Vec<String> {
        self.lines(
            "SELECT concat_ws(' ', d.clerk_org_id, d.name, u.clerk_user_id, u.name, u.email, u.role) AS line
             FROM users u JOIN dealerships d ON d.id = u.dealership_id
             WHERE d.closed_at IS NULL AND NOT u.suspended ORDER BY line",
        )
        .await
    }

    /// All that is known of Clerk, and all that follows from it.
    async fn everything(&self) -> Vec<String> {
        self.lines(
            "SELECT to_jsonb(o) AS line FROM clerk_objects o UNION ALL SELECT to_jsonb(u) FROM users u
             UNION ALL SELECT to_jsonb(d) FROM dealerships d UNION ALL SELECT to_jsonb(i) FROM clerk_instance i
             UNION ALL SELECT to_jsonb(l) FROM leads l ORDER BY line",
        )
        .await
    }

    async fn lines(&self, statement: &'static str) -> Vec<String> {
        let statement = sqlx::AssertSqlSafe(format!("SELECT line::text FROM ({statement}) lines"));
        let mut conn = self.database.connect().await;
        let rows = sqlx::query(statement).fetch_all(&mut conn).await.expect("a valid statement");
        rows.iter().map(|row| row.get("line")).collect()
    }

    async fn execute(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&mut self.database.connect().await).await.expect("a valid statement");
    }
}

async fn stand_in(initial: Instance, instance: &str) -> StandIn {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let instance_id = instance.to_owned();
    let options = Options { initial, instance_id, ..Options::in_memory(signing_key()) };
    StandIn::start(listener, options).await.expect("it keeps no file")
}

/// How to reach this Clerk with the stand-in's key.
fn backend(url: &str, instance: Option<&str>) -> ClerkBackend {
    let settings = [
        ("CLERK_SECRET_KEY", "sk_test_stand_in".to_owned()),
        ("DATABASE_URL", "postgres://localhost/norvalt".to_owned()),
        ("CLERK_API_URL", url.to_owned()),
    ];
    let instance = instance.map(|id| ("CLERK_INSTANCE_ID", id.to_owned()));
    let config = CliConfig::read(&mut Settings::from_values(settings.into_iter().chain(instance)));
    config.expect("the settings are valid").clerk.expect("there is a key")
}

/// Organizations of so many people each.
fn instance_of(sizes: &[usize]) -> Instance {
    let mut instance = Instance::default();
    for (n, size) in sizes.iter().enumerate() {
        let (org, _) = instance.create_organization(&format!("Bilhus {n}"), now()).expect("a valid change");
        for person in 0..*size {
            let (email, first_name) = (format!("person{person}@bilhus{n}.no"), Some(format!("Person {n} {person}")));
            let new = NewMember { email, first_name, role: Some("org:admin".to_owned()), ..NewMember::default() };
            instance.add_member(&org.id, &new, now()).expect("a valid change");
        }
    }
    instance
}

fn pilot() -> Instance {
    instance_of(&[3, 2])
}

/// The ids of all organizations, people and memberships.
fn ids(instance: &Instance) -> Vec<String> {
    let organizations = instance.organizations.iter().map(|organization| &organization.id);
    let users = instance.users.iter().map(|user| &user.id);
    organizations.chain(users).chain(instance.memberships.iter().map(|m| &m.id)).cloned().collect()
}

fn lines(drift: &Drift) -> Vec<String> {
    drift.effects.iter().map(ToString::to_string).collect()
}

fn now() -> chrono::DateTime<chrono::Utc> {
    common::clock::Clock::system().now()
}

fn banned() -> UserChange {
    UserChange { banned: Some(true), ..UserChange::default() }
}

#[tokio::test]
async fn an_empty_database_imports_all_of_it_and_then_nothing() {
    let apart = Apart::start(Instance::demo()).await;
    let foreseen = apart.dry_run().await;
    assert!(apart.everything().await.is_empty(), "a dry run changes nothing");
    assert_eq!((foreseen.organizations, foreseen.users, foreseen.memberships), (2, 4, 4));
    let drift = apart.sync().await;
    assert_eq!((drift.news, &drift), (10, &foreseen), "a dry run says just what the real one does");
    assert!(lines(&drift).contains(&"user_demo_kari in org_demo_tesla_oslo: joined as admin".to_owned()), "{drift:?}");
    let access = apart.access().await;
    assert_eq!(access.len(), 4);
    assert_eq!(access[0].split_once(' ').map(|(org, _)| org), Some("org_demo_tesla_oslo"));

    let again = apart.sync().await;
    assert_eq!((again.news, again.effects.len()), (0, 0), "{again:?}");
    assert_eq!(apart.access().await, access);
}

#[tokio::test]
async fn what_was_withdrawn_without_a_word_is_withdrawn() {
    let apart = Apart::start(Instance::demo()).await;
    apart.sync().await;
    apart.unheard(|clerk| clerk.remove_member("tesla-oslo", "user_demo_kari", now()));
    apart.unheard(|clerk| clerk.delete_organization("vw-bergen", now()));
    let remaining = apart.clerk.instance().memberships[0].user_id.clone();
    apart.unheard(|clerk| clerk.set_role("tesla-oslo", &remaining, "org:manager", now()));
    let foreseen = apart.dry_run().await;
    let drift = apart.sync().await;
    assert_eq!(drift, foreseen);
    let expected = [
        "org_demo_vw_bergen: closed".to_owned(),
        "user_demo_kari in org_demo_tesla_oslo: access withdrawn: not found in Clerk".to_owned(),
        format!("{remaining} in org_demo_tesla_oslo: sales_rep became manager"),
    ];
    assert_eq!(lines(&drift).into_iter().collect::<BTreeSet<_>>(), expected.into());
    assert_eq!((drift.missing, drift.news, apart.access().await.len()), (2, 3, 1));

    apart.unheard(|clerk| clerk.delete_user(&remaining, now()));
    apart.unheard(|clerk| clerk.change_user("user_demo_kari", &banned(), now()));
    let foreseen = apart.dry_run().await;
    let drift = apart.sync().await;
    assert_eq!(drift, foreseen);
    let withdrawn = format!("{remaining} in org_demo_tesla_oslo: access withdrawn: not found in Clerk");
    assert!(lines(&drift).contains(&withdrawn), "{drift:?}");
    assert!(apart.access().await.is_empty());
    assert_eq!(apart.sync().await.news, 0);
}

#[tokio::test]
async fn what_was_provisioned_by_hand_is_left_alone() {
    let apart = Apart::start(Instance::demo()).await;
    apart.sync().await;
    let elsewhere = apart.access().await;
    let by_hand = |id: &str, org: &str, user: &str| common::clerk::Change::Membership {
        id: id.parse().expect("printable"),
        version: 0,
        seen: 0,
        membership: common::clerk::Membership {
            org: org.parse().expect("printable"),
            user: user.parse().expect("printable"),
            role: "org:admin".to_owned(),
        },
        organization: (0, common::clerk::Organization { name: Some("By hand".to_owned()) }),
        hint: common::clerk::PersonHint { name: Some("Kari".to_owned()), email: None },
    };
    let all_by_hand = by_hand("orgmem_hand", "org_hand", "user_hand");
    // Clerk knows both, and not that they belong together.
    let membership_by_hand = by_hand("orgmem_bergen", "org_demo_vw_bergen", "user_demo_kari");
    for change in [all_by_hand, membership_by_hand] {
        apart.apply(change).await;
    }
    assert_eq!(apart.sync().await.news, 0);
    assert_eq!(apart.access().await.len(), elsewhere.len() + 2);
}

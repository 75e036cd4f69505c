//! Whatever webhooks missed, asking Clerk mends: the same dealerships, people and access as if every event had come.

use common::{
    clerk::{BackendApi, Drift, ReconcileError, Reconciliation, apply, reconcile},
    config::{CliConfig, Settings},
    db::Db,
};
use dev::clerk::{Event, Instance, NewMember, Options, SigningKey, StandIn, UserChange};
use sqlx::Row;
use tests::cluster::{TestDatabase, database};
use tokio::net::TcpListener;

/// A Clerk instance, and a database that hears of it only what a test tells it.
struct Apart {
    clerk: StandIn,
    database: TestDatabase,
    db: Db,
    api: BackendApi,
}

impl Apart {
    async fn start(initial: Instance) -> Self {
        let database = database().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let options = Options { initial, ..Options::in_memory(SigningKey::generate()) };
        let clerk = StandIn::start(listener, options).await.expect("it keeps no file");
        let settings = [
            ("DATABASE_URL", database.url.clone()),
            ("CLERK_API_URL", clerk.url()),
            ("CLERK_SECRET_KEY", "sk_test_stand_in".to_owned()),
            ("CLERK_INSTANCE_ID", dev::clerk::INSTANCE_ID.to_owned()),
        ];
        let config = CliConfig::read(&mut Settings::from_values(settings)).expect("the settings above are valid");
        let api = BackendApi::of(&config.clerk.expect("it is set")).await.expect("it answers");
        let db = Db::new(&config.database_url, 2, "tests");
        Self { clerk, database, db, api }
    }

    /// Something happens of which no webhook arrives.
    fn unheard<T>(&self, change: impl FnOnce(&mut Instance) -> Result<T, dev::clerk::ChangeError>) -> T {
        self.clerk.change(|instance, _| Ok((change(instance)?, Vec::new()))).expect("a valid change")
    }

    /// These events arrive.
    async fn hear(&self, events: &[Event]) {
        for event in events {
            let event = common::clerk::Event::parse(&event.body().to_string()).expect("a well-formed event");
            let mut tx = self.db.system().await.expect("the database is there");
            apply(&mut tx, event.change).await.expect("a valid change");
            tx.commit().await.expect("the database is there");
        }
    }

    async fn sync(&self) -> Drift {
        reconcile(&self.db, &self.api, Reconciliation::default()).await.expect("both answer")
    }

    async fn dry_run(&self) -> Drift {
        let how = Reconciliation { dry_run: true, ..Reconciliation::default() };
        reconcile(&self.db, &self.api, how).await.expect("both answer")
    }

    /// Everybody who has access, where, and as what.
    async fn access(&self) -> Vec<String> {
        let access = "SELECT concat_ws(' ', d.clerk_org_id, d.name, u.clerk_user_id, u.name, u.email, u.role) AS line
                      FROM users u JOIN dealerships d ON d.id = u.dealership_id
                      WHERE d.closed_at IS NULL AND NOT u.suspended ORDER BY line";
        let rows = sqlx::query(access).fetch_all(&mut self.database.connect().await).await.expect("a valid statement");
        rows.iter().map(|row| row.get("line")).collect()
    }
}

fn lines(drift: &Drift) -> Vec<String> {
    drift.effects.iter().map(ToString::to_string).collect()
}

fn now() -> chrono::DateTime<chrono::Utc> {
    common::clock::Clock::system().now()
}

#[tokio::test]
async fn an_empty_database_takes_over_all_of_it_and_then_nothing() {
    let apart = Apart::start(Instance::demo()).await;
    let foreseen = apart.dry_run().await;
    assert!(apart.access().await.is_empty(), "a dry run changes nothing");
    assert_eq!((foreseen.organizations, foreseen.users, foreseen.memberships), (2, 4, 4));
    let drift = apart.sync().await;
    assert_eq!(lines(&drift), lines(&foreseen));
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
    let drift = apart.sync().await;
    let expected = [
        "org_demo_vw_bergen: closed".to_owned(),
        "user_demo_kari in org_demo_tesla_oslo: left".to_owned(),
        format!("{remaining} in org_demo_tesla_oslo: sales_rep became manager"),
    ];
    assert_eq!(lines(&drift).into_iter().collect::<std::collections::BTreeSet<_>>(), expected.into());
    assert_eq!(apart.access().await.len(), 1);

    apart.unheard(|clerk| clerk.delete_user(&remaining, now()));
    apart.unheard(|clerk| clerk.change_user("user_demo_kari", &banned(), now()));
    let drift = apart.sync().await;
    assert!(lines(&drift).contains(&format!("{remaining}: erased")), "{drift:?}");
    assert!(apart.access().await.is_empty());
    assert_eq!(apart.sync().await.news, 0);
}

fn banned() -> UserChange {
    UserChange { banned: Some(true), ..UserChange::default() }
}

#[tokio::test]
async fn pages_overlap_and_miss_nobody() {
    let apart = Apart::start(Instance::demo()).await;
    for n in 0..1_100 {
        let new = NewMember { email: format!("person{n}@example.no"), ..NewMember::default() };
        apart.unheard(|clerk| clerk.add_member("tesla-oslo", &new, now()));
    }
    // Asked to slow down in the middle of it.
    apart.clerk.refuse_requests(1);
    let drift = apart.sync().await;
    assert_eq!((drift.users, drift.memberships), (1_104, 1_104));
    assert_eq!(apart.access().await.len(), 1_104);
}

/// Demo dealerships with so many more people in one that taking over takes a while.
fn crowded() -> Instance {
    let mut instance = Instance::demo();
    for n in 0..600 {
        let new = NewMember { email: format!("person{n}@example.no"), ..NewMember::default() };
        instance.add_member("tesla-oslo", &new, now()).expect("a valid change");
    }
    instance
}

impl Apart {
    /// Waits until the run under way has taken over somebody.
    async fn until_under_way(&self) {
        let mut conn = self.database.connect().await;
        let begun = || sqlx::query_scalar::<_, bool>("SELECT count(*) > 20 FROM clerk_objects WHERE kind = 'user'");
        while !begun().fetch_one(&mut conn).await.expect("a valid statement") {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_run_that_is_cut_off_goes_on_where_it_was() {
    let apart = Apart::start(crowded()).await;
    tokio::select! {
        drift = apart.sync() => panic!("it is not done by now: {drift:?}"),
        () = apart.until_under_way() => {}
    }
    let drift = apart.sync().await;
    assert!(drift.users == 604 && drift.news < 3 * 604, "{} objects were news, of which some were known", drift.news);
    assert_eq!(apart.access().await.len(), 604);

    apart.clerk.set_outage(true);
    let error = reconcile(&apart.db, &apart.api, Reconciliation::default()).await.expect_err("Clerk is away");
    assert!(matches!(error, ReconcileError::Clerk(_)), "{error}");
    assert_eq!(apart.access().await.len(), 604, "that Clerk does not answer does not mean that nobody is there");
}

#[tokio::test]
async fn what_is_deleted_during_the_walk_is_gone_after_it() {
    let apart = Apart::start(crowded()).await;
    let deleted = async {
        apart.until_under_way().await;
        apart.unheard(|clerk| clerk.delete_organization("tesla-oslo", now()));
    };
    tokio::join!(apart.sync(), deleted);
    assert_eq!(apart.access().await.len(), 2, "only those of the other dealership");
    apart.sync().await;
    assert_eq!(apart.sync().await.news, 0);
    assert_eq!(apart.access().await.len(), 2);
}

#[tokio::test]
async fn what_was_provisioned_by_hand_is_left_alone() {
    let apart = Apart::start(Instance::default()).await;
    let by_hand = common::clerk::Change::Membership {
        id: "orgmem_hand".parse().expect("printable"),
        version: 0,
        membership: common::clerk::Membership {
            org: "org_hand".parse().expect("printable"),
            user: "user_hand".parse().expect("printable"),
            role: "org:admin".to_owned(),
        },
        organization: (0, common::clerk::Organization { name: Some("By hand".to_owned()) }),
        hint: common::clerk::PersonHint { name: Some("Kari".to_owned()), email: None },
    };
    let mut tx = apart.db.system().await.expect("the database is there");
    apply(&mut tx, by_hand).await.expect("a valid change");
    tx.commit().await.expect("the database is there");
    assert_eq!(apart.sync().await.news, 0);
    assert_eq!(apart.access().await.len(), 1);
}

#[tokio::test]
async fn another_instances_key_destroys_nothing() {
    let apart = Apart::start(Instance::demo()).await;
    for n in 0..20 {
        let new = NewMember { email: format!("person{n}@example.no"), ..NewMember::default() };
        let (_, events) = apart
            .clerk
            .change(|clerk, now| {
                let (member, events) = clerk.add_member("tesla-oslo", &new, now)?;
                Ok(((member, events.clone()), events))
            })
            .expect("a valid change");
        apart.hear(&events).await;
    }
    let before = apart.access().await;
    assert_eq!(before.len(), 20);
    apart.unheard(|clerk| {
        *clerk = Instance::default();
        Ok(())
    });
    let error = reconcile(&apart.db, &apart.api, Reconciliation::default()).await.expect_err("that cannot be meant");
    assert!(matches!(error, ReconcileError::MassDeletion { known: 20, limit: 10, .. }), "{error}");
    assert!(error.to_string().contains("CLERK_SECRET_KEY"), "{error}");
    assert_eq!(apart.access().await, before);
    assert_eq!(lines(&apart.dry_run().await).iter().filter(|line| line.ends_with("erased")).count(), 20);
    assert_eq!(apart.access().await, before);
    let how = Reconciliation { allow_mass_deletion: true, ..Reconciliation::default() };
    reconcile(&apart.db, &apart.api, how).await.expect("it was meant");
    assert!(apart.access().await.is_empty());
}

#[tokio::test]
async fn the_key_of_another_instance_is_refused() {
    let apart = Apart::start(Instance::demo()).await;
    let settings = [
        ("DATABASE_URL", apart.database.url.clone()),
        ("CLERK_API_URL", apart.clerk.url()),
        ("CLERK_SECRET_KEY", "sk_test_stand_in".to_owned()),
        ("CLERK_INSTANCE_ID", "ins_production".to_owned()),
    ];
    let config = CliConfig::read(&mut Settings::from_values(settings)).expect("the settings above are valid");
    let error = BackendApi::of(&config.clerk.expect("it is set")).await.expect_err("it is of the stand-in");
    assert!(error.to_string().contains("ins_development"), "{error}");
}

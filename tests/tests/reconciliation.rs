//! Whatever webhooks missed, asking Clerk mends: the same dealerships, people and access as if every event had come.

use std::time::Duration;

use common::{
    clerk::{BackendApi, Drift, ReconcileError, Reconciliation, apply, reconcile},
    config::{ClerkBackend, CliConfig, Settings},
    db::Db,
};
use dev::clerk::{Event, Instance, NewMember, Options, SigningKey, StandIn, UserChange};
use sqlx::Row;
use tests::cluster::{TestDatabase, database};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
    time::Instant,
};

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
        let instance = ("CLERK_INSTANCE_ID", dev::clerk::INSTANCE_ID.to_owned());
        let api = BackendApi::of(&backend([("CLERK_API_URL", clerk.url()), instance])).await.expect("it answers");
        let db = Db::new(&database.url.parse().expect("a valid URL"), 2, "tests");
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

/// How to reach Clerk with these settings and the stand-in's key.
fn backend(settings: impl IntoIterator<Item = (&'static str, String)>) -> ClerkBackend {
    let key = ("CLERK_SECRET_KEY", "sk_test_stand_in".to_owned());
    let settings = settings.into_iter().chain([key, ("DATABASE_URL", "postgres://localhost/norvalt".to_owned())]);
    let config = CliConfig::read(&mut Settings::from_values(settings)).expect("the settings are valid");
    config.clerk.expect("there is a key")
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

#[tokio::test]
async fn who_moves_up_a_page_meanwhile_is_not_passed_over() {
    let apart = Apart::start(crowded()).await;
    let first = apart.clerk.instance().users[0].id.clone();
    let deleted = async {
        apart.until_it_comes_to("user").await;
        apart.unheard(|clerk| clerk.delete_user(&first, now()));
    };
    let (drift, ()) = tokio::join!(apart.sync(), deleted);
    assert_eq!(drift.users, 604, "all of them were listed, also the one who was deleted then");
}

#[tokio::test]
async fn what_a_list_passes_over_is_asked_for_before_it_is_believed_to_be_gone() {
    let apart = Apart::start(Instance::demo()).await;
    apart.sync().await;
    let (access, clerk) = (apart.access().await, apart.clerk.instance());
    for id in [&clerk.organizations[0].id, &clerk.users[0].id, &clerk.memberships[0].id] {
        apart.clerk.pass_over(vec![id.clone()]);
        assert_eq!(apart.sync().await.news, 0, "{id}");
        assert_eq!(apart.access().await, access);
    }
}

#[tokio::test]
async fn somebody_may_be_a_member_of_more_than_fits_on_a_page() {
    let apart = Apart::start(Instance::default()).await;
    let new = NewMember { email: "kari@example.no".to_owned(), ..NewMember::default() };
    for n in 0..501 {
        let (org, _) = apart.unheard(|clerk| clerk.create_organization(&format!("Bilhus {n}"), now()));
        apart.unheard(|clerk| clerk.add_member(&org.id, &new, now()));
    }
    let kari = apart.clerk.instance().users[0].id.parse().expect("printable");
    assert_eq!(apart.api.memberships_of(&kari).await.expect("it answers").len(), 501);
}

/// Answers one request after another, each on a connection of its own, and then tells what it was asked.
async fn answering(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("somebody asks");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.expect("the head of a request"));
            }
            asked.push(String::from_utf8(request).expect("text"));
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("somebody listens");
        }
        asked
    });
    (url, asked)
}

#[tokio::test]
async fn clerk_is_asked_in_its_version_and_as_seldom_as_it_wants() {
    let (url, asked) = answering(&["429 Too Many Requests\r\nRetry-After: 2", "404 Not Found"]).await;
    let api = BackendApi::of(&backend([("CLERK_API_URL", url)])).await.expect("nothing to ask yet");
    let begun = Instant::now();
    let organization = api.organization(&"org_1".parse().expect("printable")).await.expect("an answer");
    assert!(organization.is_none() && begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    let asked = asked.await.expect("no panic");
    assert_eq!(asked.len(), 2);
    for request in asked {
        assert!(request.starts_with("GET /v1/organizations/org_1 "), "{request}");
        assert!(request.contains("clerk-api-version: 2025-04-10\r\n"), "{request}");
    }
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
    /// Waits until the run under way has taken over some objects of this kind.
    async fn until_it_comes_to(&self, kind: &str) {
        let mut conn = self.database.connect().await;
        let some = "SELECT count(*) > 20 FROM clerk_objects WHERE kind = $1";
        let begun = || sqlx::query_scalar::<_, bool>(some).bind(kind);
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
        () = apart.until_it_comes_to("user") => {}
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
        apart.until_it_comes_to("membership").await;
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
    let apart = Apart::start(Instance::demo()).await;
    apart.sync().await;
    let elsewhere = apart.access().await;
    let by_hand = |id: &str, org: &str, user: &str| common::clerk::Change::Membership {
        id: id.parse().expect("printable"),
        version: 0,
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
        let mut tx = apart.db.system().await.expect("the database is there");
        apply(&mut tx, change).await.expect("a valid change");
        tx.commit().await.expect("the database is there");
    }
    assert_eq!(apart.sync().await.news, 0);
    assert_eq!(apart.access().await.len(), elsewhere.len() + 2);
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
    let other = [("CLERK_API_URL", apart.clerk.url()), ("CLERK_INSTANCE_ID", "ins_production".to_owned())];
    let error = BackendApi::of(&backend(other)).await.expect_err("it is of the stand-in");
    assert!(error.to_string().contains("ins_development"), "{error}");
}

//! Lists are read from a hot standby, and nobody notices: what was committed is there, whatever the standby is like.

use std::time::Duration;

use common::{
    config::ApiConfig,
    db::{Db, Replica, SkipReason, UnusableReplica},
};
use reqwest::Method;
use serde_json::json;
use sqlx::{Executor, PgConnection};
use tests::{
    answer::Answer,
    app::{Person, TestApp},
    cluster::{PrivateCluster, database, private_cluster},
    metrics::Metrics,
};
use tokio::time::{Instant, sleep, timeout};

/// A primary with its standby, and two processes that use both.
struct System {
    primary: PrivateCluster,
    standby: PrivateCluster,
    one: TestApp,
    two: TestApp,
    /// Where the first one tells of itself.
    admin: String,
}

/// An address that nobody has at this moment.
async fn free_address() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    listener.local_addr().expect("it is bound")
}

async fn start() -> System {
    let mut primary = private_cluster().await;
    let standby = primary.standby().await;
    let url = standby.url.clone();
    let read = |config: &mut ApiConfig| config.read_database_url = Some(url.parse().expect("a URL"));
    let address = free_address().await;
    let one = TestApp::start_on(&primary.url, |config| {
        read(config);
        config.admin_address = Some(address);
    })
    .await;
    let two = TestApp::start_on(&primary.url, read).await;
    let system = System { primary, standby, one, two, admin: format!("http://{address}") };
    // Provisioned, so that there is something to look at.
    system.one.dealership("Tesla Oslo").await;
    system.until_read("replica", "shows_all").await;
    system
}

impl System {
    fn people(&self) -> [Person<'_>; 2] {
        [&self.one, &self.two].map(|app| app.known_dealership("Tesla Oslo").admin())
    }

    async fn reads(&self, server: &str, reason: &str) -> f64 {
        let metrics = Metrics::of(&self.admin).await;
        metrics.value(&format!("norvalt_reads_total{{server=\"{server}\",reason=\"{reason}\"}}"))
    }

    /// Lists until one was read so, within some seconds.
    async fn until_read(&self, server: &str, reason: &str) {
        let before = self.reads(server, reason).await;
        let read = async {
            while self.reads(server, reason).await <= before {
                self.people()[0].get("/api/v1/leads").await.expect(200);
            }
        };
        timeout(Duration::from_secs(30), read).await.unwrap_or_else(|_| panic!("none is read: {server}, {reason}"));
    }

    async fn on_standby(&self, statement: &'static str) {
        self.standby.connect().await.execute(statement).await.expect("a superuser may");
    }
}

async fn create(person: &Person<'_>, name: &str) -> String {
    let new = json!({ "customer_name": name, "customer_email": "kunde@example.no" });
    let lead = Answer::of(person.request(Method::POST, "/api/v1/leads").json(&new)).await.expect(201);
    lead["id"].as_str().expect("an id").to_owned()
}

async fn sees(person: &Person<'_>, lead: &str) -> bool {
    let page = person.get("/api/v1/leads?limit=1").await.expect(200);
    page["items"][0]["id"] == lead
}

#[tokio::test]
async fn every_list_is_read_from_the_standby_and_says_the_same() {
    let system = start().await;
    let [kari, _] = system.people();
    let lead = create(&kari, "Ola").await;
    let answer = json!({ "lead_id": lead, "message_content": "Hei", "channel": "sms" });
    Answer::of(kari.request(Method::POST, "/api/v1/conversations").json(&answer)).await.expect(201);
    // Without a standby.
    let plain = TestApp::start_on(&system.primary.url, |_| {}).await;
    let plain = plain.known_dealership("Tesla Oslo").admin();
    for path in [
        "leads",
        "leads?search=ola&status=new",
        &format!("leads/{lead}/history"),
        &format!("leads/{lead}/related"),
        &format!("leads/{lead}/adf"),
        &format!("leads/{lead}/conversations"),
        &format!("leads/{lead}/answers"),
        "customers",
        "vehicles",
        "automation-rules",
        "users",
        "inbound",
        "inbound/ledger",
    ] {
        let path = format!("/api/v1/{path}");
        let begun = Instant::now();
        loop {
            let before = system.reads("replica", "shows_all").await;
            let answer = kari.get(&path).await;
            assert_eq!((answer.status.as_u16(), &answer.json), (200, &plain.get(&path).await.json), "{path}");
            if system.reads("replica", "shows_all").await > before {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{path} is not read from the standby");
        }
    }
    assert!(system.reads("primary", "failed").await.abs() < 0.5, "the standby can answer all of them");
    let stranger = "/api/v1/leads/00000000-0000-4000-8000-000000000000/conversations";
    kari.get(stranger).await.expect_problem(404, "lead-not-found");
}

#[tokio::test]
async fn what_was_written_is_there_however_far_the_standby_is_behind() {
    let system = start().await;
    let [here, there] = system.people();
    for round in 0..12 {
        let (writer, reader) = if round % 2 == 0 { (&here, &there) } else { (&there, &here) };
        if round % 3 == 1 {
            system.on_standby("SELECT pg_wal_replay_pause()").await;
        }
        for n in 0..10 {
            let lead = create(writer, &format!("{round} {n}")).await;
            assert!(sees(reader, &lead).await && sees(writer, &lead).await, "round {round}");
        }
        if round % 3 == 2 {
            system.on_standby("SELECT pg_wal_replay_resume()").await;
            system.until_read("replica", "shows_all").await;
        }
    }
    system.on_standby("SELECT pg_wal_replay_pause()").await;
    create(&here, "behind").await;
    system.until_read("primary", "behind").await;
    let lagging = async {
        while Metrics::of(&system.admin).await.value("norvalt_replica_lag_seconds") < 1.0 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), lagging).await.expect("the metric says that it is behind");
    // Nobody waits for it meanwhile.
    let begun = Instant::now();
    for _ in 0..10 {
        here.get("/api/v1/leads").await.expect(200);
    }
    println!("ten lists from the primary, while the standby is behind: {:?}", begun.elapsed());
    system.on_standby("SELECT pg_wal_replay_resume()").await;
    system.until_read("replica", "shows_all").await;
    assert!(Metrics::of(&system.admin).await.value("norvalt_replica_lag_seconds").abs() < 1.0);
}

#[tokio::test]
async fn a_member_who_is_removed_is_out_at_once() {
    let system = start().await;
    let oslo = system.one.known_dealership("Tesla Oslo");
    let jonas = oslo.member("jonas", "org:member").await;
    jonas.get("/api/v1/leads").await.expect(200);
    system.on_standby("SELECT pg_wal_replay_pause()").await;
    let id = format!("orgmem_{}_{}", oslo.org, jonas.user).parse().expect("printable");
    system.one.change(common::clerk::Change::MembershipDeleted { id, user: Some(jonas.user.clone()) }).await;
    jonas.get("/api/v1/leads").await.expect_problem(403, "not-provisioned");
}

/// Ends whatever the API runs on the standby, again and again.
async fn disturb(mut superuser: PgConnection, mut on_primary: PgConnection) {
    loop {
        superuser
            .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'norvalt api'")
            .await
            .expect("a superuser may");
        // What the standby has to replay at once, and what reads stand in the way of.
        on_primary.execute("ALTER TABLE leads SET (fillfactor = 90)").await.expect("a superuser may");
        sleep(Duration::from_millis(7)).await;
    }
}

#[tokio::test]
async fn what_the_standby_gives_up_the_primary_answers() {
    let mut system = start().await;
    system.on_standby("ALTER SYSTEM SET max_standby_streaming_delay = 0").await;
    system.on_standby("SELECT pg_reload_conf()").await;
    let [kari, _] = system.people();
    let lead = create(&kari, "Ola").await;
    let lists = async {
        let begun = Instant::now();
        while system.reads("primary", "failed").await < 3.0 {
            for path in ["leads", "leads?search=ola", "customers", &format!("leads/{lead}/conversations")] {
                kari.get(&format!("/api/v1/{path}")).await.expect(200);
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "nothing was given up");
        }
    };
    tokio::select! {
        () = lists => {}
        () = disturb(system.standby.connect().await, system.primary.connect().await) => unreachable!("it goes on"),
    }
    system.standby.stop().await;
    for _ in 0..10 {
        let [kari, _] = system.people();
        let lead = create(&kari, "Eva").await;
        assert!(sees(&kari, &lead).await);
    }
    system.until_read("primary", "away").await;
    system.standby.start().await;
    system.until_read("replica", "shows_all").await;
    // Somebody makes it a primary of its own.
    system.on_standby("SELECT pg_promote()").await;
    system.until_read("primary", "not_a_standby").await;
    let [kari, _] = system.people();
    let lead = create(&kari, "Siri").await;
    assert!(sees(&kari, &lead).await);
}

#[tokio::test]
async fn only_a_standby_of_this_database_is_read() {
    let (database, other) = (database().await, database().await);
    let of = |url: &str| Db::new(&url.parse().expect("a URL"), 2, "tests");
    let check = async |url: &str| {
        let standby = Db::of_standby(&url.parse().expect("a URL"), 2, "tests");
        Replica::new(&of(&database.url), standby).check().await
    };
    let cluster = private_cluster().await;
    for url in [&other.url, &cluster.url] {
        let refused = check(url).await.expect_err("it is another database");
        assert!(matches!(refused, UnusableReplica::AnotherDatabase));
        assert!(refused.to_string().starts_with("READ_DATABASE_URL leads to another database"));
    }
    // What is away may come, and the primary itself is what a standby may have become.
    check("postgresql://norvalt@127.0.0.1:1/norvalt").await.expect("it is waited for");
    check(&database.url).await.expect("it is not read");
    let away = |config: &mut ApiConfig| {
        config.read_database_url = Some("postgresql://norvalt@127.0.0.1:1/norvalt".parse().expect("a URL"));
    };
    let app = TestApp::start_on(&database.url, away).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let lead = create(&oslo.admin(), "Ola").await;
    assert!(sees(&oslo.admin(), &lead).await);
}

#[tokio::test]
async fn nothing_is_written_there() {
    let database = database().await;
    let app = TestApp::start_on(&database.url, |_| {}).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let standby = Db::of_standby(&database.url.parse().expect("a URL"), 2, "tests");
    let mut tx = standby.tenant(oslo.id).await.expect("the database is there");
    let refused = common::leads::create(&mut tx, &tests::app::new_lead()).await.expect_err("it only reads");
    assert!(format!("{refused:?}").contains("read-only transaction"), "{refused:?}");
}

#[tokio::test]
async fn a_standby_of_another_history_is_not_read() {
    let mut primary = private_cluster().await;
    let mut other = primary.standby().await;
    other.promote().await;
    // By its position alone it would show all that the primary has.
    let more = "SELECT pg_logical_emit_message(true, 'tests', repeat('x', 1000000)); CHECKPOINT";
    other.connect().await.execute(more).await.expect("a superuser may");
    let standby = other.standby().await;
    let of = |url: &str| url.parse().expect("a URL");
    let replica = Replica::new(&Db::new(&of(&primary.url), 2, "tests"), Db::of_standby(&of(&standby.url), 2, "tests"));
    replica.check().await.expect("it is of the same origin");
    let looked = async {
        loop {
            match replica.shows_all().await {
                Err(SkipReason::OtherHistory) => return,
                // Nobody has looked yet.
                Err(SkipReason::Unusable | SkipReason::Away) => sleep(Duration::from_millis(20)).await,
                other => panic!("{other:?}"),
            }
        }
    };
    timeout(Duration::from_secs(20), looked).await.expect("somebody looks");
}

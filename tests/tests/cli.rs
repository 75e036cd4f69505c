//! The commands, as an operator types them.

mod doctor;
mod jobs;
mod restored;
mod secrets;

use std::{env, io, path::Path, process::Stdio};

use common::{
    clerk::{Change, process, receive},
    db::Db,
};
use dev::stand_ins::clerk::{Options, SigningKey, StandIn};
use tests::{
    app::WEBHOOK_SECRET,
    binaries::binary,
    clerk_events,
    cluster::{database, empty_database},
    jobs::JobTable,
};
use tokio::{net::TcpListener, process::Command};

pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

/// Runs a command with these variables and no others.
pub(super) async fn norvalt(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(binary("norvalt"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).current_dir(env::temp_dir());
    let output = command.output().await.expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

impl Ran {
    #[track_caller]
    pub(super) fn done(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }
}

#[tokio::test]
async fn whoever_stops_reading_sees_no_panic() {
    let database = empty_database().await;
    let (reader, writer) = io::pipe().expect("there are file descriptors");
    drop(reader);
    let mut migrate = Command::new(binary("norvalt"));
    migrate.args(["migrate", "--dry-run"]).env("DATABASE_URL", &database.url).stdout(writer).stderr(Stdio::piped());
    let output = migrate.spawn().expect("the binary runs").wait_with_output().await.expect("it ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(141), ""));
}

#[tokio::test]
async fn migrating_twice_at_once_is_migrating_once() {
    let database = empty_database().await;
    let url = [("DATABASE_URL", database.url.as_str())];
    let sql = norvalt(&["migrate", "--dry-run"], &url).await.done();
    assert!(sql.contains("CREATE TABLE leads") && sql.contains("FORCE ROW LEVEL SECURITY"), "{sql}");

    let (one, other) = tokio::join!(norvalt(&["migrate"], &url), norvalt(&["migrate"], &url));
    let (one, other) = (one.done(), other.done());
    assert!(one.contains("up to date") && other.contains("up to date"), "{one}{other}");
    assert_eq!(norvalt(&["migrate"], &url).await.done(), "The schema is up to date.\n");
    assert!(norvalt(&["migrate", "--dry-run"], &url).await.done().contains("Nothing to do"));

    let db = Db::new(&database.url.parse().expect("a valid URL"), 1, "tests");
    db.wait_until_usable().await.expect("what was migrated is sound");
}

#[tokio::test]
async fn what_comes_before_migrating_says_so() {
    let database = empty_database().await;
    for command in [&["seed"][..], &["jobs", "stats"], &["deliveries", "list"]] {
        let ran = norvalt(command, &[("DATABASE_URL", &database.url)]).await;
        // Roles belong to the whole cluster and are there already; tables are not.
        assert!(ran.code == Some(1) && ran.err.contains("run: norvalt migrate"), "{command:?}: {}", ran.err);
    }
}

#[tokio::test]
async fn seeding_twice_is_seeding_once() {
    let database = database().await;
    let url = [("DATABASE_URL", database.url.as_str())];
    let state = async || -> String {
        let counts = "SELECT concat_ws(' ', (SELECT count(*) FROM dealerships), (SELECT count(*) FROM users),
                                       (SELECT count(*) FROM leads), (SELECT count(*) FROM conversations) > 20)";
        sqlx::query_scalar(counts).fetch_one(&mut database.connect().await).await.expect("a valid statement")
    };
    assert!(norvalt(&["seed"], &url).await.done().contains("Tesla Oslo: 2 people, 10 leads"));
    assert_eq!(state().await, "2 4 20 t");
    assert!(norvalt(&["seed"], &url).await.done().contains("VW Bergen: 2 people; its leads are there already"));
    assert_eq!(state().await, "2 4 20 t");
}

#[tokio::test]
async fn one_person_is_provisioned_from_clerk_or_by_hand() {
    let database = database().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let clerk = StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file");
    let url = clerk.url();
    let base = ("DATABASE_URL", database.url.as_str());
    let asking = [base, ("CLERK_API_URL", &url), ("CLERK_SECRET_KEY", "sk_test_stand_in")];
    let people = async || -> String {
        let people = "SELECT string_agg(concat_ws(' ', d.name, u.name, u.email, u.role), ', ' ORDER BY u.name)
                      FROM users u JOIN dealerships d ON d.id = u.dealership_id";
        sqlx::query_scalar(people).fetch_one(&mut database.connect().await).await.expect("a valid statement")
    };
    clerk.faults().refuse_requests(1);
    let said = norvalt(&["sync-user", "user_demo_kari"], &asking).await.done();
    assert!(said.contains("user_demo_kari in org_demo_tesla_oslo as org:admin: done"), "{said}");
    let kari = "Tesla Oslo Kari Nordmann kari.nordmann@tesla-oslo.example admin";
    assert_eq!(people().await, kari);
    assert!(norvalt(&["sync-user", "user_demo_kari"], &asking).await.done().contains("nothing new"));

    let by_hand =
        ["sync-user", "user_ola", "--org", "org_demo_tesla_oslo", "--membership", "orgmem_ola", "--name", "Ola"];
    assert!(norvalt(&by_hand, &[base]).await.done().contains("done"));
    assert_eq!(people().await, format!("{kari}, Tesla Oslo Ola user_ola@user.invalid sales_rep"));

    let db = Db::new(&database.url.parse().expect("a valid URL"), 1, "tests");
    let mut tx = db.system().await.expect("the database is there");
    let deleted = Change::UserDeleted { id: "user_ola".parse().expect("printable") };
    common::clerk::apply(&mut tx, deleted).await.expect("a valid change");
    tx.commit().await.expect("the database is there");
    norvalt(&by_hand, &[base]).await.done();
    assert_eq!(people().await, kari, "what Clerk deleted stays deleted");

    for (arguments, environment, code, hint) in [
        (&["sync-user", "user_nobody"][..], &asking[..], 1, "Clerk knows no user_nobody"),
        (&["sync-user", "user_x"], &[base], 1, "set CLERK_SECRET_KEY"),
        (&["sync-user", "user_x", "--org", "org_x"], &[base], 2, "--membership"),
        (&["sync-user", "two words"], &[base], 2, "without spaces"),
        (&["sync-user", "kari"], &[base], 2, "must be user_"),
        (&["sync-user", "user_"], &[base], 2, "must be user_"),
        (&["sync-user", "org_x", "--org", "org_x", "--membership", "orgmem_x"], &[base], 2, "must be user_"),
        (&["sync-user", "user_x", "--org", "user_x", "--membership", "orgmem_x"], &[base], 2, "must be org_"),
        (&["sync-user", "user_x", "--org", "org_x", "--membership", "org_x"], &[base], 2, "must be orgmem_"),
        (&[&by_hand[..], &["--email", "kari"]].concat(), &[base], 2, "such as kari@example.no"),
        (&[&by_hand[..], &["--role", "king"]].concat(), &[base], 2, "org:manager"),
        (&[&by_hand[..6], &["--name", " "]].concat(), &[base], 2, "printable"),
    ] {
        let ran = norvalt(arguments, environment).await;
        assert!(ran.code == Some(code) && ran.err.contains(hint), "{arguments:?}: {:?} {}", ran.code, ran.err);
    }
}

#[tokio::test]
async fn drift_is_shown_and_fixed() {
    let database = database().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let clerk = StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file");
    let url = clerk.url();
    let base = ("DATABASE_URL", database.url.as_str());
    let asking = [base, ("CLERK_API_URL", &url), ("CLERK_SECRET_KEY", "sk_test_stand_in")];
    let shown = norvalt(&["sync", "--dry-run"], &asking).await.done();
    assert!(shown.starts_with("Clerk has 2 organizations, 4 people and 4 memberships.\n  org_demo_"), "{shown}");
    assert!(shown.contains("  user_demo_kari in org_demo_tesla_oslo: joined as admin\n"), "{shown}");
    assert!(shown.contains("Nothing was changed"), "{shown}");
    assert!(norvalt(&["sync"], &asking).await.done().contains("differed and were imported"));
    assert!(norvalt(&["sync"], &asking).await.done().ends_with("\nNo drift.\n"));
    let json = norvalt(&["sync", "--json"], &asking).await.done();
    let drift: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&drift["users"], &drift["effects"]), (&4.into(), &serde_json::json!([])));

    let without_key = norvalt(&["sync"], &[base]).await;
    assert!(without_key.code == Some(1) && without_key.err.contains("CLERK_SECRET_KEY"), "{}", without_key.err);
}

#[tokio::test]
async fn an_event_whose_job_was_cancelled_is_found_and_processed_after_all() {
    let database = database().await;
    let url = [("DATABASE_URL", database.url.as_str())];
    let db = Db::new(&database.url.parse().expect("a valid URL"), 1, "tests");
    let event = clerk_events::organization("organization.created", "org_1", "Tesla Oslo", 1_000).to_string();
    receive(&db, None, &clerk_events::delivery("msg_1", &event)).await.expect("the database is there");
    let replay = ["deliveries", "replay", "--status", "pending"];
    assert_eq!(norvalt(&replay, &url).await.done(), "nothing to do\n", "a job is still to process it");
    assert_eq!(norvalt(&["jobs", "cancel", "1"], &url).await.done(), "job 1 cancelled\n");
    let doctor = norvalt(&["doctor"], &url).await.out;
    assert!(
        doctor.contains("1 delivery has lost its job; to process them: norvalt deliveries replay --status pending"),
        "{doctor}"
    );
    assert_eq!(norvalt(&replay, &url).await.done(), "delivery 1 will be processed again\n");
    assert_eq!(JobTable::at(&database.url).await.count("clerk.process_event", "available").await, 1);
    assert!(!norvalt(&["doctor"], &url).await.out.contains("lost its job"));
}

#[tokio::test]
async fn the_timeline_says_what_became_of_each_event() {
    let database = database().await;
    let url = [("DATABASE_URL", database.url.as_str())];
    let db = Db::new(&database.url.parse().expect("a valid URL"), 2, "tests");
    let events = [
        clerk_events::organization("organization.updated", "org_1", "Tesla Oslo", 2_000),
        clerk_events::organization("organization.created", "org_1", "Tesla", 1_000),
        clerk_events::deleted("user.deleted", "user_1", 3_000),
        clerk_events::user("user.created", "user_1", "Kari", None, false, 1_000),
        serde_json::json!({ "type": "user.updated", "data": {} }),
    ];
    let process_all = async || {
        for id in 1..5 {
            let mut tx = db.system().await.expect("the database is there");
            process(&mut tx, id).await.expect("it can be processed, or was before");
            tx.commit().await.expect("the database is there");
        }
    };
    for (n, event) in events.iter().enumerate() {
        let (svix_id, body) = (format!("msg_{n}"), event.to_string());
        receive(&db, None, &clerk_events::delivery(&svix_id, &body)).await.expect("the database is there");
    }
    process_all().await;
    let outcomes = async || -> Vec<String> {
        let listed = norvalt(&["deliveries", "list", "--json"], &url).await.done();
        let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).expect("JSON");
        listed.iter().rev().map(|event| event["outcome"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let dead = "malformed: missing field `id` at line 1 column 2";
    assert_eq!(outcomes().await, ["applied", "stale", "applied", "tombstoned", dead]);
    let about = norvalt(&["deliveries", "list", "--about", "org_1"], &url).await.done();
    assert!(about.contains("organization.updated") && !about.contains("user."), "{about}");
    assert!(norvalt(&["deliveries", "show", "1"], &url).await.done().contains("Tesla Oslo"));
    let erased = norvalt(&["deliveries", "show", "4"], &url).await.done();
    assert!(erased.contains("user_1") && !erased.contains("Kari"), "{erased}");

    // Again from the beginning: nothing is news, and what was erased stays erased.
    assert!(
        norvalt(&["deliveries", "replay", "--all"], &url).await.done().contains("2 deliveries will be processed again")
    );
    process_all().await;
    assert_eq!(outcomes().await, ["stale", "stale", "applied", "tombstoned", dead]);
}

#[tokio::test]
async fn what_cannot_be_read_is_shown_as_it_is() {
    let database = database().await;
    let url = [("DATABASE_URL", database.url.as_str())];
    let db = Db::new(&database.url.parse().expect("a valid URL"), 2, "tests");
    let event = clerk_events::organization("organization.created", "org_1", "Tesla Oslo", 1_000).to_string();
    receive(&db, None, &clerk_events::delivery("msg_1", &event)).await.expect("the database is there");
    let mut jobs = JobTable::at(&database.url).await;
    for payload in [
        r#"{"delivery_id":"x"}"#,
        r#"{"delivery_id":1.5}"#,
        r#"{"delivery_id":null}"#,
        r#"{"a":1e400}"#,
        "[1]",
        r#""x""#,
        "null",
    ] {
        let id = jobs.insert("clerk.process_event", 1, payload).await;
        let kill = "UPDATE jobs SET state = 'dead', finished_at = now(),
            errors = CASE id % 2
            WHEN 0 THEN '{\"odd\": 1}'::jsonb ELSE '[{\"odd\": 1e400}]' END WHERE id = $1";
        jobs.change(kill, id).await;
        let shown = norvalt(&["jobs", "show", &id.to_string()], &url).await.done();
        assert!(shown.contains("clerk.process_event"), "{payload}: {shown}");
    }
    assert!(norvalt(&["jobs", "list"], &url).await.done().contains("clerk.process_event"));
    assert!(norvalt(&["deliveries", "list"], &url).await.done().contains("organization.created"));
    assert!(norvalt(&["deliveries", "show", "1"], &url).await.done().contains("Tesla Oslo"));
    norvalt(&["deliveries", "replay", "--status", "pending"], &url).await.done();
    assert!(norvalt(&["doctor"], &url).await.out.contains("7 jobs are dead"));
}

#[tokio::test]
async fn purging_shows_first_and_destroys_when_told_to() {
    let database = database().await;
    let url = [("DATABASE_URL", database.url.as_str())];
    norvalt(&["seed"], &url).await.done();
    assert!(norvalt(&["purge", "--days", "0", "--yes"], &url).await.done().contains("(none)"));
    let db = Db::new(&database.url.parse().expect("a valid URL"), 1, "tests");
    let mut tx = db.system().await.expect("the database is there");
    let closed = Change::OrganizationDeleted { id: "org_demo_tesla_oslo".parse().expect("printable") };
    common::clerk::apply(&mut tx, closed).await.expect("a valid change");
    tx.commit().await.expect("the database is there");
    let leads = async || -> i64 {
        let count = "SELECT count(*) FROM leads";
        sqlx::query_scalar(count).fetch_one(&mut database.connect().await).await.expect("a valid statement")
    };
    assert!(norvalt(&["purge", "--yes"], &url).await.done().contains("(none)"), "it was closed a moment ago");
    let shown = norvalt(&["purge", "--days", "0"], &url).await.done();
    assert!(shown.contains("Tesla Oslo") && shown.contains("Nothing was done"), "{shown}");
    assert_eq!(leads().await, 20);
    assert!(norvalt(&["purge", "--days", "0", "--yes"], &url).await.done().contains("All of this is gone"));
    assert_eq!(leads().await, 10);
    assert!(norvalt(&["seed"], &url).await.done().contains("Tesla Oslo: was deleted"), "it does not come back");
    assert_eq!(leads().await, 10);
}

#[tokio::test]
async fn the_doctor_finds_what_is_wrong() {
    let database = database().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let clerk = StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file");
    let (url, jwks) = (clerk.url(), clerk.jwks_url());
    let healthy = [
        ("DATABASE_URL", database.url.as_str()),
        ("CLERK_API_URL", &url),
        ("CLERK_JWKS_URL", &jwks),
        ("CLERK_SECRET_KEY", "sk_test_stand_in"),
        ("CLERK_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("SECRETS_KEYS", "2026-11:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="),
    ];
    let said = norvalt(&["doctor"], &healthy).await.done();
    assert_eq!((said.matches("ok ").count(), said.matches("WRONG").count()), (10, 0), "{said}");
    assert!(said.contains("with the key 2026-11\n") && !said.contains("AgIC"), "{said}");
    assert!(said.contains(", PostgreSQL 1") && said.contains("none runs; start the binary"), "{said}");

    let empty = empty_database().await;
    let with = |name: &'static str, value: &'static str| {
        let mut changed = healthy;
        changed.iter_mut().filter(|(changed, _)| *changed == name).for_each(|(_, to)| *to = value);
        changed
    };
    let mut unmigrated = healthy;
    unmigrated[0].1 = &empty.url;
    for (environment, hint) in [
        (&unmigrated[..], "run: norvalt migrate"),
        (&with("CLERK_SECRET_KEY", "sk_test_of_another_instance"), "check CLERK_SECRET_KEY"),
        (
            &with("CLERK_JWKS_URL", "http://127.0.0.1:9/.well-known/jwks.json"),
            "http://127.0.0.1:9/.well-known/jwks.json cannot be read",
        ),
        (&with("DATABASE_URL", "postgres://127.0.0.1:9/norvalt"), "check DATABASE_URL"),
        (&with("DATABASE_URL", "postgres://127.0.0.1:9/norvalt"), "onnection refused"),
        (&with("CLERK_WEBHOOK_SECRET", "hunter2"), "CLERK_WEBHOOK_SECRET: must be"),
        (&[], "DATABASE_URL: is not set"),
    ] {
        let ran = norvalt(&["doctor"], environment).await;
        assert!(ran.code == Some(1) && ran.out.contains(hint) && ran.out.contains("WRONG"), "{}", ran.out);
        assert!(!ran.out.contains("hunter2") && !ran.out.contains("stand_in"), "{}", ran.out);
    }

    JobTable::at(&database.url).await.insert("test.kind", 1, "{}").await;
    let ran = norvalt(&["doctor"], &healthy).await;
    assert!(ran.code == Some(1) && ran.out.contains("start the binary `worker`"), "{}", ran.out);
    assert!(ran.out.contains("WRONG  workers") && ran.out.contains("1 job waits"), "{}", ran.out);

    sqlx::raw_sql("ALTER TABLE leads NO FORCE ROW LEVEL SECURITY")
        .execute(&mut database.connect().await)
        .await
        .expect("a valid statement");
    assert!(norvalt(&["doctor"], &healthy).await.out.contains("table leads is not protected"));
    assert!(!Path::new(&env::temp_dir()).join(".env").exists(), "or all of this would prove nothing");
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_a_mistake_and_the_known_ones_are_named() {
    let database = database().await;
    let url = [("DATABASE_URL", database.url.as_str())];
    JobTable::at(&database.url).await.insert("test.kind", 1, "{}").await;
    for (arguments, code, hint) in [
        (
            &["jobs", "retry", "--kind", "nope"][..],
            1,
            "there are answers.in_time, answers.suggest, answers.write, clerk.process_event, clerk.reconcile, facebook.connect_page, facebook.list_pages, facebook.read_lead, facebook.reconcile, inquiries.check_form, inquiries.read, inquiries.read_sms, inquiries.sort, leads.count, leads.watch, notifications.bundle, outbox.read_report, outbox.send_email, outbox.send_sms, prune, sending.check_domain, test.kind",
        ),
        (&["jobs", "cancel", "--kind", "nope"], 1, "no kind of job is called \"nope\""),
        (&["jobs", "list", "--kind", "nope"], 1, "no kind of job is called \"nope\""),
        (
            &["jobs", "list", "--queue", "nope"],
            1,
            "there are answers, assistant, clerk, deadlines, default, email, facebook, inquiries, sms",
        ),
        (
            &["jobs", "pause", "nope"],
            1,
            "there are answers, assistant, clerk, deadlines, default, email, facebook, inquiries, sms",
        ),
        (
            &["jobs", "resume", "nope"],
            1,
            "there are answers, assistant, clerk, deadlines, default, email, facebook, inquiries, sms",
        ),
        (&["deliveries", "list", "--about", "foo"], 2, "user_"),
        (&["deliveries", "replay", "--about", "org_"], 2, "user_"),
    ] {
        let ran = norvalt(arguments, &url).await;
        assert!(ran.code == Some(code) && ran.err.contains(hint), "{arguments:?}: {:?} {}", ran.code, ran.err);
    }
    assert_eq!(norvalt(&["jobs", "retry", "--kind", "test.kind"], &url).await.done(), "nothing to do\n");
}

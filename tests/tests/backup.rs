//! Backup and restore, as `docs/operations/backup.md` has it, with PostgreSQL's own tools.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use dev::postgres::{Account, Binaries, Places, find_or_install, program, socket_url};
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use tests::{
    answer::Answer,
    app::{NewLead, TestApp, email, new_lead},
    binaries::binary,
    cluster::{PrivateCluster, private_cluster},
    drain::Worker,
    jobs::JobTable,
    mailbox::{mailbox, sending_through},
};
use tokio::process::Command;

/// Every table with a fingerprint of all its rows, and every sequence with where it stands.
type Contents = BTreeMap<String, String>;

/// PostgreSQL's tools on a cluster of this test's own.
struct Operator {
    cluster: PrivateCluster,
    binaries: Binaries,
    account: Account,
}

impl Operator {
    /// Nothing, with a word, where the server came without the tools, as one from npm does.
    async fn with(tools: &[&str]) -> Option<Self> {
        let account = Account::for_postgres().expect("there is somebody to run PostgreSQL as");
        let binaries = find_or_install(&Places::of_this_host(), &account, None, &|line| println!("{line}")).await;
        let binaries = binaries.expect("a server can be had here");
        if let Some(missing) = tools.iter().find(|tool| !binaries.directory.join(tool).is_file()) {
            println!("skipped: there is no {missing} beside this PostgreSQL server");
            return None;
        }
        Some(Self { cluster: private_cluster().await, binaries, account })
    }

    fn directory(&self) -> PathBuf {
        self.cluster.directory()
    }

    fn url(&self, user: &str, database: &str) -> String {
        socket_url(&self.directory(), database).replace("//postgres@", &format!("//{user}@"))
    }

    /// A database that a login role owns which is neither superuser nor exempt from policies, migrated and seeded by it.
    async fn database_of_an_owner(&self, name: &str) {
        let mut superuser = self.cluster.connect().await;
        let role = "DO $$ BEGIN IF to_regrole('owner') IS NULL THEN CREATE ROLE owner LOGIN CREATEROLE; END IF; END $$";
        raw_sql(role).execute(&mut superuser).await.expect("the superuser may");
        for role in ["norvalt_tenant", "norvalt_system"] {
            let grant = format!("GRANT {role} TO owner WITH ADMIN OPTION");
            raw_sql(AssertSqlSafe(grant)).execute(&mut superuser).await.expect("the superuser may");
        }
        let create = format!("CREATE DATABASE {name} OWNER owner");
        raw_sql(AssertSqlSafe(create)).execute(&mut superuser).await.expect("nobody else has it");
    }

    async fn norvalt(&self, command: &str, database: &str) -> String {
        self.norvalt_as("owner", &[command], database).await
    }

    async fn norvalt_as(&self, user: &str, arguments: &[&str], database: &str) -> String {
        let mut norvalt = Command::new(binary("norvalt"));
        norvalt.args(arguments).env_clear().env("DATABASE_URL", self.url(user, database)).current_dir("/");
        let output = norvalt.output().await.expect("the binary runs");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// Runs a tool of PostgreSQL on this cluster; its error output, if it fails.
    async fn tool(&self, tool: &str, arguments: &[&str]) -> Result<(), String> {
        let mut command = program(&self.binaries.directory.join(tool), &self.account);
        command.env("PGHOST", self.directory()).env("PGPORT", "5432").args(arguments).current_dir("/");
        let output = command.output().await.expect("the tool runs");
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    async fn contents(&self, database: &str) -> Contents {
        let mut superuser = PgConnection::connect(&self.url("postgres", database)).await.expect("it is there");
        let relations: Vec<(String, String)> = sqlx::query_as(
            "SELECT quote_ident(relname), relkind::text FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S')",
        )
        .fetch_all(&mut superuser)
        .await
        .expect("a valid statement");
        let mut contents = Contents::new();
        for (name, kind) in relations {
            let look = match kind.as_str() {
                "S" => format!("SELECT concat(last_value, is_called) FROM {name}"),
                _ => {
                    format!("SELECT concat(count(*), md5(string_agg(r::text, chr(10) ORDER BY r::text))) FROM {name} r")
                }
            };
            let found = sqlx::query_scalar(AssertSqlSafe(look)).fetch_one(&mut superuser).await;
            contents.insert(name, found.expect("a valid statement"));
        }
        contents
    }

    /// Archives the log from now on.
    async fn archive_the_log(&mut self) {
        let archive = self.archive();
        let mut superuser = self.cluster.connect().await;
        for setting in [
            "archive_mode = on".to_owned(),
            format!(
                "archive_command = 'mkdir -p \"{0}\" && test ! -f \"{0}/%f\" && cp \"%p\" \"{0}/%f\"'",
                archive.display()
            ),
        ] {
            let statement = format!("ALTER SYSTEM SET {setting}");
            raw_sql(AssertSqlSafe(statement)).execute(&mut superuser).await.expect("the superuser may");
        }
        drop(superuser);
        self.cluster.stop().await;
        self.cluster.start().await;
    }

    fn archive(&self) -> PathBuf {
        self.directory().join("archive")
    }

    async fn back_up(&self) {
        let base = self.directory().join("base");
        let target = base.to_str().expect("text");
        self.tool("pg_basebackup", &["-U", "postgres", "-D", target, "-c", "fast"]).await.expect("the superuser may");
    }

    /// The server's time, of which all that was committed before is a part.
    async fn now(&self) -> String {
        let mut superuser = self.cluster.connect().await;
        sqlx::query_scalar("SELECT clock_timestamp()::text").fetch_one(&mut superuser).await.expect("valid")
    }

    /// Replays the log from the base backup to a moment. Keeps what was there until now.
    async fn go_back_to(&mut self, moment: &str) {
        let mut superuser = self.cluster.connect().await;
        let segment: String = sqlx::query_scalar("SELECT pg_walfile_name(pg_switch_wal())")
            .fetch_one(&mut superuser)
            .await
            .expect("valid");
        let archived = "SELECT coalesce(last_archived_wal, '') >= $1 FROM pg_stat_archiver";
        while !sqlx::query_scalar::<_, bool>(archived).bind(&segment).fetch_one(&mut superuser).await.expect("valid") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        drop(superuser);
        self.cluster.stop().await;
        let (home, archive) = (self.directory(), self.archive());
        let data = home.join("data");
        fs::rename(&data, home.join("lost")).expect("it is ours");
        fs::rename(home.join("base"), &data).expect("it is ours");
        recover_until(&data, &archive, moment);
        self.cluster.start().await;
    }

    /// What the operator checks after every restore.
    async fn check(&self, database: &str, expected: &Contents) {
        assert_eq!(&self.contents(database).await, expected, "{database}");
        assert!(self.norvalt("migrate", database).await.contains("up to date"), "{database}");
        let found = self.norvalt("doctor", database).await;
        for line in ["reachable and migrated", "roles and policies keep them apart"] {
            assert!(found.contains(line), "{line}: {found}");
        }
    }
}

#[tokio::test]
async fn a_dump_by_the_owner_restores_to_the_same_data_in_each_of_three_ways() {
    let Some(operator) = Operator::with(&["pg_dump", "pg_restore"]).await else { return };
    operator.database_of_an_owner("production").await;
    operator.norvalt("migrate", "production").await;
    assert!(operator.norvalt("seed", "production").await.contains("10 leads"));
    let mut superuser = PgConnection::connect(&operator.url("postgres", "production")).await.expect("it is there");
    // Old leads that were counted, a job, an event: what has triggers and sequences.
    raw_sql(
        "INSERT INTO jobs (queue, kind, payload, max_attempts) VALUES ('default', 'prune', '{}', 12);
         INSERT INTO deliveries (source, external_id, event_type, status) VALUES ('clerk', 'msg_1', 'user.created', 'pending');",
    )
    .execute(&mut superuser)
    .await
    .expect("valid statements");
    let expected = operator.contents("production").await;
    assert!(expected["leads"].starts_with("20"), "{expected:?}");

    let dump = operator.directory().join("norvalt.dump");
    let dump = dump.to_str().expect("text");
    let plain = operator.tool("pg_dump", &["-U", "owner", "-Fc", "-f", dump, "production"]).await;
    assert!(plain.is_err_and(|error| error.contains("row-level security")), "PostgreSQL refuses to dump a part");
    let as_system = ["--role=norvalt_system", "--enable-row-security", "-U", "owner", "-Fc", "-f", dump, "production"];
    operator.tool("pg_dump", &as_system).await.expect("the owner may be norvalt_system");

    // All of it.
    operator.database_of_an_owner("whole").await;
    let restore = ["-U", "owner", "--no-owner", "--exit-on-error", "-d", "whole", dump];
    operator.tool("pg_restore", &restore).await.expect("the owner may");
    operator.check("whole", &expected).await;

    // First the schema, then the data, then what looks after them.
    operator.database_of_an_owner("in_sections").await;
    for section in ["--section=pre-data", "--section=data", "--section=post-data"] {
        let restore = ["-U", "owner", "--no-owner", "--exit-on-error", section, "-d", "in_sections", dump];
        operator.tool("pg_restore", &restore).await.expect("the owner may");
    }
    operator.check("in_sections", &expected).await;

    // Only the data, into a schema that was migrated: triggers must not act again on what they acted on.
    operator.database_of_an_owner("data_only").await;
    operator.norvalt("migrate", "data_only").await;
    let mut target = PgConnection::connect(&operator.url("postgres", "data_only")).await.expect("it is there");
    raw_sql("TRUNCATE _sqlx_migrations, periodic_jobs").execute(&mut target).await.expect("the superuser may");
    let restore = ["-U", "postgres", "--data-only", "--disable-triggers", "--exit-on-error", "-d", "data_only", dump];
    operator.tool("pg_restore", &restore).await.expect("the superuser may");
    operator.check("data_only", &expected).await;
}

#[tokio::test]
async fn every_row_of_every_table_is_in_a_dump_by_the_owner() {
    let Some(operator) = Operator::with(&[]).await else { return };
    let mut superuser = operator.cluster.connect().await;
    let left_out: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace
           AND (c.relkind IN ('r', 'p') AND c.relrowsecurity
                AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd IN ('*', 'r')
                                AND p.polroles @> ARRAY['norvalt_system'::regrole::oid]
                                AND pg_get_expr(p.polqual, c.oid) = 'true')
                OR c.relkind IN ('r', 'p', 'S') AND NOT has_table_privilege('norvalt_system', c.oid, 'SELECT'))",
    )
    .fetch_all(&mut superuser)
    .await
    .expect("a valid statement");
    assert!(left_out.is_empty(), "norvalt_system does not see all rows of {left_out:?}, so a dump would lack them");
}

#[tokio::test]
async fn a_cluster_goes_back_to_a_moment_between_two_leads() {
    let Some(mut operator) = Operator::with(&["pg_basebackup"]).await else { return };
    operator.archive_the_log().await;
    operator.back_up().await;
    let mut superuser = operator.cluster.connect().await;
    raw_sql(
        "INSERT INTO dealerships (id, name, email, clerk_org_id)
           VALUES ('00000000-0000-4000-8000-000000000001', 'Bil Nord', 'post@nord.example', 'org_nord')",
    )
    .execute(&mut superuser)
    .await
    .expect("valid");
    add_lead(&mut superuser, "Before").await;
    drop(superuser);
    let moment = operator.now().await;
    add_lead(&mut operator.cluster.connect().await, "After").await;
    operator.go_back_to(&moment).await;

    let mut superuser = operator.cluster.connect().await;
    let names: Vec<String> = sqlx::query_scalar("SELECT customer_name FROM leads ORDER BY customer_name")
        .fetch_all(&mut superuser)
        .await
        .expect("valid");
    assert_eq!(names, ["Before"]);
    // It is not a standby: work goes on from here.
    add_lead(&mut superuser, "Since").await;
}

/// What customers got is not taken back by a restore.
#[tokio::test]
async fn what_was_sent_since_the_moment_is_not_sent_again() {
    let Some(mut operator) = Operator::with(&["pg_basebackup"]).await else { return };
    operator.archive_the_log().await;
    operator.back_up().await;
    let app = TestApp::start_on(&operator.cluster.url, |_| {}).await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let inquiry = NewLead { customer_email: Some(email("per@example.no")), ..new_lead() };
    let (answered, asked) = (oslo.lead("Ola").await, oslo.inquiry(inquiry).await);
    let message = json!({ "lead_id": answered.id, "message_content": "Velkommen innom", "channel": "email" });
    Answer::of(oslo.admin().request(Method::POST, "/api/v1/conversations").json(&message)).await.expect(201);
    let moment = operator.now().await;
    let settings = sending_through(&mailbox);
    let worker = Worker::start(&app, &settings);
    mailbox.wait_for(|mail| mail.text.contains("Velkommen innom")).await;
    mailbox.wait_for(|mail| mail.to.iter().any(|to| to == "per@example.no")).await;
    worker.stop().await;
    operator.go_back_to(&moment).await;

    let queued = "SELECT count(*) FROM outbox WHERE status = 'queued'";
    assert_eq!(app.count(queued).await, 1, "the backup knows nothing of what was sent");
    let said = operator.norvalt_as("postgres", &["restored", "--dry-run"], "norvalt").await;
    assert!(said.contains("1 messages on their way, 1 leads to be answered"), "{said}");
    assert_eq!(app.count(queued).await, 1);
    let said = operator.norvalt_as("postgres", &["restored"], "norvalt").await;
    assert!(said.contains("left to people"), "{said}");
    assert!(operator.norvalt_as("postgres", &["restored"], "norvalt").await.contains("Nothing is to be done"));
    let worker = Worker::start(&app, &settings);
    let mut jobs = JobTable::at(&app.database_url).await;
    let waiting = "SELECT count(*) = $1 FROM jobs WHERE state IN ('available', 'running', 'retryable')
                   AND kind IN ('outbox.send_email', 'answers.write', 'answers.in_time')";
    jobs.wait_until(waiting, 0).await;
    worker.stop().await;
    let to_customers = mailbox
        .messages()
        .into_iter()
        .filter(|mail| mail.to.iter().any(|to| to.ends_with("@example.no") && !to.starts_with("admin@")));
    assert_eq!(to_customers.count(), 2, "each customer has one mail");
    for lead in [answered.id, asked.id] {
        let lead = oslo.admin().get(&format!("/api/v1/leads/{lead}")).await.expect(200);
        assert!(lead["needs_human"].is_string(), "{lead:#}");
    }
    let found = oslo.admin().get(&format!("/api/v1/leads/{}/conversations", answered.id)).await.expect(200);
    assert_eq!(found[0]["delivery"]["status"], "unknown", "{found:#}");
}

async fn add_lead(connection: &mut PgConnection, name: &str) {
    let insert = "INSERT INTO leads (dealership_id, customer_name, customer_email, source)
                  SELECT id, $1, 'kunde@example.no', 'website' FROM dealerships";
    sqlx::query(insert).bind(name).execute(connection).await.expect("valid");
}

/// What the operator writes into the restored data directory.
fn recover_until(data: &Path, archive: &Path, moment: &str) {
    let path = data.join("postgresql.auto.conf");
    let settings = fs::read_to_string(&path).expect("a base backup has it")
        + &format!(
            "restore_command = 'cp \"{}/%f\" \"%p\"'\nrecovery_target_time = '{moment}'\nrecovery_target_action = 'promote'\n",
            archive.display()
        );
    fs::write(path, settings).expect("it is ours");
    fs::write(data.join("recovery.signal"), "").expect("it is ours");
}

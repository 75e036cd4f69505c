//! `cargo dev`, as a developer types it.

use std::{
    env, fs, net,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use dev::{
    ownership::{self, NotOurs},
    random,
    stand_ins::clerk::{Instance, Options, SigningKey, StandIn},
};
use reqwest::{Client, Method};
use serde_json::Value;
use sqlx::PgConnection;
use tests::{
    app::WEBHOOK_SECRET,
    binaries::binary,
    cluster::{database, empty_database},
    jobs::JobTable,
    processes::{Signal, ended, signal},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
    time::timeout,
};

/// Far longer than a start should take, on a busy machine too.
const START_LIMIT: Duration = Duration::from_mins(5);
/// The last words of the page that says that everything runs.
const LAST_WORDS: &str = "Ctrl-C stops everything";
/// Of the stand-in for Clerk, unless something else is there.
const DEFAULT_ADDRESS: &str = "localhost:8001";
/// Only that of the stand-in counts.
const FOREIGN_SECRET_KEY: &str = "sk_live_somebody_elses";

/// A directory for the data of one test, gone with this value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = Path::new("/tmp").join(format!("norvalt-cargo-dev-{}", random::clerk_id("test")));
        fs::create_dir(&path).expect("nobody else makes this directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `cargo dev` with its data in this directory, and with none of the settings of whoever runs the tests.
fn cargo_dev(directory: &Directory, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("dev"));
    command.args(arguments).arg("--data").arg(directory.join("data")).stdin(Stdio::null()).kill_on_drop(true);
    for (name, _) in env::vars().filter(|(name, _)| name.starts_with("CLERK_") || name == "DATABASE_URL") {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end.
async fn output(mut command: Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().await.expect("the binary runs");
    (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

/// A `cargo dev` that runs, and what it has printed so far.
struct Running {
    child: Child,
    said: Vec<String>,
}

impl Running {
    async fn start(mut command: Command) -> Self {
        // Several run at once, and would all choose the same ones.
        let [api, clerk, api_admin, worker_admin] = free_ports();
        command.env("PORT", api).args(["--clerk-port", &clerk]);
        command.env("API_ADMIN_ADDRESS", format!("127.0.0.1:{api_admin}"));
        command.env("WORKER_ADMIN_ADDRESS", format!("127.0.0.1:{worker_admin}"));
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut said = Vec::new();
        let starting = async {
            while let Some(line) = lines.next_line().await.expect("text") {
                said.push(line);
                if said.last().is_some_and(|line| line.contains(LAST_WORDS)) {
                    return;
                }
            }
            panic!("it ended before everything ran");
        };
        let started = timeout(START_LIMIT, starting).await;
        started.unwrap_or_else(|_| panic!("it does not start:\n{}", said.join("\n")));
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, said }
    }

    /// The page that is shown when everything runs.
    fn screen(&self) -> &[String] {
        let last_log_line = self.said.iter().rposition(|line| line.contains(" | ") && !line.contains("curl"));
        &self.said[last_log_line.map_or(0, |line| line + 1)..]
    }

    async fn stop(mut self) {
        signal(&self.child, Signal::INT);
        assert!(ended(&mut self.child).await.success());
    }
}

fn free_ports() -> [String; 4] {
    let listeners = [(); 4].map(|()| net::TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    listeners.map(|listener| listener.local_addr().expect("it is bound").port().to_string())
}

/// Two dealerships with a person and a customer each, as in production.
async fn add_dealerships_of_somebody_else(connection: &mut PgConnection) {
    sqlx::raw_sql(
        "INSERT INTO dealerships (id, name, email, clerk_org_id) VALUES
           ('00000000-0000-4000-8000-000000000001', 'Bil Nord', 'post@nord.example', 'org_nord'),
           ('00000000-0000-4000-8000-000000000002', 'Bil Sør', 'post@sor.example', 'org_sor');
         INSERT INTO users (id, dealership_id, clerk_user_id, email, name, role)
           SELECT gen_random_uuid(), id, 'user_of_' || clerk_org_id, 'en@' || clerk_org_id || '.example', 'Else', 'admin' FROM dealerships;
         INSERT INTO leads (dealership_id, customer_name, customer_email, source)
           SELECT id, 'Kunde', 'kunde@example.no', 'website' FROM dealerships;
         INSERT INTO clerk_objects (kind, id, state)
           SELECT 'organization', clerk_org_id,
                  jsonb_build_object('attributes', jsonb_build_object('version', 1735689600000, 'value', '{}'::jsonb))
           FROM dealerships;",
    )
    .execute(connection)
    .await
    .expect("the superuser may");
}

/// Everything that such a database holds: how many objects of each kind, and each dealership, person and customer.
async fn contents(connection: &mut PgConnection) -> String {
    sqlx::query_scalar(
        "SELECT concat_ws(E'\\n', (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_namespace),
                (SELECT count(*) FROM pg_proc), (SELECT string_agg(d::text, E'\\n' ORDER BY id) FROM dealerships d),
                (SELECT string_agg(u::text, E'\\n' ORDER BY id) FROM users u),
                (SELECT string_agg(l::text, E'\\n' ORDER BY id) FROM leads l), (SELECT count(*) FROM jobs),
                (SELECT string_agg(o::text, E'\\n' ORDER BY id) FROM clerk_objects o))",
    )
    .fetch_one(connection)
    .await
    .expect("a valid statement")
}

#[tokio::test]
async fn a_database_of_somebody_else_is_refused_and_untouched() {
    let (database, directory) = (database().await, Directory::new());
    let mut connection = database.connect().await;
    add_dealerships_of_somebody_else(&mut connection).await;
    let before = contents(&mut connection).await;

    let mut command = cargo_dev(&directory, &[]);
    let (code, said) = output({
        command.env("DATABASE_URL", &database.url);
        command
    })
    .await;
    assert_eq!(code, Some(1), "{said}");
    for words in ["refusing", "set in the environment", "Nothing was written", "--overwrite-database"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("building"), "it is refused at once: {said}");
    assert_eq!(contents(&mut connection).await, before);
}

#[tokio::test]
async fn whoever_insists_overwrites_a_database_of_somebody_else() {
    let (database, directory) = (database().await, Directory::new());
    let mut connection = database.connect().await;
    add_dealerships_of_somebody_else(&mut connection).await;
    let start = |arguments: &[&str]| {
        let mut command = cargo_dev(&directory, arguments);
        command.env("DATABASE_URL", &database.url);
        command
    };
    let running = Running::start(start(&["--overwrite-database"])).await;
    let mut jobs = JobTable::at(&database.url).await;
    jobs.wait_until("SELECT count(*) >= $1 FROM jobs WHERE kind = 'clerk.reconcile' AND finished_at IS NOT NULL", 1)
        .await;
    running.stop().await;
    let of: Vec<(String, bool)> =
        sqlx::query_as("SELECT name, closed_at IS NULL FROM dealerships ORDER BY clerk_org_id")
            .fetch_all(&mut connection)
            .await
            .expect("a valid statement");
    let is_open = |name: &str| of.iter().find(|(of, _)| of == name).map(|(_, is_open)| *is_open);
    assert_eq!((is_open("Tesla Oslo"), is_open("VW Bergen")), (Some(true), Some(true)), "{of:?}");
    // The stand-in has nothing of what the database knows from Clerk: it is taken for another one.
    assert_eq!((is_open("Bil Nord"), is_open("Bil Sør")), (Some(true), Some(true)), "{of:?}");
    let refused = "SELECT count(*) >= $1 FROM jobs WHERE kind = 'clerk.reconcile' AND state = 'dead'
                     AND errors::text LIKE '%of another Clerk instance%Nothing was written%'";
    jobs.wait_until(refused, 1).await;
    // Whoever insisted once does not insist for ever.
    let before = contents(&mut connection).await;
    let (code, said) = output(start(&[])).await;
    assert!(code == Some(1) && said.contains("Nothing was written"), "{code:?} {said}");
    assert_eq!(contents(&mut connection).await, before);
}

#[tokio::test]
async fn the_same_of_a_database_that_dotenv_names() {
    let (database, directory) = (database().await, Directory::new());
    let mut connection = database.connect().await;
    add_dealerships_of_somebody_else(&mut connection).await;
    let before = contents(&mut connection).await;
    fs::create_dir(directory.join("dev")).expect("it is ours");
    let dotenv = format!("DATABASE_URL='{}'\nCLERK_SECRET_KEY={FOREIGN_SECRET_KEY}\n", database.url);
    fs::write(directory.join(".env"), dotenv).expect("it is ours");

    let mut command = cargo_dev(&directory, &[]);
    // The directory above that of the package is the checkout.
    command.env("CARGO_MANIFEST_DIR", directory.join("dev"));
    let (code, said) = output(command).await;
    assert!(code == Some(1) && said.contains("DATABASE_URL, which is set in .env"), "{code:?} {said}");
    assert!(said.contains("ignoring CLERK_SECRET_KEY, which is set in .env"), "{said}");
    assert!(!said.contains(FOREIGN_SECRET_KEY), "{said}");
    assert_eq!(contents(&mut connection).await, before);
}

#[tokio::test]
async fn a_database_is_ours_if_it_was_empty_or_bears_our_mark() {
    let database = empty_database().await;
    let mut connection = database.connect().await;
    ownership::check(&database.url, "us").await.expect("it is empty");
    sqlx::raw_sql("CREATE SCHEMA shop; CREATE TABLE shop.orders ()").execute(&mut connection).await.expect("new");
    let unmarked = ownership::check(&database.url, "us").await;
    assert!(matches!(unmarked, Err(NotOurs::Unmarked { relations: 1 })), "another schema counts: {unmarked:?}");
    sqlx::raw_sql("DROP SCHEMA shop CASCADE").execute(&mut connection).await.expect("it is there");

    ownership::mark(&database.url, "us").await.expect("the superuser may");
    sqlx::raw_sql("CREATE TABLE ours ()").execute(&mut connection).await.expect("new");
    ownership::check(&database.url, "us").await.expect("it is marked");
    let others = ownership::check(&database.url, "cargo dev of another checkout").await;
    assert!(matches!(others, Err(NotOurs::Marked)), "{others:?}");
}

#[tokio::test]
async fn a_marked_database_that_somebody_else_filled_is_theirs() {
    let database = database().await;
    let mut connection = database.connect().await;
    ownership::mark(&database.url, "us").await.expect("the superuser may");
    let mut instance = Instance::demo();
    ownership::check_people(&database.url, &instance).await.expect("nobody is in it");

    add_dealerships_of_somebody_else(&mut connection).await;
    let strangers = ownership::check_people(&database.url, &instance).await;
    assert!(matches!(strangers, Err(NotOurs::Strangers { organizations: 2, users: 0 })), "{strangers:?}");

    // What the stand-in deleted while nobody listened is a webhook that was missed, not somebody else's.
    instance.deleted.extend(["org_nord".to_owned(), "org_sor".to_owned()]);
    ownership::check_people(&database.url, &instance).await.expect("the stand-in knew them");
}

#[tokio::test]
async fn one_page_says_all_and_its_commands_work() {
    let (database, directory) = (empty_database().await, Directory::new());
    let start = || {
        let mut command = cargo_dev(&directory, &[]);
        command.env("DATABASE_URL", &database.url).env("CLERK_SECRET_KEY", FOREIGN_SECRET_KEY);
        Running::start(command)
    };
    let running = start().await;
    let log = running.said.join("\n");
    assert!(log.contains("ignoring CLERK_SECRET_KEY, which is set in the environment"), "{log}");
    assert!(!log.contains(FOREIGN_SECRET_KEY));
    let answered: Vec<_> = running.said.iter().filter(|line| line.contains(": answered ")).collect();
    assert!(!answered.is_empty() && answered.iter().all(|line| line.chars().count() <= 120), "{answered:#?}");
    let screen = running.screen();
    let lines = screen.iter().filter(|line| !line.is_empty()).count();
    assert!(lines <= 24 && screen.len() <= 27, "{lines} lines:\n{}", screen.join("\n"));
    for line in screen {
        assert!(line.chars().count() <= 100, "{line}");
    }

    let kari = screen.iter().find(|line| line.contains("Kari Nordmann")).expect("she works there");
    assert!(kari.contains("Kari Nordmann, admin") && kari.contains("Tesla Oslo"), "{kari}");
    let api = screen.iter().find_map(|line| line.strip_prefix("API ")?.split_whitespace().next()).expect("its address");
    for (origin, allowed) in
        [("http://localhost:3000", true), ("http://127.0.0.1:3001", true), ("http://localhost:4000", false)]
    {
        let preflight = Client::new().request(Method::OPTIONS, format!("{api}/leads")).header("origin", origin);
        let answer = preflight.header("access-control-request-method", "GET").send().await.expect("it answers");
        let said = answer.headers().get("access-control-allow-origin").is_some_and(|said| said == origin);
        assert_eq!(said, allowed, "a dashboard that is being developed, on {origin}");
    }
    let script = script(screen, &directory);
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut shell = Command::new("sh");
    shell.args(["-euc", &script]).env("PATH", path()).current_dir(root);
    let ran = shell.output().await.expect("a shell");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{script}\n{out}{err}");
    for words in ["customer_name", "the API lets them in", "ok", "\"lead_id\"", "received\n", "200 OK"] {
        assert!(out.contains(words), "{words}: {out}{err}");
    }
    let webhook = webhook_command(screen);
    let ran = Command::new("sh").args(["-euc", &webhook]).output().await.expect("a shell");
    let sent: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert!(sent["sent"][0]["outcome"].as_str().is_some_and(|answer| answer.contains("202")), "{webhook}: {sent:#}");
    running.stop().await;

    let (code, said) = output(cargo_dev(&directory, &["env"])).await;
    assert!(code == Some(1) && said.contains("nothing runs here"), "{code:?} {said}");
    // The mark lets it in again.
    start().await.stop().await;
}

/// What the page tells to type, with this test's programs.
fn script(screen: &[String], directory: &Directory) -> String {
    let token =
        screen.iter().find_map(|line| line.find("TOKEN=").map(|at| &line[at..])).expect("one line gets a token");
    let commands: Vec<&str> =
        screen.iter().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(commands.len(), 7, "{}", screen.join("\n"));
    let env = format!("'{}' env --data '{}'", binary("dev").display(), directory.join("data").display());
    let script = format!("{token}\n{}\n", commands.join("\n"));
    script
        .replace("cargo dev env", &env)
        .replace("cargo run -q --bin norvalt", &format!("'{}'", binary("norvalt").display()))
}

/// What the API's document tells to type for an authentic webhook, with this test's port.
fn webhook_command(screen: &[String]) -> String {
    let document: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).expect("JSON");
    let text = document["paths"]["/webhooks/clerk"]["post"]["description"].as_str().expect("a text");
    let command = text.split('`').find(|part| part.starts_with("curl ")).expect("a command");
    let token = screen.iter().find(|line| line.contains("TOKEN=")).expect("one line gets a token");
    let (address, _) = token.split_once("/token").expect("from the stand-in");
    let (_, address) = address.split_once('\'').expect("it is quoted");
    assert!(command.contains(DEFAULT_ADDRESS), "{command}");
    command.replace(DEFAULT_ADDRESS, address.trim_start_matches("http://"))
}

fn path() -> String {
    env::var("PATH").unwrap_or_default()
}

#[tokio::test]
async fn a_real_clerk_gets_the_private_database_and_its_own_keys() {
    let (theirs, directory) = (database().await, Directory::new());
    let (code, said) = output(cargo_dev(&directory, &["--clerk", "real"])).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("CLERK_PUBLISHABLE_KEY") && said.contains("CLERK_WEBHOOK_SECRET"), "{said}");

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
    let clerk = StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it starts");
    let mut command = cargo_dev(&directory, &["--clerk", "real"]);
    command.env("DATABASE_URL", &theirs.url).env("CLERK_WEBHOOK_SECRET", WEBHOOK_SECRET);
    command.env("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsubG9jYWxob3N0JA==").env("CLERK_JWKS_URL", clerk.jwks_url());
    let running = Running::start(command).await;
    let log = running.said.join("\n");
    assert!(log.contains("ignoring DATABASE_URL"), "{log}");
    let (code, exports) = output(cargo_dev(&directory, &["env"])).await;
    assert!(code == Some(0) && exports.contains("@127.0.0.1:"), "{exports}");
    let keys = std::fs::read_to_string(directory.join("data/secrets.keys")).expect("they are kept");
    assert!(keys.starts_with("dev:") && exports.contains(keys.trim()), "{exports}");

    let line = running.screen().iter().find(|line| line.starts_with("API ")).expect("it says where");
    let url = format!("{}/me", line.split_whitespace().nth(1).expect("an address"));
    let token = clerk.session_token("kari", None).expect("she is known").mint(&clerk.key());
    let answer = reqwest::Client::new().get(url).bearer_auth(token).send().await.expect("an answer");
    let problem: Value = answer.json().await.expect("a problem");
    assert!(problem["type"].as_str().is_some_and(|kind| kind.ends_with("not-provisioned")), "{problem}");
    running.stop().await;
}

//! The pages for operators, on the address of a real worker.

mod telephone;

use common::{db::Db, jobs::ReconcileClerk, queue, telemetry::Trace};
use reqwest::{Client, Method, RequestBuilder, StatusCode, redirect::Policy};
use serde_json::json;
use tests::{
    clerk_events,
    cluster::{TestDatabase, database},
    jobs::JobTable,
    logged_process::LoggedProcess,
    processes::worker_command,
};

const PASSWORD: &str = "correct horse battery";
const OLAS_PASSWORD: &str = "staple:battery:horse";

struct Desk {
    url: String,
    http: Client,
    worker: LoggedProcess,
}

impl Desk {
    /// For the operators `admin` and `ola`.
    async fn open(database: &TestDatabase) -> Self {
        let users = format!("ola:{OLAS_PASSWORD}");
        Self::open_with(database, &[("WORKER_ADMIN_PASSWORD", PASSWORD), ("WORKER_ADMIN_USERS", &users)]).await
    }

    async fn open_with(database: &TestDatabase, settings: &[(&str, &str)]) -> Self {
        let mut command = worker_command(&database.url);
        command.envs(settings.iter().copied());
        let mut worker = LoggedProcess::start(command);
        let url = worker.url("admin_address").await;
        let http = Client::builder().redirect(Policy::none()).build().expect("it can be made");
        Self { url, http, worker }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).basic_auth("ola", Some(OLAS_PASSWORD))
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.ask(Method::GET, path).send().await.expect("it answers");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert!(answer.headers()["content-security-policy"].to_str().expect("text").contains("default-src 'none'"));
        answer.text().await.expect("text")
    }

    async fn page_without_policy(&self, path: &str) -> String {
        self.ask(Method::GET, path).send().await.expect("it answers").text().await.expect("text")
    }

    /// Presses a button, and returns the page that follows, which says what was done.
    async fn press(&self, path: &str, form: &'static str) -> String {
        let press = self.ask(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
        let answer = press.header("origin", &self.url).body(form).send().await.expect("it answers");
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
        let next = answer.headers()["location"].to_str().expect("text").to_owned();
        self.page(&next).await
    }
}

#[tokio::test]
async fn a_dead_job_is_seen_understood_and_run_again() {
    let database = database().await;
    let mut jobs = JobTable::at(&database.url).await;
    let (dead, waiting) = (jobs.insert("test.kind", 1, r#"{"n": 7}"#).await, jobs.insert("test.later", 1, "{}").await);
    jobs.change(
        "UPDATE jobs SET state = 'dead', attempts = 12, finished_at = now(),
         errors = '[{\"attempt\": 12, \"at\": \"2026-11-23T03:00:00Z\", \"error\": \"<b>the printer</b> is on fire\"}]' WHERE id = $1",
        dead,
    )
    .await;
    jobs.change("UPDATE jobs SET state = 'scheduled', run_at = now() + interval '1 h' WHERE id = $1", waiting).await;
    let desk = Desk::open(&database).await;

    let overview = desk.page("/").await;
    assert!(overview.contains("1 dead job<") && overview.contains("test.later"), "{overview}");
    let list = desk.page("/jobs?state=dead").await;
    assert!(list.contains(&format!("/jobs/{dead}")) && !list.contains(&format!("\"/jobs/{waiting}\"")), "{list}");
    let page = desk.page(&format!("/jobs/{dead}")).await;
    assert!(page.contains("&lt;b&gt;the printer&lt;/b&gt; is on fire") && page.contains("&quot;n&quot;: 7"), "{page}");

    // Kinds that this worker does not know are given back: it waits again, with all its attempts.
    let page = desk.press(&format!("/jobs/{dead}/retry"), "").await;
    assert!(page.contains("1 job will run again.") && page.contains("<b>ola</b>"), "{page}");
    assert_ne!(jobs.state(dead).await, "dead");
    let page = desk.press(&format!("/jobs/{waiting}/cancel"), "").await;
    assert!(page.contains("1 job cancelled"), "{page}");
    assert!(desk.press(&format!("/jobs/{waiting}/cancel"), "").await.contains("nothing was done"));
    assert_eq!(jobs.state(waiting).await, "cancelled");
    let kill =
        "UPDATE jobs SET state = 'dead', lease_token = NULL, lease_until = NULL, finished_at = now() WHERE id = $1";
    jobs.change(kill, dead).await;
    let other = jobs.insert("test.other", 1, "{}").await;
    jobs.change(kill, other).await;
    assert!(desk.press("/jobs/retry", "state=dead&kind=test.kind").await.contains("1 job will run again."));
    assert_ne!(jobs.state(dead).await, "dead");
    assert_eq!(jobs.state(other).await, "dead", "another kind was meant");
    let history = desk.page("/history").await;
    assert_eq!((history.matches(">ola<").count(), history.matches(">retry<").count()), (4, 2), "{history}");
    for missing in ["/jobs/4711", "/deliveries/4711", "/nope"] {
        let unknown = desk.ask(Method::GET, missing).send().await.expect("it answers");
        assert_eq!(unknown.status(), StatusCode::NOT_FOUND, "{missing}");
        assert!(unknown.text().await.expect("text").contains("Back to the queue"), "{missing}");
    }
}

#[tokio::test]
async fn more_jobs_than_fit_a_page_are_turned_over_without_missing_one() {
    let database = database().await;
    let mut jobs = JobTable::at(&database.url).await;
    let many = "INSERT INTO jobs (queue, kind, payload, payload_version, state, max_attempts, finished_at, for_dealership)
                SELECT 'default', CASE WHEN n % 2 = 0 THEN 'test.even' ELSE 'test.odd' END, '{}', 1, 'dead', 1, now(),
                       CASE WHEN n % 10 = 0 THEN '00000000-0000-0000-0000-000000000007' ELSE '00000000-0000-0000-0000-000000000000' END::uuid
                FROM generate_series(1, $1) n";
    jobs.change(many, 240).await;
    let desk = Desk::open(&database).await;
    let turn = async |mut path: String, rel: &str| {
        let (mut ids, mut pages) = (Vec::new(), 0);
        loop {
            let page = desk.page(&path).await;
            let links =
                page.split("href=\"/jobs/").skip(1).filter_map(|rest| rest.split('"').next()?.parse::<i64>().ok());
            ids.push(links.collect::<Vec<_>>());
            pages += 1;
            let next = page.split(&format!("rel=\"{rel}\" href=\"")).nth(1).and_then(|rest| rest.split('"').next());
            match next {
                Some(next) => path = next.replace("&amp;", "&"),
                None => return (ids, pages, path),
            }
        }
    };
    let (older, pages, last) = turn("/jobs?state=dead&kind=test.even".to_owned(), "next").await;
    let expected: Vec<i64> = (1..=120).rev().map(|n| n * 2).collect();
    assert_eq!((older.concat(), pages), (expected.clone(), 3));
    // And back again, from the last page to the first.
    let (newer, ..) = turn(last, "prev").await;
    assert_eq!(newer.into_iter().rev().flatten().collect::<Vec<_>>(), expected);

    let (of_one, ..) = turn("/jobs?dealership=00000000-0000-0000-0000-000000000007".to_owned(), "next").await;
    assert_eq!(of_one.concat().len(), 24);
    let odd = desk.page("/jobs?state=zombie&kind=%3Cb%3E&before=x&after=").await;
    assert!(odd.contains("No job is like that") && !odd.contains("<b>\""), "{odd}");
    assert!(desk.page("/jobs?dealership=tesla").await.contains("id is a UUID"));
}

#[tokio::test]
async fn what_became_of_events_is_seen_without_what_is_personal() {
    let database = database().await;
    let db = Db::new(&database.url.parse().expect("a valid URL"), 1, "tests");
    let event = clerk_events::user("user.created", "user_1", "Kari", Some("kari@example.no"), false, 1_000).to_string();
    let malformed = json!({ "type": "user.updated", "data": {} }).to_string();
    for (id, body) in [("msg_1", &event), ("msg_1", &event), ("msg_2", &malformed)] {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let request = Trace::of_request("POST /webhooks/clerk".to_owned(), Some(parent));
        let delivery = clerk_events::delivery(id, body);
        request.of(common::clerk::receive(&db, None, &delivery)).await.expect("the database is there");
    }
    let desk = Desk::open(&database).await;
    let mut jobs = JobTable::at(&database.url).await;
    jobs.wait_for_count("clerk.process_event", "done", 1).await;
    let page = desk.page("/deliveries").await;
    for told in ["user.created", "and once more", "applied", "malformed: missing field"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    assert!(!page.contains("Kari") && !page.contains("kari@"), "{page}");
    assert!(!desk.page("/deliveries?status=dead").await.contains("user.created"));
    assert!(desk.page("/deliveries?about=user_1").await.contains("user.created"));

    // From the event to its job and its trace, and back.
    let page = desk.page("/deliveries/1").await;
    let of_trace = "/jobs?trace=4bf92f3577b34da6a3ce929d0e0e4736";
    assert!(page.contains("\"/jobs/1\"") && page.contains(of_trace) && page.contains("msg_1"), "{page}");
    assert!(!page.contains("Kari") && !page.contains("kari@"), "{page}");
    let job = desk.page("/jobs/1").await;
    assert!(job.contains("\"/deliveries/1\"") && job.contains(of_trace), "{job}");
    assert!(desk.page(of_trace).await.contains("\"/jobs/1\""));

    let page = desk.press("/deliveries/1/replay", "").await;
    assert!(page.contains("1 delivery will be processed again."), "{page}");
    jobs.wait_until("SELECT count(*) = $1 FROM deliveries WHERE outcome = 'stale'", 1).await;
    assert!(desk.page("/history").await.contains(">replay<"));
}

#[tokio::test]
async fn one_odd_job_does_not_hide_the_others() {
    let database = database().await;
    let db = Db::new(&database.url.parse().expect("a valid URL"), 1, "tests");
    let event = clerk_events::organization("organization.created", "org_1", "Tesla Oslo", 1_000).to_string();
    common::clerk::receive(&db, None, &clerk_events::delivery("msg_1", &event)).await.expect("the database is there");
    let mut jobs = JobTable::at(&database.url).await;
    for payload in [
        r#"{"delivery_id": "x"}"#,
        r#"{"delivery_id": {}}"#,
        "7",
        "null",
        r#"{"delivery_id": 99999999999999999999}"#,
        r#"{"delivery_id": 1e400}"#,
    ] {
        let odd = jobs.insert("clerk.process_event", 1, payload).await;
        jobs.change("UPDATE jobs SET state = 'dead', finished_at = now() WHERE id = $1", odd).await;
    }
    let desk = Desk::open(&database).await;
    for path in ["/", "/jobs", "/jobs/2", "/jobs/3", "/deliveries", "/deliveries/1"] {
        desk.page(path).await;
    }
}

#[tokio::test]
async fn a_queue_is_paused_and_resumed_by_somebody_with_a_name() {
    let database = database().await;
    let desk = Desk::open(&database).await;
    let mut jobs = JobTable::at(&database.url).await;
    let page = desk.press("/queues/default/pause", "reason=Clerk+is+%3Cdown%3E").await;
    assert!(page.contains("The queue is paused: no more") && page.contains("Clerk is &lt;down&gt;"), "{page}");
    assert!(desk.press("/queues/default/pause", "").await.contains("was paused already"));
    let metrics = desk.page_without_policy("/metrics").await;
    assert!(metrics.contains("norvalt_queue_paused{queue=\"default\"} 1"), "{metrics}");
    let waits = jobs.insert("test.kind", 1, "{}").await;
    assert!(desk.press("/queues/default/resume", "").await.contains("The queue goes on."));
    // Given back for a release that knows it: it was claimed.
    jobs.wait_for(waits, "scheduled").await;
    let unknown = desk
        .ask(Method::POST, "/queues/nope/pause")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("reason=")
        .send()
        .await
        .expect("it answers");
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    let history = desk.page("/history").await;
    assert!(history.contains(">pause<") && history.contains(">resume<") && history.contains("Clerk is"), "{history}");
}

#[tokio::test]
async fn the_age_of_what_is_not_there_is_blank() {
    let database = database().await;
    let desk = Desk::open(&database).await;
    JobTable::at(&database.url).await.wait_until("SELECT count(*) = $1 FROM workers", 1).await;
    let page = desk.page("/").await;
    assert!(page.contains("data-label=\"Oldest available\"><div></div></td>"), "{page}");
    assert!(page.contains("data-label=\"State\"><div><span class=\"badge there\">"), "this worker is there: {page}");
}

#[tokio::test]
async fn a_queue_that_no_worker_takes_from_waits_for_a_person() {
    let database = database().await;
    let desk = Desk::open(&database).await;
    JobTable::at(&database.url).await.wait_until("SELECT count(*) = $1 FROM workers", 1).await;
    assert!(!desk.page("/").await.contains("No worker takes"));
    // This worker has no secret key of Clerk's.
    let db = Db::new(&database.url.parse().expect("a valid URL"), 1, "tests");
    let mut tx = db.system().await.expect("the database is there");
    queue::enqueue(&mut tx, &queue::NewJob::now(&ReconcileClerk {})).await.expect("it can be enqueued");
    tx.commit().await.expect("the database is there");
    let page = desk.page("/").await;
    assert!(page.contains("No worker takes jobs from queue <b>clerk</b>: 1 job waits."), "{page}");
}

#[tokio::test]
async fn what_cannot_be_read_is_shown_and_only_a_database_that_is_away_is_not_now() {
    let database = database().await;
    let db = Db::new(&database.url.parse().expect("a valid URL"), 1, "tests");
    let event = clerk_events::user("user.created", "user_1", "Kari", None, false, 1_000).to_string();
    common::clerk::receive(&db, None, &clerk_events::delivery("msg_1", &event)).await.expect("the database is there");
    let mut jobs = JobTable::at(&database.url).await;
    let odd = jobs.insert("clerk.process_event", 1, r#"{"delivery_id":"x"}"#).await;
    jobs.change("UPDATE jobs SET state = 'dead', finished_at = now() WHERE id = $1", odd).await;
    let desk = Desk::open(&database).await;
    assert!(desk.page("/deliveries").await.contains("user.created"));
    assert!(desk.page(&format!("/jobs/{odd}")).await.contains("delivery_id"));
    desk.page("/").await;

    let mut conn = database.connect().await;
    sqlx::raw_sql("ALTER TABLE delivery_repetitions RENAME TO gone").execute(&mut conn).await.expect("it is ours");
    let answer = desk.ask(Method::GET, "/deliveries").send().await.expect("it answers");
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.text().await.expect("text").contains("The database refused the question"));
}

#[tokio::test]
async fn nobody_else_gets_in() {
    let database = database().await;
    let desk = Desk::open(&database).await;
    let status = async |request: RequestBuilder| request.send().await.expect("it answers").status();
    for path in ["/", "/jobs", "/jobs/1", "/deliveries", "/deliveries/1", "/history", "/nope"] {
        let url = format!("{}{path}", desk.url);
        assert_eq!(status(desk.http.get(&url)).await, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(status(desk.http.get(&url).bearer_auth(PASSWORD)).await, StatusCode::UNAUTHORIZED, "{path}");
    }
    let url = format!("{}/jobs", desk.url);
    for (name, wrong) in [
        ("admin", ""),
        ("admin", "correct horse batter"),
        ("admin", "correct horse battery "),
        ("admin", OLAS_PASSWORD),
        ("ola", PASSWORD),
        ("kari", PASSWORD),
        ("", PASSWORD),
        ("Admin", PASSWORD),
    ] {
        let guess = desk.http.get(&url).basic_auth(name, Some(wrong));
        assert_eq!(status(guess).await, StatusCode::UNAUTHORIZED, "{name:?} {wrong:?}");
    }
    assert_eq!(status(desk.http.get(&url).basic_auth("admin", Some(PASSWORD))).await, StatusCode::OK);
    // The form of another page, in the browser of an operator who is signed in.
    let mut jobs = JobTable::at(&database.url).await;
    let job = jobs.insert("test.kind", 1, "{}").await;
    jobs.change("UPDATE jobs SET state = 'scheduled', run_at = now() + interval '1 h' WHERE id = $1", job).await;
    let cancel = format!("/jobs/{job}/cancel");
    for origin in ["https://evil.example", "null", "http://127.0.0.1.evil.example"] {
        let foreign = desk.ask(Method::POST, &cancel).header("origin", origin);
        assert_eq!(status(foreign).await, StatusCode::FORBIDDEN, "{origin}");
    }
    for system in ["cross-site", "same-site"] {
        let foreign = desk.ask(Method::POST, &cancel).header("sec-fetch-site", system);
        assert_eq!(status(foreign).await, StatusCode::FORBIDDEN, "{system}");
    }
    assert_eq!(status(desk.ask(Method::GET, &cancel)).await, StatusCode::METHOD_NOT_ALLOWED, "a link does nothing");
    assert_eq!(jobs.state(job).await, "scheduled");
    assert_eq!(status(desk.http.get(format!("{}/metrics", desk.url))).await, StatusCode::OK);

    let closed = Desk::open_with(&database, &[]).await;
    assert_eq!(status(closed.ask(Method::GET, "/")).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down_and_logged_with_the_address() {
    let database = database().await;
    let desk = Desk::open(&database).await;
    let guess = async |password: &str| {
        let guess = desk.http.get(&desk.url).basic_auth("admin", Some(password));
        guess.send().await.expect("it answers")
    };
    let mut refused = None;
    for number in 0..20 {
        let answer = guess(&format!("guess number {number}")).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some((number, answer));
            break;
        }
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    let (guesses, answer) = refused.expect("guessing ends");
    assert_eq!(guesses, 10);
    let wait: u64 = answer.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=30).contains(&wait), "{wait}");
    // The right one is not looked at either: else it would be told from the wrong ones.
    assert_eq!(guess(PASSWORD).await.status(), StatusCode::TOO_MANY_REQUESTS);
    // Without a password nothing is guessed.
    assert_eq!(desk.http.get(&desk.url).send().await.expect("it answers").status(), StatusCode::UNAUTHORIZED);
    let log = desk.worker.stop().await;
    assert_eq!(log.matches("\"address\":\"127.0.0.1\"").count(), 12, "{log}");
    assert!(!log.contains("guess number") && !log.contains(PASSWORD), "{log}");
}

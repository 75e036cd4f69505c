//! The pages for operators, on the address of a real worker.

use common::db::Db;
use reqwest::{Client, Method, RequestBuilder, StatusCode, redirect::Policy};
use serde_json::json;
use tests::{
    clerk_events,
    cluster::{TestDatabase, database},
    jobs::JobTable,
    processes::worker_command,
    talking::Talking,
};

const PASSWORD: &str = "correct horse battery";

struct Desk {
    url: String,
    http: Client,
    _worker: Talking,
}

impl Desk {
    async fn open(database: &TestDatabase, password: Option<&str>) -> Self {
        let mut command = worker_command(&database.url);
        command.envs(password.map(|password| ("WORKER_ADMIN_PASSWORD", password)));
        let mut worker = Talking::start(command);
        let url = worker.url("admin_address").await;
        let http = Client::builder().redirect(Policy::none()).build().expect("it can be made");
        Self { url, http, _worker: worker }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).basic_auth("kari", Some(PASSWORD))
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.ask(Method::GET, path).send().await.expect("it answers");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert!(answer.headers()["content-security-policy"].to_str().expect("text").contains("default-src 'none'"));
        answer.text().await.expect("text")
    }

    async fn press(&self, path: &str) -> StatusCode {
        let press = self
            .ask(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", &self.url)
            .body("kind=");
        press.send().await.expect("it answers").status()
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
    let desk = Desk::open(&database, Some(PASSWORD)).await;

    let overview = desk.page("/").await;
    assert!(overview.contains("dead jobs: 1") && overview.contains("test.later"), "{overview}");
    let list = desk.page("/jobs?state=dead").await;
    assert!(list.contains(&format!("/jobs/{dead}")) && !list.contains("test.later"), "{list}");
    let page = desk.page(&format!("/jobs/{dead}")).await;
    assert!(page.contains("&lt;b&gt;the printer&lt;/b&gt; is on fire") && page.contains("&quot;n&quot;: 7"), "{page}");

    // Kinds that this worker does not know are given back: it waits again, with all its attempts.
    assert_eq!(desk.press(&format!("/jobs/{dead}/retry")).await, StatusCode::SEE_OTHER);
    assert_ne!(jobs.state(dead).await, "dead");
    assert_eq!(desk.press(&format!("/jobs/{waiting}/cancel")).await, StatusCode::SEE_OTHER);
    assert_eq!(jobs.state(waiting).await, "cancelled");
    jobs.change(
        "UPDATE jobs SET state = 'dead', lease_token = NULL, lease_until = NULL, finished_at = now() WHERE id = $1",
        dead,
    )
    .await;
    assert_eq!(desk.press("/jobs/retry").await, StatusCode::SEE_OTHER);
    assert_ne!(jobs.state(dead).await, "dead");
    let unknown = desk.ask(Method::GET, "/jobs/4711").send().await.expect("it answers").status();
    assert_eq!(unknown, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_became_of_events_is_seen_without_what_is_personal() {
    let database = database().await;
    let db = Db::new(&database.url.parse().expect("a valid URL"), 1, "tests");
    let event = clerk_events::user("user.created", "user_1", "Kari", Some("kari@example.no"), false, 1_000).to_string();
    let malformed = json!({ "type": "user.updated", "data": {} }).to_string();
    for (id, body) in [("msg_1", &event), ("msg_1", &event), ("msg_2", &malformed)] {
        common::clerk::receive(&db, None, &clerk_events::delivery(id, body)).await.expect("the database is there");
    }
    let desk = Desk::open(&database, Some(PASSWORD)).await;
    let mut jobs = JobTable::at(&database.url).await;
    jobs.wait_for_count("clerk.process_event", "done", 1).await;
    let page = desk.page("/events").await;
    for told in ["user.created", "and 1 times more", "applied", "malformed: missing field"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    assert!(!page.contains("Kari") && !page.contains("kari@"), "{page}");
    assert!(!desk.page("/events?status=dead").await.contains("user.created"));
    assert!(desk.page("/events?about=user_1").await.contains("user.created"));
    assert_eq!(desk.press("/events/1/replay").await, StatusCode::SEE_OTHER);
    jobs.wait_until("SELECT count(*) = $1 FROM clerk_events WHERE outcome = 'stale'", 1).await;
}

#[tokio::test]
async fn nobody_else_gets_in() {
    let database = database().await;
    let desk = Desk::open(&database, Some(PASSWORD)).await;
    let status = async |request: RequestBuilder| request.send().await.expect("it answers").status();
    for path in ["/", "/jobs", "/jobs/1", "/events"] {
        let url = format!("{}{path}", desk.url);
        assert_eq!(status(desk.http.get(&url)).await, StatusCode::UNAUTHORIZED, "{path}");
        for wrong in ["", "correct horse batter", "correct horse battery "] {
            let guess = desk.http.get(&url).basic_auth("kari", Some(wrong));
            assert_eq!(status(guess).await, StatusCode::UNAUTHORIZED, "{path} {wrong:?}");
        }
        assert_eq!(status(desk.http.get(&url).bearer_auth(PASSWORD)).await, StatusCode::UNAUTHORIZED, "{path}");
    }
    // The form of another page, in the browser of an operator who is logged in.
    for origin in ["https://evil.example", "null"] {
        let foreign = desk.ask(Method::POST, "/jobs/1/retry").header("origin", origin);
        assert_eq!(status(foreign).await, StatusCode::FORBIDDEN, "{origin}");
    }
    assert_eq!(status(desk.http.get(format!("{}/metrics", desk.url))).await, StatusCode::OK);

    let closed = Desk::open(&database, None).await;
    assert_eq!(status(closed.ask(Method::GET, "/")).await, StatusCode::NOT_FOUND);
}

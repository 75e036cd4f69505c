//! An operator who was woken up has a telephone.

use common::db::Db;
use serde_json::json;
use tests::{browser::Browser, clerk_events, cluster::database, jobs::JobTable};

use super::{Desk, OLAS_PASSWORD};

/// What makes the page wider than the window. What scrolls by itself may be.
const WIDE: &str = "(() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const wide = [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > width + .5);
  return ['the page', ...wide.map((e) => `${e.localName}.${e.className}`)];
})()";

#[tokio::test]
async fn the_pages_fit_a_telephone() {
    let Some(mut browser) = Browser::start().await else {
        println!("skipped: there is no Chromium (Debian's package `chromium`)");
        return;
    };
    let database = database().await;
    let db = Db::new(&database.url.parse().expect("a valid URL"), 1, "tests");
    let malformed = json!({ "type": "organizationMembership.updated", "data": {} }).to_string();
    let delivery = clerk_events::delivery("msg_2kYxQvWqfXg1rZ8bN5mT3cLhJdE", &malformed);
    common::clerk::receive(&db, None, &delivery).await.expect("the database is there");
    let mut jobs = JobTable::at(&database.url).await;
    let dead = jobs.insert("of.a_release_that_has_a_long_name_for_its_kinds", 1, r#"{"n": 7}"#).await;
    jobs.change(
        "UPDATE jobs SET state = 'dead', attempts = 12, finished_at = now(),
         errors = jsonb_build_array(jsonb_build_object('attempt', 12, 'at', now(), 'error', repeat('cannot_connect:', 30)))
         WHERE id = $1",
        dead,
    )
    .await;
    let desk = Desk::open(&database).await;
    jobs.wait_until("SELECT count(*) = $1 FROM deliveries WHERE status <> 'pending'", 1).await;
    desk.press("/queues/email/pause", "").await;

    browser.resize(360, 800).await;
    let inside = desk.url.replace("http://", &format!("http://ola:{OLAS_PASSWORD}@"));
    let (job, paths) =
        (format!("/jobs/{dead}"), ["/", "/jobs", "/jobs?state=dead", "/deliveries", "/deliveries/1", "/history"]);
    for path in paths.into_iter().chain([job.as_str()]) {
        browser.open(&format!("{inside}{path}")).await;
        browser.screenshot(&format!("operators{}", path.replace(['/', '?'], "-"))).await;
        assert_eq!(browser.eval("document.querySelectorAll('main').length").await, 1, "{path}");
        assert_eq!(browser.eval(WIDE).await, json!([]), "{path}");
    }
}

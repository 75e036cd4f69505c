//! One lead, two writers.

use reqwest::Method;
use serde_json::{Value, json};
use tests::app::{Person, TestApp};
use tokio::join;

use super::{ISOLATION_LEVELS, app_with_isolation, create_lead, list, send, time};

const STATUSES: [&str; 5] = ["new", "contacted", "qualified", "won", "lost"];

/// One of the writes that change a lead.
fn write(n: usize, url: &str) -> (Method, String, Value) {
    let id = url.rsplit('/').next().expect("rsplit yields at least one part");
    match n % 7 {
        0..5 => (Method::PATCH, url.to_owned(), json!({ "status": STATUSES[n % 7] })),
        5 => (Method::PATCH, url.to_owned(), json!({ "lead_score": n % 100 + 1, "vehicle_interest": "Model Y" })),
        _ => {
            let reply = json!({ "lead_id": id, "message_content": format!("Svar {n}"), "channel": "manual" });
            (Method::POST, "/api/v1/conversations".to_owned(), reply)
        }
    }
}

/// Everything that is recorded of a lead agrees.
async fn check(person: &Person<'_>, url: &str) -> Value {
    let lead = person.get(url).await.expect(200);
    let messages = list(person, &format!("{url}/conversations")).await;
    let history = list(person, &format!("{url}/history")).await;
    let newest = history.first();
    assert_eq!(newest.map_or(&json!("new"), |step| &step["to_status"]), &lead["status"], "{history:#?}");
    for steps in history.windows(2) {
        assert_eq!(steps[0]["from_status"], steps[1]["to_status"], "one step begins where the one before ended");
        assert!(time(&steps[0]["changed_at"]) > time(&steps[1]["changed_at"]), "newest first");
    }
    let won = newest.filter(|step| step["to_status"] == "won");
    assert_eq!(lead["converted_at"], won.map_or(Value::Null, |step| step["changed_at"].clone()));

    let times: Vec<_> = messages.iter().map(|message| time(&message["created_at"])).collect();
    assert!(times.is_sorted_by(|a, b| a > b), "newest first");
    assert_eq!(lead["conversation_count"], messages.len());
    assert_eq!(lead["last_contact_at"], messages.first().map_or(Value::Null, |newest| newest["created_at"].clone()));
    let waited = times.last().map(|first| *first - time(&lead["created_at"]));
    let shown = lead["first_response_time"].as_str().map(|text| text.trim_matches(['P', 'T', 'S']).parse::<f64>());
    match (waited, shown) {
        (None, None) => {}
        (Some(waited), Some(Ok(shown))) => {
            let waited = waited.to_std().expect("not before the lead").as_secs_f64();
            assert!((waited - shown).abs() < 1e-6, "{waited} {shown}");
        }
        other => panic!("{other:?}"),
    }
    let latest = times.first().into_iter().copied().chain(newest.map(|step| time(&step["changed_at"])));
    assert!(latest.max().is_none_or(|latest| time(&lead["updated_at"]) >= latest));
    lead
}

async fn pairs_agree(app: &TestApp, pairs: usize) {
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, jonas) = (oslo.admin(), oslo.member("jonas", "org:member").await);
    let url = create_lead(&kari).await;
    let mut before = check(&kari, &url).await;
    for n in 0..pairs {
        // Each write meets each other one.
        let ((method_a, path_a, a), (method_b, path_b, b)) = (write(n, &url), write(n + n / 7, &url));
        let (a, b) = join!(send(&kari, method_a, &path_a, &a), send(&jonas, method_b, &path_b, &b));
        assert!(a.status.is_success() && b.status.is_success(), "{:#} {:#}", a.json, b.json);
        let after = check(&kari, &url).await;
        assert!(time(&after["updated_at"]) > time(&before["updated_at"]), "{n}");
        before = after;
    }
    assert!(before["conversation_count"].as_u64() > Some(3) && app.count(STEPS).await > 10, "they were at it");
}

const STEPS: &str = "SELECT count(*) FROM lead_status_changes";

#[tokio::test]
async fn what_is_recorded_of_a_lead_agrees_with_what_took_effect() {
    for (level, pairs) in ISOLATION_LEVELS {
        pairs_agree(&app_with_isolation(level).await.0, pairs).await;
    }
}

#[tokio::test]
async fn many_at_once_are_as_good_as_one_after_the_other() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let url = create_lead(&kari).await;
    for round in 0..5 {
        let writes = (0..30).map(|n| write(n * 3 + round, &url));
        let sent = writes.map(|(method, path, body)| {
            let kari = kari.clone();
            async move { send(&kari, method, &path, &body).await.status }
        });
        assert!(futures::future::join_all(sent).await.iter().all(reqwest::StatusCode::is_success));
        check(&kari, &url).await;
    }
}

#[tokio::test]
async fn two_who_clear_one_contact_each_leave_the_other() {
    for (level, pairs) in ISOLATION_LEVELS {
        let (app, _database) = app_with_isolation(level).await;
        let oslo = app.dealership("Tesla Oslo").await;
        let kari = oslo.admin();
        for _ in 0..pairs {
            let url = create_lead(&kari).await;
            let (no_email, no_phone) = (json!({ "customer_email": null }), json!({ "customer_phone": "" }));
            let (a, b) =
                join!(send(&kari, Method::PATCH, &url, &no_email), send(&kari, Method::PATCH, &url, &no_phone));
            let mut statuses = [a.status.as_u16(), b.status.as_u16()];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 422]);
            let lead = kari.get(&url).await.expect(200);
            assert_ne!(lead["customer_email"].is_null(), lead["customer_phone"].is_null());
        }
    }
}

#[tokio::test]
async fn a_lead_is_removed_once_whatever_else_happens_to_it() {
    for (level, pairs) in ISOLATION_LEVELS {
        let (app, _database) = app_with_isolation(level).await;
        let oslo = app.dealership("Tesla Oslo").await;
        let (kari, jonas) = (oslo.admin(), oslo.member("jonas", "org:member").await);
        let kept = create_lead(&kari).await;
        for n in 0..pairs {
            let (first, second) = (create_lead(&kari).await, create_lead(&kari).await);
            let nothing = json!({});
            let twice = n % 3 == 0;
            let (method, path, body) = match n % 3 {
                0 => (Method::DELETE, first.clone(), nothing.clone()),
                1 => (Method::DELETE, second.clone(), nothing.clone()),
                _ => write(n, &first),
            };
            let (person, other) = if n % 3 == 2 { (&kari, &jonas) } else { (&kari, &kari) };
            let (a, b) = join!(send(person, Method::DELETE, &first, &nothing), send(other, method, &path, &body));
            let (a, b) = (a.status.as_u16(), b.status.as_u16());
            if twice {
                assert_eq!(a + b, 204 + 404, "one of them removed it");
            } else {
                assert!(a == 204 && [200, 201, 204, 404].contains(&b), "{a} {b}");
            }
            kari.get(&first).await.expect_problem(404, "lead-not-found");
            send(&kari, Method::DELETE, &second, &nothing).await;
            assert_eq!(kari.get("/api/v1/leads").await.expect(200)["total"], 1, "{kept} is left");
        }
        assert_eq!(app.count("SELECT count(*) FROM conversations").await, 0);
    }
}

#[tokio::test]
async fn leads_that_come_in_at_once_are_all_there() {
    for (level, pairs) in ISOLATION_LEVELS {
        let (app, _database) = app_with_isolation(level).await;
        let oslo = app.dealership("Tesla Oslo").await;
        let kari = oslo.admin();
        for _ in 0..pairs {
            join!(create_lead(&kari), create_lead(&kari));
        }
        assert_eq!(kari.get("/api/v1/leads").await.expect(200)["total"], 2 * pairs);
    }
}

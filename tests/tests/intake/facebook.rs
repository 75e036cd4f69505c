use std::time::Duration;

use common::{
    jobs::ReconcileFacebook,
    queue::{NewJob, enqueue},
};
use dev::stand_ins::graph::{Fault, NewLead, Options, StandIn};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::Answer,
    app::{META_SECRET, Person, TestApp},
    drain::{Worker, drain},
    metrics::Metrics,
};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};

use super::{inbound, leads};

/// A Facebook that sends its webhooks to this app.
async fn facebook(app: &TestApp) -> StandIn {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let webhook = Some(format!("{}/webhooks/facebook", app.url));
    StandIn::start(listener, Options { app_secret: META_SECRET.to_owned(), webhook, ..Options::in_memory() }).await
}

pub(super) fn settings(facebook: &StandIn) -> [(&'static str, String); 3] {
    [
        ("FACEBOOK_APP_ID", Options::in_memory().app_id),
        ("FACEBOOK_APP_SECRETS", META_SECRET.to_owned()),
        ("FACEBOOK_GRAPH_URL", facebook.api_url()),
    ]
}

pub(super) async fn connect(person: &Person<'_>, facebook: &StandIn) -> Answer {
    let page = facebook.with(|state| state.pages[0].clone());
    let body = json!({ "page_id": page.id, "page_name": page.name, "page_token": page.token });
    Answer::of(person.request(Method::POST, "/api/v1/lead-sources/facebook/connect").json(&body)).await
}

fn lead(facebook: &StandIn, name: &str) -> String {
    let fields = json!({
        "full_name": name, "email": format!("{}@example.no", name.to_lowercase()), "phone_number": "+4791234567",
        "hvilken_modell_er_du_interessert_i?": ["model_y", "model_3"],
    });
    let fields = fields.as_object().expect("fields").clone().into_iter().collect();
    facebook.add_lead(&NewLead { form: None, fields }).expect("there is a form")
}

#[tokio::test]
async fn a_lead_ad_is_one_lead_with_every_answer() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let facebook = facebook(&app).await;
    assert_eq!(connect(&kari, &facebook).await.expect(200)["has_page_token"], true);
    let ids = [lead(&facebook, "Siri"), lead(&facebook, "Siri")];
    for _ in 0..3 {
        assert_eq!(facebook.deliver(&ids[..1]).await, "200 OK");
    }
    facebook.fail(Fault::Temporary, 1);
    drain(&app, &settings(&facebook)).await;
    let found = leads(&kari).await;
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["source"], &found[0]["customer_name"]), (&json!("facebook"), &json!("Siri")));
    let answers = found[0].to_string();
    assert!(answers.contains("Model Y") && answers.contains("Model 3"), "{answers}");
    // Another one of the same person goes on in the same lead.
    facebook.deliver(&ids[1..]).await;
    drain(&app, &settings(&facebook)).await;
    assert_eq!(leads(&kari).await[0]["conversation_count"], 1);
    assert_eq!(facebook.deliver_test().await, "200 OK");
    assert_eq!(app.count("SELECT count(*) FROM deliveries WHERE status = 'ignored'").await, 1);
}

#[tokio::test]
async fn what_comes_before_its_page_is_connected_waits_for_it() {
    let app = TestApp::start().await;
    let (kari, silje) = (app.dealership("Tesla Oslo").await.admin(), app.dealership("VW Bergen").await.admin());
    let facebook = facebook(&app).await;
    facebook.deliver(&[lead(&facebook, "Siri"), lead(&facebook, "Olav")]).await;
    assert_eq!(app.count("SELECT count(*) FROM deliveries WHERE status = 'parked'").await, 2);
    connect(&kari, &facebook).await.expect(200);
    drain(&app, &settings(&facebook)).await;
    connect(&silje, &facebook).await.expect(200);
    drain(&app, &settings(&facebook)).await;
    assert!(broken(&silje).await.as_str().expect("why").contains("another dealership"));
    // The same number: one person's second inquiry.
    assert_eq!((leads(&kari).await.len(), leads(&silje).await.len()), (1, 0));
    assert_eq!(leads(&kari).await[0]["conversation_count"], 1);
}

#[tokio::test]
async fn what_came_in_is_counted_by_what_it_came_to() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let facebook = facebook(&app).await;
    connect(&kari, &facebook).await.expect(200);
    drain(&app, &settings(&facebook)).await;
    facebook.deliver(&[lead(&facebook, "Siri")]).await;
    let admin = TcpListener::bind("127.0.0.1:0").await.expect("a port is free").local_addr().expect("it listens");
    let mut settings = settings(&facebook).to_vec();
    settings.push(("WORKER_ADMIN_ADDRESS", admin.to_string()));
    let worker = Worker::start(&app, &settings);
    let read = async {
        while app.count("SELECT count(*) FROM deliveries WHERE status = 'processed' AND source = 'facebook'").await == 0
        {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_mins(1), read).await.expect("the worker reads it");
    let metrics = Metrics::of(&format!("http://{admin}")).await;
    let series = r#"norvalt_deliveries_processed_total{source="facebook",type="",outcome="processed"}"#;
    assert!(metrics.has(series, 1), "{}", metrics.0);
    worker.stop().await;
}

/// Why the page does not work.
async fn broken(person: &Person<'_>) -> Value {
    let sources = person.get("/api/v1/lead-sources").await.expect(200);
    let page = sources.as_array().expect("a list").iter().find(|source| source["kind"] == "facebook").cloned();
    page.expect("it is there")["broken_reason"].clone()
}

#[tokio::test]
async fn nobody_keeps_a_page_from_its_dealership_by_typing_its_id() {
    let app = TestApp::start().await;
    let (kari, silje) = (app.dealership("Tesla Oslo").await.admin(), app.dealership("VW Bergen").await.admin());
    let facebook = facebook(&app).await;
    facebook.deliver(&[lead(&facebook, "Siri")]).await;
    let (page, theirs) = facebook.with(|state| (state.pages[0].id.clone(), state.add_page("VW Bergen").token));
    for token in ["EAAB-made-up", theirs.as_str()] {
        let body = json!({ "page_id": page, "page_name": "Min side", "page_token": token });
        let claim = silje.request(Method::POST, "/api/v1/lead-sources/facebook/connect").json(&body);
        Answer::of(claim).await.expect(200);
        drain(&app, &settings(&facebook)).await;
        assert!(broken(&silje).await.is_string(), "{token}");
    }
    connect(&kari, &facebook).await.expect(200);
    drain(&app, &settings(&facebook)).await;
    assert_eq!((broken(&kari).await, leads(&kari).await.len(), leads(&silje).await.len()), (Value::Null, 1, 0));
    assert!(facebook.with(|state| state.pages.iter().any(|page| page.subscribed)), "webhooks will tell of its leads");
}

#[tokio::test]
async fn a_token_that_is_over_keeps_leads_waiting_until_somebody_connects_the_page_again() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let facebook = facebook(&app).await;
    connect(&kari, &facebook).await.expect(200);
    drain(&app, &settings(&facebook)).await;
    facebook.with(|state| {
        let page = state.pages[0].id.clone();
        state.renew_token(&page).expect("the page is there");
    });
    facebook.deliver(&[lead(&facebook, "Siri")]).await;
    drain(&app, &settings(&facebook)).await;
    assert!(broken(&kari).await.is_string());
    assert_eq!(inbound(&kari, "parked").await[0]["outcome"], "its page has to be connected again");
    assert!(leads(&kari).await.is_empty());
    connect(&kari, &facebook).await.expect(200);
    drain(&app, &settings(&facebook)).await;
    assert_eq!(broken(&kari).await, Value::Null);
    assert_eq!(leads(&kari).await.len(), 1);
}

async fn reconcile(app: &TestApp) {
    let mut tx = app.db.system().await.expect("the database is there");
    enqueue(&mut tx, &NewJob::now(&ReconcileFacebook {})).await.expect("it is there");
    tx.commit().await.expect("the database is there");
}

/// What Meta lists of the page for seven days, and what of that is here.
async fn counts(person: &Person<'_>) -> (Value, Value) {
    let sources = person.get("/api/v1/lead-sources").await.expect(200);
    let page = sources.as_array().expect("a list").iter().find(|source| source["kind"] == "facebook").cloned();
    let page = page.expect("it is connected");
    (page["meta_leads_7_days"].clone(), page["our_leads_7_days"].clone())
}

#[tokio::test]
async fn a_lead_that_no_webhook_told_of_is_found() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let facebook = facebook(&app).await;
    connect(&kari, &facebook).await.expect(200);
    drain(&app, &settings(&facebook)).await;
    let (told, _untold) = (lead(&facebook, "Siri"), lead(&facebook, "Olav"));
    facebook.deliver(&[told]).await;
    drain(&app, &settings(&facebook)).await;
    reconcile(&app).await;
    drain(&app, &settings(&facebook)).await;
    // Both have the same number.
    assert_eq!(leads(&kari).await[0]["conversation_count"], 1);
    let found =
        "SELECT count(*) FROM deliveries WHERE headers ->> 'found_by' = 'reconciliation' AND status = 'processed'";
    assert_eq!(app.count(found).await, 1);
    assert_eq!(app.count("SELECT count(*) FROM delivery_repetitions").await, 0);
    assert_eq!(counts(&kari).await, (json!(2), json!(2)));
    // One that Meta lists is set aside: its page was switched off when it came.
    assert_eq!(app.count("WITH d AS (UPDATE deliveries SET status = 'parked' WHERE headers ->> 'found_by' = 'reconciliation' RETURNING 1) SELECT count(*) FROM d").await, 1);
    reconcile(&app).await;
    drain(&app, &settings(&facebook)).await;
    assert_eq!(counts(&kari).await, (json!(2), json!(1)));
    let ledger = kari.get("/api/v1/inbound/ledger").await.expect(200);
    assert_eq!((&ledger[0]["source"], &ledger[0]["meta_leads"]), (&json!("facebook"), &json!(2)));
}

#[tokio::test]
async fn only_metas_webhooks_are_taken_and_only_its_challenge_is_repeated() {
    let app = TestApp::start().await;
    let forged = app.request(Method::POST, "/webhooks/facebook").header("x-hub-signature-256", "sha256=00").body("{}");
    Answer::of(forged).await.expect_problem(401, "not-the-sender");
    let ask = |token: &str| {
        format!("/webhooks/facebook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}")
    };
    let answer = app.request(Method::GET, &ask("verify-me-please")).send().await.expect("the API answers");
    assert_eq!(answer.text().await.expect("a text"), "1158201444");
    app.get(&ask("guess")).await.expect_problem(401, "not-the-sender");
}

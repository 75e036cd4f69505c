//! Pages of Facebook are connected by a login there, by nobody but the person who logs in.

use common::config::MetaLogin;
use dev::stand_ins::graph::{Fault, NewLead, Options, StandIn};
use reqwest::{Client, Method, StatusCode, Url, redirect::Policy};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use tests::{
    answer::Answer,
    app::{META_SECRET, Person, TestApp},
    drain::drain,
};
use tokio::net::TcpListener;

use super::leads;

const LOGIN: &str = "/api/v1/lead-sources/facebook/login";
const PAGES: &str = "/api/v1/lead-sources/facebook/login/pages";

/// A Facebook where people can log in, and an API that sends them there.
async fn stage() -> (TestApp, StandIn) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let options = Options { app_secret: META_SECRET.to_owned(), ..Options::in_memory() };
    let app_id = options.app_id.clone();
    let facebook = StandIn::start(listener, options).await;
    let login = MetaLogin { app_id, url: Some(facebook.login_url()) };
    let app = TestApp::start_with(|config| config.senders.meta_login = Some(login)).await;
    (app, facebook)
}

async fn work(app: &TestApp, facebook: &StandIn) {
    let mut settings = super::facebook::settings(facebook).to_vec();
    settings.push(("PUBLIC_URL", "https://api.norvalt.example".to_owned()));
    drain(app, &settings).await;
}

async fn begin(person: &Person<'_>) -> String {
    let begun = Answer::of(person.request(Method::POST, LOGIN)).await;
    assert_eq!(begun.headers["location"], LOGIN);
    begun.expect(201)["authorize_url"].as_str().expect("an address").to_owned()
}

/// Where the browser is sent back to, when the person clicks on this in Facebook's dialog.
async fn agree(app: &TestApp, authorize_url: &str, choice: &str) -> String {
    let browser = Client::builder().redirect(Policy::none()).build().expect("a client");
    let dialog = browser.get(authorize_url).send().await.expect("it is there").text().await.expect("a page");
    let links = dialog.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let link = links.map(|link| link.replace("&amp;", "&")).find(|link| link.ends_with(&format!("choice={choice}")));
    let answer = browser.get(link.expect("the dialog has it")).send().await.expect("it is there");
    let back = answer.headers()["location"].to_str().expect("an address").to_owned();
    assert!(back.starts_with("https://api.norvalt.example/webhooks/facebook/oauth?"), "{back}");
    back.replacen("https://api.norvalt.example", &app.url, 1)
}

/// What the browser shows there.
async fn shown(back: &str) -> (StatusCode, String) {
    let answer = Client::new().get(back).header("accept-language", "en").send().await.expect("it is there");
    assert!(answer.headers()["content-security-policy"].to_str().expect("a policy").contains("default-src 'none'"));
    assert_eq!(answer.headers()["cache-control"], "no-store");
    (answer.status(), answer.text().await.expect("a page"))
}

/// The six digits of a page.
fn digits(page: &str) -> String {
    let digits: String = page.split("<span>").skip(1).filter_map(|rest| rest.chars().next()).collect();
    assert_eq!(digits.len(), 6, "{page}");
    digits
}

async fn choose(person: &Person<'_>, pages: &[&str], confirmation: &str) -> Answer {
    let body = json!({ "page_ids": pages, "confirmation": confirmation });
    Answer::of(person.request(Method::POST, PAGES).json(&body)).await
}

/// Everything that the database holds, as text.
async fn everything(app: &TestApp) -> String {
    let mut conn = app.connect().await;
    let tables = ["facebook_logins", "lead_sources", "jobs", "deliveries", "outbox", "notifications"];
    let mut all = String::new();
    for table in tables {
        let sql = format!(
            "SELECT coalesce(string_agg(convert_from(convert_to(t::text, 'UTF8'), 'UTF8'), ' '), '') FROM {table} t"
        );
        let text: String = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut conn).await.expect("it is there");
        all += &text;
    }
    all
}

#[tokio::test]
async fn a_page_is_connected_by_whoever_logs_in_and_its_leads_come() {
    let (app, facebook) = stage().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let page = facebook.with(|state| {
        state.add_page("Tesla Bergen");
        state.pages[0].clone()
    });
    assert_eq!(kari.get(LOGIN).await.expect(200)["status"], "none");
    let url = begin(&kari).await;
    let asked = Url::parse(&url).expect("a URL");
    let given = |name: &str| asked.query_pairs().find(|(given, _)| given == name).map(|(_, value)| value.into_owned());
    assert!(given("scope").is_some_and(|scope| scope.contains("leads_retrieval")), "{url}");
    let state = given("state").expect("a state");
    assert_eq!(kari.get(LOGIN).await.expect(200)["status"], "started");

    let back = agree(&app, &url, "agree").await;
    let (status, html) = shown(&back).await;
    assert!(status == StatusCode::OK && html.contains("Almost done"), "{html}");
    assert_eq!(kari.get(LOGIN).await.expect(200)["status"], "fetching");
    let code = Url::parse(&back).expect("a URL").query_pairs().next().expect("a code").1.into_owned();
    for secret in [&state, &code] {
        assert!(!everything(&app).await.contains(secret), "{secret} is stored as it is");
    }
    facebook.fail(Fault::Temporary, 1);
    work(&app, &facebook).await;
    let login = kari.get(LOGIN).await.expect(200);
    assert_eq!((&login["status"], login["pages"].as_array().map(Vec::len)), (&json!("choosing"), Some(2)), "{login:#}");
    assert!(!login.to_string().contains("EAA") && !everything(&app).await.contains("EAA"), "tokens are sealed");

    choose(&kari, &["999"], &digits(&html)).await.expect_problem(422, "invalid-input");
    let choice = json!({ "page_ids": [page.id], "confirmation": digits(&html) });
    let keyed = || kari.request(Method::POST, PAGES).header("idempotency-key", "k").json(&choice);
    let sources = Answer::of(keyed()).await.expect(200);
    assert_eq!(Answer::of(keyed()).await.expect(200), sources, "sent again, it is answered the same");
    assert_eq!((&sources[0]["key"], &sources[0]["name"]), (&json!(page.id), &json!("Tesla Oslo")));
    choose(&kari, &[&page.id], &digits(&html)).await.expect_problem(409, "no-pages");
    work(&app, &facebook).await;
    let login = kari.get(LOGIN).await.expect(200);
    assert_eq!((&login["status"], &login["pages"]), (&json!("connected"), &json!([])));
    assert!(facebook.with(|state| state.pages[0].subscribed && !state.pages[1].subscribed));
    let source = kari.get(&format!("/api/v1/lead-sources/{}", sources[0]["id"].as_str().expect("an id"))).await;
    assert_eq!(source.expect(200)["broken_reason"], Value::Null);
    assert!(!everything(&app).await.contains("EAA"), "tokens are sealed");
    assert_eq!(app.count("SELECT count(*) FROM facebook_logins WHERE secret IS NOT NULL").await, 0);

    let lead = facebook.add_lead(&NewLead::default()).expect("there is a form");
    let body = json!({ "object": "page", "entry": [{ "id": page.id, "time": 1, "changes": [{ "field": "leadgen",
        "value": { "leadgen_id": lead, "page_id": page.id, "form_id": "1", "created_time": 1 } }] }] })
    .to_string();
    let signature = dev::stand_ins::graph::signature(META_SECRET, body.as_bytes());
    let webhook = app.request(Method::POST, "/webhooks/facebook").header("x-hub-signature-256", signature).body(body);
    assert_eq!(webhook.send().await.expect("an answer").status(), 200);
    work(&app, &facebook).await;
    assert_eq!(leads(&kari).await.len(), 1);
}

#[tokio::test]
async fn nobody_is_made_to_connect_a_page() {
    let (app, facebook) = stage().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let (kari, lise) = (oslo.admin(), oslo.member("lise", "org:admin").await);
    let page = facebook.with(|state| state.pages[0].id.clone());
    let jonas = oslo.member("jonas", "org:member").await;
    Answer::of(jonas.request(Method::POST, LOGIN)).await.expect_problem(403, "forbidden");
    choose(&jonas, &[&page], "000000").await.expect_problem(403, "forbidden");

    let (_, html) = shown(&agree(&app, &begin(&kari).await, "agree").await).await;
    work(&app, &facebook).await;
    // What Kari's login has shown is for her alone.
    for other in [&lise, &bergen.admin()] {
        assert_eq!(other.get(LOGIN).await.expect(200)["status"], "none");
        choose(other, &[&page], &digits(&html)).await.expect_problem(409, "no-pages");
    }
    // Who was led to agree to a login of somebody else's has digits that they do not know.
    let right = digits(&html);
    let wrong = |n: u32| format!("{:06}", (right.parse::<u32>().expect("a number") + n) % 1_000_000);
    for n in 1..=4 {
        choose(&kari, &[&page], &wrong(n)).await.expect_problem(422, "invalid-input");
    }
    assert_eq!(kari.get(LOGIN).await.expect(200)["status"], "choosing");
    choose(&kari, &[&page], &wrong(5)).await.expect_problem(422, "invalid-input");
    choose(&kari, &[&page], &right).await.expect_problem(409, "no-pages");
    assert_eq!(kari.get(LOGIN).await.expect(200)["status"], "failed");
    assert_eq!(app.count("SELECT count(*) FROM lead_sources WHERE kind = 'facebook'").await, 0);
}

#[tokio::test]
async fn a_state_is_good_once_for_ten_minutes_and_until_the_next() {
    let (app, facebook) = stage().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let first = agree(&app, &begin(&kari).await, "agree").await;
    let second = agree(&app, &begin(&kari).await, "agree").await;
    let (status, html) = shown(&first).await;
    assert!(status == StatusCode::NOT_FOUND && html.contains("not valid"), "she has begun anew: {html}");
    assert_eq!(shown(&second).await.0, StatusCode::OK);
    let (status, html) = shown(&second).await;
    assert!(status == StatusCode::GONE && html.contains("was used") && !html.contains("<span>"), "{html}");
    for made_up in [
        "state=x&code=1",
        "code=1",
        "",
        "state=%00&code=1",
        &format!("state={}-{}&code=1", "0".repeat(32), "1".repeat(32)),
    ] {
        let (status, html) = shown(&format!("{}/webhooks/facebook/oauth?{made_up}", app.url)).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{made_up}: {html}");
    }
    work(&app, &facebook).await;
    let third = agree(&app, &begin(&kari).await, "agree").await;
    let later = "UPDATE facebook_logins SET began_at = began_at - interval '11 minutes'";
    app.connect().await.execute(later).await.expect("it is done");
    assert_eq!(kari.get(LOGIN).await.expect(200)["status"], "expired");
    let (status, html) = shown(&third).await;
    assert!(status == StatusCode::GONE && html.contains("too long"), "{html}");

    // What was not chosen within an hour is gone.
    let (_, html) = shown(&agree(&app, &begin(&kari).await, "agree").await).await;
    work(&app, &facebook).await;
    assert_eq!(kari.get(LOGIN).await.expect(200)["status"], "choosing");
    let later = "UPDATE facebook_logins SET began_at = began_at - interval '61 minutes'";
    app.connect().await.execute(later).await.expect("it is done");
    let page = facebook.with(|state| state.pages[0].id.clone());
    choose(&kari, &[&page], &digits(&html)).await.expect_problem(409, "no-pages");
    assert_eq!(kari.get(LOGIN).await.expect(200)["status"], "expired");
    assert_eq!(common::lead_sources::forget_logins(&app.db).await.expect("the database is there"), 1);
}

#[tokio::test]
async fn what_goes_wrong_at_facebook_is_told() {
    let (app, facebook) = stage().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let (status, html) = shown(&agree(&app, &begin(&kari).await, "refuse").await).await;
    assert!(status == StatusCode::OK && html.contains("not given access"), "{html}");
    assert_eq!(kari.get(LOGIN).await.expect(200)["status"], "denied");

    shown(&agree(&app, &begin(&kari).await, "without").await).await;
    work(&app, &facebook).await;
    let login = kari.get(LOGIN).await.expect(200);
    let told = |login: &Value| login["reason"].as_str().unwrap_or_default().to_owned();
    assert!(login["status"] == "failed" && told(&login).contains("leads_retrieval"), "{login:#}");

    // Somebody else was faster with the code.
    let back = agree(&app, &begin(&kari).await, "agree").await;
    facebook.fail(Fault::Missing, 1);
    shown(&back).await;
    work(&app, &facebook).await;
    let login = kari.get(LOGIN).await.expect(200);
    assert!(login["status"] == "failed" && told(&login).contains("log in to Facebook again"), "{login:#}");

    let state = begin(&kari).await.split("state=").nth(1).expect("a state").split('&').next().map(str::to_owned);
    let failed = format!("{}/webhooks/facebook/oauth?error_code=1&state={}", app.url, state.expect("a state"));
    let (_, html) = shown(&failed).await;
    assert!(html.contains("could not ask you"), "{html}");
    facebook.with(|state| state.pages.clear());
    shown(&agree(&app, &begin(&kari).await, "agree").await).await;
    work(&app, &facebook).await;
    let login = kari.get(LOGIN).await.expect(200);
    assert!(login["status"] == "failed" && told(&login).contains("no page"), "{login:#}");
}

#[tokio::test]
async fn without_an_app_there_is_nowhere_to_log_in() {
    let app = TestApp::start_with(|config| config.senders.meta_login = None).await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    Answer::of(kari.request(Method::POST, LOGIN)).await.expect_problem(503, "not-ready");
}

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use reqwest::Method;
use serde_json::{Value, json};
use svix::webhooks::Webhook;
use tokio::net::TcpListener;

use super::{Endpoint, NewMember, Options, SigningKey, StandIn};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port is free")
}

async fn start(change: impl FnOnce(&mut Options)) -> StandIn {
    let mut options = Options::in_memory(SigningKey::generate());
    change(&mut options);
    StandIn::start(listener().await, options).await.expect("what it keeps is readable")
}

async fn ask(clerk: &StandIn, method: Method, path: &str, key: &str, body: Option<Value>) -> (u16, String) {
    let request = reqwest::Client::new().request(method, format!("{}{path}", clerk.url())).bearer_auth(key);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let answer = request.send().await.expect("it listens");
    (answer.status().as_u16(), answer.text().await.expect("it answers in UTF-8"))
}

async fn get(clerk: &StandIn, path: &str) -> (u16, String) {
    ask(clerk, Method::GET, path, "sk_test_stand_in", None).await
}

fn parsed((status, body): (u16, String)) -> Value {
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("it is JSON")
}

#[tokio::test]
async fn the_backend_api_pages_through_what_it_knows() {
    let clerk = start(|_| {}).await;
    let all = parsed(get(&clerk, "/v1/organization_memberships?limit=3").await);
    assert_eq!((all["total_count"].as_u64(), all["data"].as_array().map(Vec::len)), (Some(4), Some(3)));
    assert_eq!(all["data"][0]["public_user_data"]["identifier"], "kari.nordmann@tesla-oslo.example");
    let rest = parsed(get(&clerk, "/v1/organization_memberships?limit=3&offset=3").await);
    assert_eq!(rest["data"][0]["id"], "orgmem_demo_lars");
    let users = parsed(get(&clerk, "/v1/users").await);
    assert_eq!(users[3]["email_addresses"][0]["email_address"], "lars.tveit@vw-bergen.example");
    assert_eq!(parsed(get(&clerk, "/v1/organizations/org_demo_vw_bergen").await)["members_count"], 2);
    let members = parsed(get(&clerk, "/v1/organizations/org_demo_vw_bergen/memberships").await);
    assert_eq!(members["total_count"], 2);
}

#[tokio::test]
async fn the_backend_api_refuses_as_clerk_does() {
    let clerk = start(|_| {}).await;
    assert_eq!(ask(&clerk, Method::GET, "/v1/users", "sk_test_other", None).await.0, 401);
    let (status, body) = get(&clerk, "/v1/users/user_nobody").await;
    assert_eq!(status, 404);
    assert!(body.contains(r#""code":"resource_not_found""#), "{body}");
    assert_eq!(get(&clerk, "/v1/users?limit=501").await.0, 422);
    clerk.faults().refuse_requests(1);
    assert_eq!(get(&clerk, "/v1/users").await.0, 429);
    assert_eq!(get(&clerk, "/v1/users").await.0, 200);
    clerk.set_outage(true);
    assert_eq!(get(&clerk, "/v1/users").await.0, 503);
    assert_eq!(get(&clerk, "/.well-known/jwks.json").await.0, 503);
}

#[tokio::test]
async fn old_keys_are_published_until_they_are_forgotten() {
    let clerk = start(|_| {}).await;
    let old = clerk.key();
    clerk.rotate_key(SigningKey::generate());
    let kids =
        |jwks: Value| jwks["keys"].as_array().cloned().unwrap_or_default().into_iter().map(|key| key["kid"].clone());
    let published: Vec<Value> = kids(parsed(get(&clerk, "/.well-known/jwks.json").await)).collect();
    assert_eq!(published, [json!(clerk.key().kid()), json!(old.kid())]);
    clerk.forget_old_keys();
    assert_eq!(kids(parsed(get(&clerk, "/.well-known/jwks.json").await)).count(), 1);
    assert_eq!(clerk.jwks_requests(), 2);
}

#[tokio::test]
async fn tokens_are_for_those_it_knows() {
    let clerk = start(|_| {}).await;
    let (status, token) = get(&clerk, "/token?user=KARI.nordmann@tesla-oslo.example&version=1&ttl=60").await;
    assert_eq!((status, token.split('.').count()), (200, 3));
    for (path, status, problem) in [
        ("/token?user=nobody@example.no", 404, "there is no user `nobody@example.no`; there are: kari"),
        ("/token?user=user_demo_kari&org=vw-bergen", 404, "there is no member `user_demo_kari`"),
        ("/token?user=user_demo_kari&version=3", 422, "`version` must be 1 or 2"),
        ("/token?user=user_demo_kari&ttl=9999999", 422, "`ttl` must be seconds"),
        ("/token?user=user_demo_kari&colour=red", 400, "unknown field `colour`"),
    ] {
        let (answer, body) = get(&clerk, path).await;
        assert!(answer == status && body.contains(problem), "{path}: {answer} {body}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_changes_nothing() {
    let clerk = start(|_| {}).await;
    let before = clerk.instance();
    for (method, path, body, status) in [
        (Method::POST, "/organizations", json!({ "name": " " }), 422),
        (Method::POST, "/organizations/tesla-oslo/members", json!({ "email": "ingrid" }), 422),
        (Method::POST, "/organizations/tesla-oslo/members", json!({ "e-mail": "ingrid@example.no" }), 422),
        (Method::POST, "/organizations/tesla/members", json!({ "email": "ingrid@example.no" }), 404),
        (Method::PATCH, "/organizations/tesla-oslo/members/user_demo_kari", json!({ "role": "boss" }), 422),
        (Method::PATCH, "/users/user_demo_kari", json!({ "email": "lars.tveit@vw-bergen.example" }), 422),
        (Method::DELETE, "/users/user_nobody", json!({}), 404),
        (Method::POST, "/deliveries/1/resend", json!({}), 404),
    ] {
        let (answer, text) = ask(&clerk, method, path, "", Some(body)).await;
        assert_eq!(answer, status, "{path}: {text}");
    }
    assert_eq!(clerk.instance(), before);
    assert!(clerk.webhooks().deliveries().is_empty());
}

/// What came in: the message's id and whether its signature is right.
type Received = Arc<Mutex<Vec<(String, bool)>>>;

/// Refuses the first message that comes, and takes all others.
async fn receive(State(received): State<Received>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let id = headers.get("svix-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let genuine = Webhook::new(SECRET).and_then(|webhook| webhook.verify(&body, &headers)).is_ok();
    let mut received = received.lock().expect("no test panics with it");
    received.push((id, genuine));
    if received.len() == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::ACCEPTED }
}

#[tokio::test]
async fn a_webhook_comes_again_until_it_is_taken() {
    let (listener, received) = (listener().await, Received::default());
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let router = Router::new().route("/", post(receive)).with_state(Arc::clone(&received));
    let _endpoint = tokio::spawn(async move { axum::serve(listener, router).await });
    let clerk = start(|options| options.endpoint = Some(Endpoint { url, secret: SECRET.to_owned() })).await;

    let gone = json!({});
    let (status, body) = ask(&clerk, Method::DELETE, "/users/user_demo_lars", "", Some(gone)).await;
    assert!(status == 200 && body.contains(r#""outcome": "503 Service Unavailable""#), "{status} {body}");
    clerk.webhooks().settled().await;
    let delivery = clerk.webhooks().delivery(1).expect("it is remembered");
    assert_eq!(delivery.attempts.iter().map(|attempt| attempt.delivered).collect::<Vec<_>>(), [false, true]);

    assert_eq!(ask(&clerk, Method::POST, "/deliveries/1/resend", "", None).await.0, 200);
    clerk.webhooks().settled().await;
    let received = received.lock().expect("the endpoint does not panic with it");
    assert_eq!(*received, vec![(delivery.svix_id, true); 3]);
}

#[tokio::test]
async fn what_it_knows_outlives_it() {
    let file = std::env::temp_dir().join(format!("norvalt-clerk-{}.json", std::process::id()));
    let clerk = start(|options| options.state_file = Some(file.clone())).await;
    let ingrid = NewMember { email: "ingrid@example.no".to_owned(), ..NewMember::default() };
    clerk.change(|instance, now| instance.add_member("tesla-oslo", &ingrid, now)).expect("a valid change");
    let before = clerk.instance();
    clerk.stop().await;
    let clerk = start(|options| options.state_file = Some(file.clone())).await;
    assert_eq!(clerk.instance(), before);
    assert!(clerk.session_token("ingrid@example.no", None).is_ok());
    crate::files::remove(&file).expect("it is ours");
}

#[tokio::test]
async fn dashboards_on_this_host_may_fetch_tokens_and_no_other_web_site_may() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let clerk = StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file");
    for (origin, allowed) in [
        ("http://localhost:3000", true),
        ("http://127.0.0.1:3001", true),
        ("http://localhost", true),
        ("http://localhost.evil.example:3000", false),
        ("https://evil.example", false),
        ("null", false),
    ] {
        let request = reqwest::Client::new().get(clerk.jwks_url()).header("origin", origin);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.headers().contains_key("access-control-allow-origin"), allowed, "{origin}");
    }
}

//! The client of Meta's Graph API against the stand-in for it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use chrono::{DateTime, TimeDelta};
use common::{
    clock::Clock,
    inquiry::facebook::{ChangeKind, is_test, read_webhook},
    secrets::Secret,
};
use dev::stand_ins::graph::{Fault, NewLead, Options, StandIn, signature};
use integrations::facebook::{Graph, GraphError, ReconnectReason, Settings};
use serde_json::{Value, json};
use tokio::net::TcpListener;

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port is free")
}

struct Both {
    stand_in: StandIn,
    client: Graph,
    page: String,
    form: String,
    token: Secret,
}

impl Both {
    async fn start(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::in_memory();
        change(&mut options);
        let (app_id, app_secret) = (options.app_id.clone(), options.app_secret.clone());
        let stand_in = StandIn::start(listener().await, options).await;
        let client = client(&stand_in.api_url(), &app_id, &app_secret);
        let (page, form) = stand_in.with(|state| (state.pages[0].clone(), state.forms[0].id.clone()));
        Self { client, page: page.id, form, token: Secret::new(page.token), stand_in }
    }

    fn lead(&self) -> String {
        self.stand_in.add_lead(&NewLead::default()).expect("there is a form")
    }

    async fn ask(&self) -> Result<(), GraphError> {
        self.client.forms(&self.token, &self.page).await.map(drop)
    }
}

fn client(url: &str, app_id: &str, app_secret: &str) -> Graph {
    let settings = Settings::new(app_id, Secret::new(app_secret));
    let time_limit = Duration::from_millis(500);
    Graph::new(&Settings { url: url.to_owned(), time_limit, ..settings }).expect("a URL")
}

#[tokio::test]
async fn a_lead_is_read_with_the_labels_of_its_form() {
    let both = Both::start(|_| {}).await;
    let id = both.lead();
    let lead = both.client.lead(&both.token, &id).await.expect("it is there");
    assert_eq!((lead.id.as_str(), lead.form_id.as_deref()), (id.as_str(), Some(both.form.as_str())));
    assert!(lead.created_time.is_some());
    let questions = both.client.form_questions(&both.token, &both.form).await.expect("it is there");
    let inquiry = lead.inquiry(Some(&questions));
    assert_eq!(inquiry.name.as_deref(), Some("Torill Vik"));
    assert_eq!(inquiry.vehicle_interest.as_deref(), Some("Model Y"));
    assert_eq!(
        inquiry.message.as_deref(),
        Some("Hvilken modell er du interessert i? Model Y\nNår kan vi ringe deg? Etter kl. 16")
    );
    assert_eq!(inquiry.details["ad_name"], "Høstkampanje");
}

#[tokio::test]
async fn leads_are_paged_through_once_each() {
    let start = DateTime::from_timestamp(1_790_000_000, 0).expect("in range");
    let seconds = std::sync::atomic::AtomicI64::new(0);
    let tick = move || start + TimeDelta::seconds(seconds.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let both = Both::start(|options| options.clock = Clock::from_fn(tick)).await;
    let mut ids: Vec<_> = (0..250).map(|_| both.lead()).collect();
    let forms = both.client.forms(&both.token, &both.page).await.expect("the page has one");
    assert_eq!((forms.len(), forms[0].leads_count, forms[0].status.as_deref()), (1, Some(250), Some("ACTIVE")));

    let since = start + TimeDelta::seconds(49);
    let (mut found, mut cursor, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let page = both.client.leads_since(&both.token, &both.form, since, cursor.as_deref()).await.expect("a page");
        assert_eq!(page.unreadable, 0);
        found.extend(page.leads.into_iter().map(|lead| lead.id));
        pages += 1;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, 2);
    found.reverse();
    assert_eq!(found, ids.split_off(50));
}

#[tokio::test]
async fn a_login_leads_to_the_tokens_of_the_pages() {
    let both = Both::start(|_| {}).await;
    let back = "http://127.0.0.1:3000/connected?x=1";
    let code = Secret::new(both.stand_in.login(back));
    let other = both.client.exchange_code(&code, "http://127.0.0.1:3000/elsewhere").await;
    assert!(matches!(other, Err(GraphError::Refused { code: 100, .. })), "{other:?}");
    let short = both.client.exchange_code(&code, back).await.expect("the code is new");
    let user = both.client.long_lived(&short).await.expect("it is valid");
    both.client.long_lived(&short).await.expect("it may be asked again");
    let granted = both.client.granted(&user.token).await.expect("it is valid");
    assert!(granted.iter().any(|one| one == "leads_retrieval"), "{granted:?}");
    assert_eq!(user.expires_in, Some(Duration::from_hours(24 * 60)));
    let again = both.client.exchange_code(&code, back).await;
    assert!(matches!(again, Err(GraphError::Refused { code: 100, subcode: Some(36009) })), "{again:?}");

    let pages = both.client.pages(&user.token).await.expect("there is one");
    assert_eq!((pages.len(), &pages[0].id, &pages[0].access_token), (1, &both.page, &both.token));
    assert!(!both.client.is_subscribed(&both.token, &both.page).await.expect("an answer"));
    both.client.subscribe(&pages[0].access_token, &pages[0].id).await.expect("it is ours");
    assert!(both.client.is_subscribed(&both.token, &both.page).await.expect("an answer"));
}

#[tokio::test]
async fn errors_are_told_apart() {
    let both = Both::start(|_| {}).await;
    for (fault, expected) in [
        (Fault::Expired, "Reconnect { code: 190, reason: Expired }"),
        (Fault::NoPermission, "Permission { code: 10 }"),
        (Fault::Throttled, "Throttled { code: 4, retry_after: Some(180s) }"),
        (Fault::Temporary, "Transient { retry_after: None }"),
        (Fault::Missing, "NotFound { code: 100, subcode: Some(33) }"),
        (Fault::Html, "Transient { retry_after: None }"),
    ] {
        both.stand_in.fail(fault, 1);
        let error = both.ask().await.expect_err("it fails");
        assert_eq!(format!("{error:?}"), expected);
        both.ask().await.expect("once only");
    }
    both.stand_in.fail(Fault::Slow, 1);
    let slow = both.ask().await.expect_err("it takes too long");
    assert!(matches!(slow, GraphError::Unreachable(_)) && slow.is_temporary(), "{slow:?}");
    assert!(!format!("{slow:?}").contains("http://"), "an address holds keys: {slow:?}");
}

#[tokio::test]
async fn who_asks_must_have_the_right_to() {
    let both = Both::start(|_| {}).await;
    let lead = both.lead();
    let (other, forms) = both.stand_in.with(|state| {
        let other = state.add_page("VW Bergen");
        (other, state.forms.len())
    });
    assert_eq!(forms, 1);
    let of_another = both.client.lead(&Secret::new(other.token), &lead).await;
    assert!(matches!(of_another, Err(GraphError::NotFound { .. })), "{of_another:?}");
    let missing = both.client.lead(&both.token, "444444444444").await;
    assert!(matches!(missing, Err(GraphError::NotFound { .. })), "{missing:?}");
    let path = both.client.lead(&both.token, &format!("../{lead}")).await;
    assert!(path.is_err(), "an id is no path");

    let stranger = client(&both.stand_in.api_url(), "1234567890123456", "another secret");
    let forged = stranger.lead(&both.token, &lead).await;
    assert!(matches!(forged, Err(GraphError::Refused { code: 100, subcode: None })), "{forged:?}");
    let nobody = both.client.lead(&Secret::new("EAAG-unknown"), &lead).await;
    assert!(matches!(nobody, Err(GraphError::Reconnect { reason: ReconnectReason::Invalid, .. })), "{nobody:?}");

    let renewed = both.stand_in.with(|state| state.renew_token(&both.page)).expect("it exists");
    let expired = both.client.lead(&both.token, &lead).await;
    assert!(matches!(expired, Err(GraphError::Reconnect { reason: ReconnectReason::Expired, .. })), "{expired:?}");
    both.client.lead(&Secret::new(renewed.token), &lead).await.expect("the new token is good");
}

#[tokio::test]
async fn odd_answers_are_errors() {
    for (answer, expected) in [
        ((StatusCode::OK, "{}".to_owned()), "Unreadable"),
        ((StatusCode::OK, "<html>".to_owned()), "Unreadable"),
        ((StatusCode::OK, " ".repeat(5 << 20)), "Unreadable"),
        ((StatusCode::BAD_REQUEST, String::new()), "Unreadable"),
        ((StatusCode::FOUND, String::new()), "Unreadable"),
        ((StatusCode::BAD_GATEWAY, String::new()), "Transient"),
        ((StatusCode::OK, json!({ "error": { "code": 190 } }).to_string()), "Reconnect"),
    ] {
        let router = Router::new().fallback(move || async move { answer });
        let listener = listener().await;
        let url = format!("http://{}/v26.0", listener.local_addr().expect("it is bound"));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let error = client(&url, "1", "x").lead(&Secret::new("t"), "1").await.expect_err("no lead");
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
        server.abort();
    }
    assert!(matches!(
        Graph::new(&Settings { url: "graph".to_owned(), ..Settings::new("1", Secret::new("x")) }),
        Err(GraphError::InvalidUrl)
    ));
}

/// What came in: the body, and whether its signature is right.
type Received = Arc<Mutex<Vec<(Bytes, bool)>>>;

/// Refuses the first that comes, and takes all others.
async fn receive(State(received): State<Received>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let expected = signature("stand-in-app-secret", &body);
    let is_genuine = headers.get("x-hub-signature-256").is_some_and(|value| value.as_bytes() == expected.as_bytes());
    let mut received = received.lock().expect("no test panics with it");
    received.push((body, is_genuine));
    if received.len() == 1 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
}

#[tokio::test]
async fn a_webhook_tells_of_each_lead_until_it_is_taken() {
    let (listener, received) = (listener().await, Received::default());
    let url = format!("http://{}/webhooks/facebook", listener.local_addr().expect("it is bound"));
    let router = Router::new().route("/webhooks/facebook", post(receive)).with_state(Arc::clone(&received));
    let endpoint = tokio::spawn(async move { axum::serve(listener, router).await });
    let both = Both::start(|options| options.webhook = Some(url)).await;

    let ids = [both.lead(), both.lead()];
    assert_eq!(both.stand_in.deliver(&ids).await, "500 Internal Server Error");
    while received.lock().expect("it does not panic").len() < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(both.stand_in.deliver_test().await, "200 OK");
    // As a person does it.
    let request = reqwest::Client::new().post(format!("{}/leads", both.stand_in.url()));
    let answer = request.body(json!({ "fields": { "full_name": "Kari" }, "times": 2 }).to_string()).send().await;
    let answer: Value = answer.expect("it listens").json().await.expect("JSON");
    assert_eq!(answer["webhooks"], json!(["200 OK", "200 OK"]));
    let third = answer["lead"].as_str().expect("an id");
    assert_eq!(
        both.client.lead(&both.token, third).await.expect("it is there").inquiry(None).name.as_deref(),
        Some("Kari")
    );

    let received = received.lock().expect("it does not panic").clone();
    assert!(received.iter().all(|(_, is_genuine)| *is_genuine));
    let told =
        received.iter().flat_map(|(body, _)| read_webhook(body).expect("a webhook")).map(|change| match &change.kind {
            _ if is_test(&change) => "test".to_owned(),
            ChangeKind::Leadgen(lead) => lead.leadgen_id.clone(),
            other => format!("{other:?}"),
        });
    let [first, second] = &ids;
    let expected = [first.as_str(), second, first, second, "test", third, third];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    endpoint.abort();
}

//! What logs, metrics and traces must never hold: secrets, tokens, and what customers are called and say.

use dev::stand_ins::clerk::{Options, SigningKey, StandIn};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tests::{
    answer::Answer,
    app::WEBHOOK_SECRET,
    clerk_events::{self, Membership},
    cluster::database,
    collector::Collector,
    jobs::JobTable,
    logged_process::LoggedProcess,
    metrics::Metrics,
    processes::{api_command, deliver, worker_command},
};
use tokio::net::TcpListener;

/// Whom nobody may recognise. Each value is in what is sent below, and nowhere else.
const PERSONAL: [&str; 13] = [
    "Kari-Personlig",
    "kari-personlig",
    "Lise-Personlig",
    "lise-personlig",
    "Tesla-Personlig",
    "Bjørn-Personlig",
    "Bj%C3%B8rn",
    "bjorn-personlig",
    "91234567",
    "912 34 567",
    "Hemmelig-beskjed",
    "Hemmelig-svar",
    "Hemmelig-bil",
];

#[tokio::test]
async fn logs_metrics_and_traces_hold_no_secret_and_nothing_personal() {
    let database = database().await;
    // A password is only looked at where one is asked for; here it is only a secret.
    let url = database.url.replacen("postgres@", "postgres:hunter2@", 1);
    assert!(url.contains("hunter2"), "{url}");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let clerk = StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file");
    let collector = Collector::start().await;
    let telling = [
        ("RUST_LOG", "debug,api=trace,worker=trace,common=trace"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()),
    ];
    let (mut api, mut worker) = (api_command(&url, &clerk), worker_command(&url));
    api.envs(telling);
    worker.envs(telling);
    let (mut api, mut worker) = (LoggedProcess::start(api), LoggedProcess::start(worker));
    let (base, api_admin) = (api.url("address").await, api.url("admin_address").await);
    let worker_admin = worker.url("admin_address").await;

    webhooks(&base).await;
    JobTable::at(&database.url).await.wait_for_count("clerk.process_event", "done", 2).await;
    let good = clerk.session_token("user_demo_kari", None).expect("she is known").mint(&clerk.key());
    let bad = clerk.session_token("user_demo_kari", None).expect("she is known").mint(&SigningKey::generate());
    life_of_a_lead(&base, &good).await;
    refusals(&base, &[&good, &bad]).await;

    let metrics = Metrics::of(&api_admin).await.0 + &Metrics::of(&worker_admin).await.0;
    let log = api.stop().await + &worker.stop().await;
    assert!(log.contains("webhook accepted") && log.contains("processed a Clerk event"), "{log}");
    assert!(log.contains("no key has this id"), "why a token was refused is for the log: {log}");
    let traces: String = collector.bodies().iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect();
    assert!(traces.contains("/api/v1/leads/{id}") && traces.contains("clerk.process_event"), "{traces}");

    let signature = |token: &str| token.rsplit('.').next().expect("three parts").to_owned();
    let (good, bad) = (signature(&good), signature(&bad));
    let secrets = ["hunter2", &WEBHOOK_SECRET[6..], &good, &bad];
    for (name, told) in [("the log", log), ("the metrics", metrics), ("the traces", traces)] {
        for secret in secrets.iter().chain(&PERSONAL) {
            let line = told.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is in {name}");
        }
    }
}

/// Events with names and addresses: good ones, malformed ones, and one that is not signed.
async fn webhooks(base: &str) {
    let membership = Membership {
        id: "orgmem_1",
        org: "org_demo_tesla_oslo",
        org_name: "Tesla-Personlig",
        org_at: 1_000,
        user: "user_demo_kari",
        first_name: "Kari-Personlig",
        identifier: Some("kari-personlig@example.no"),
        role: "org:admin",
        at: 2_000,
    };
    deliver(base, "msg_1", &membership.event("created").to_string()).await.expect(202);
    let address = Some("lise-personlig@example.no");
    let user = clerk_events::user("user.created", "user_lise", "Lise-Personlig", address, false, 2_000);
    deliver(base, "msg_2", &user.to_string()).await.expect(202);
    let malformed = json!({ "type": "user.created", "data": { "id": 7, "first_name": "Kari-Personlig" } });
    deliver(base, "msg_3", &malformed.to_string()).await.expect(200);
    deliver(base, "msg_4", "{\"type\": \"Kari-Personlig").await.expect(400);
    let unsigned = Client::new().post(format!("{base}/webhooks/clerk")).body(user.to_string());
    Answer::of(unsigned).await.expect(400);
}

async fn life_of_a_lead(base: &str, token: &str) {
    let lead = json!({
        "customer_name": "Bjørn-Personlig", "customer_email": "bjorn-personlig@example.no", "customer_phone": "91234567",
        "initial_message": "Hemmelig-beskjed", "vehicle_interest": "Hemmelig-bil",
    });
    let send = async |method: Method, path: String, body: Option<Value>| {
        let request = Client::new().request(method, format!("{base}/api/v1{path}")).bearer_auth(token);
        Answer::of(body.iter().fold(request, RequestBuilder::json)).await
    };
    let id = send(Method::POST, "/leads".to_owned(), Some(lead)).await.expect(201)["id"].clone();
    let lead = format!("/leads/{}", id.as_str().expect("an id"));
    let answer = json!({ "lead_id": id, "message_content": "Hemmelig-svar", "channel": "email" });
    send(Method::POST, "/conversations".to_owned(), Some(answer)).await.expect(201);
    send(Method::PATCH, lead.clone(), Some(json!({ "status": "won", "customer_phone": "912 34 567" })))
        .await
        .expect(200);
    for path in [lead.clone(), format!("{lead}/conversations"), format!("{lead}/history"), "/me".to_owned()] {
        send(Method::GET, path, None).await.expect(200);
    }
    send(Method::GET, "/leads?search=Bjørn-Personlig".to_owned(), None).await.expect(200);
    send(Method::DELETE, lead, None).await.expect(204);
}

/// What is wrong in many ways, all of them with something personal in it.
async fn refusals(base: &str, tokens: &[&str]) {
    let lead = json!({ "customer_name": "Bjørn-Personlig", "customer_email": "bjorn-personlig@", "lead_score": 1000 });
    for token in tokens {
        for (method, path, body) in [
            (Method::POST, "/leads", lead.to_string()),
            (Method::POST, "/leads", "{\"customer_name\": \"Bjørn-Personlig\"".to_owned()),
            (Method::PATCH, "/leads/bjorn-personlig@example.no", lead.to_string()),
            (Method::GET, "/leads?search=Bjørn-Personlig&limit=x", String::new()),
            (Method::GET, "/leads/bjorn-personlig@example.no", String::new()),
            (Method::GET, "/customers/bjorn-personlig@example.no?phone=91234567", String::new()),
        ] {
            let request = Client::new().request(method, format!("{base}/api/v1{path}")).bearer_auth(token);
            let answer = Answer::of(request.header("content-type", "application/json").body(body)).await;
            assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
        }
    }
}

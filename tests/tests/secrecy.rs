//! What logs and answers must never hold: secrets, tokens, and what customers are called and say.

use dev::clerk::{Options, SigningKey, StandIn};
use reqwest::{Client, Method};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tests::{
    app::WEBHOOK_SECRET,
    clerk_events::Membership,
    cluster::database,
    jobs::JobTable,
    processes::{command, deliver},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpListener,
    process::Child,
};

/// Ends a process and returns what it had not said yet.
async fn last_words(mut child: Child, mut log: BufReader<tokio::process::ChildStdout>) -> String {
    let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it has not ended yet");
    kill_process(pid, Signal::TERM).expect("it is our own child");
    let (mut out, mut err) = (String::new(), String::new());
    log.read_to_string(&mut out).await.expect("text");
    child.stderr.take().expect("piped").read_to_string(&mut err).await.expect("text");
    assert!(child.wait().await.expect("it is our own child").success(), "{err}");
    out + &err
}

#[tokio::test]
async fn logs_hold_no_secret_and_nothing_personal() {
    let database = database().await;
    // A password is only looked at where one is asked for; here it is only a secret.
    let url = database.url.replacen("postgres@", "postgres:hunter2@", 1);
    assert!(url.contains("hunter2"), "{url}");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let clerk = StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file");
    let start = |name: &str| {
        let mut command = command(name, &url);
        command.env("RUST_LOG", "debug").env("PORT", "0").env("CLERK_JWKS_URL", clerk.jwks_url());
        command
            .env("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsubG9jYWxob3N0JA==")
            .env("CLERK_WEBHOOK_SECRET", WEBHOOK_SECRET);
        let mut child =
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("it runs");
        let log = BufReader::new(child.stdout.take().expect("piped"));
        (child, log)
    };
    let (api, mut api_log) = start("api");
    let (worker, worker_log) = start("worker");
    let mut said = String::new();
    let address = loop {
        let mut line = String::new();
        api_log.read_line(&mut line).await.expect("text");
        said += &line;
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON lines");
        if let Some(address) = line["address"].as_str() {
            break address.replace("0.0.0.0", "127.0.0.1");
        }
    };
    let base = format!("http://{address}");

    let membership = Membership {
        id: "orgmem_1",
        org: "org_demo_tesla_oslo",
        org_name: "Tesla Oslo",
        org_at: 1_000,
        user: "user_demo_kari",
        first_name: "Kari-Personlig",
        identifier: Some("kari-personlig@example.no"),
        role: "org:admin",
        at: 2_000,
    };
    deliver(&base, "msg_1", &membership.event("created").to_string()).await.expect(202);
    let malformed = json!({ "type": "user.created", "data": { "id": 7, "first_name": "Kari-Personlig" } });
    deliver(&base, "msg_2", &malformed.to_string()).await.expect(200);
    JobTable::at(&database.url).await.wait_for_count("clerk.process_event", "done", 1).await;

    let good = clerk.session_token("user_demo_kari", None).expect("she is known").mint(&clerk.key());
    let bad = clerk.session_token("user_demo_kari", None).expect("she is known").mint(&SigningKey::generate());
    let client = Client::new();
    let lead = json!({
        "customer_name": "Bjørn-Personlig", "customer_email": "bjorn-personlig@example.no", "customer_phone": "91234567",
        "initial_message": "Hemmelig-beskjed", "lead_score": 1000,
    });
    for token in [&good, &bad] {
        for body in [lead.clone(), {
            let mut lead = lead.clone();
            lead["lead_score"] = json!(1);
            lead
        }] {
            let request = client.request(Method::POST, format!("{base}/api/v1/leads")).bearer_auth(token).json(&body);
            request.send().await.expect("an answer");
        }
        let search = client.get(format!("{base}/api/v1/leads?search=Bjørn-Personlig&limit=x")).bearer_auth(token);
        search.send().await.expect("an answer");
    }
    assert_eq!(
        client.get(format!("{base}/api/v1/leads")).bearer_auth(&good).send().await.expect("an answer").status(),
        200
    );

    said += &last_words(api, api_log).await;
    said += &last_words(worker, worker_log).await;
    assert!(said.contains("webhook accepted") && said.contains("processed a Clerk event"), "{said}");
    let signature = |token: &str| token.rsplit('.').next().expect("three parts").to_owned();
    for secret in [
        "hunter2",
        &WEBHOOK_SECRET[6..],
        &signature(&good),
        &signature(&bad),
        "Kari-Personlig",
        "kari-personlig",
        "Bjørn-Personlig",
        "Bj%C3%B8rn",
        "bjorn-personlig",
        "91234567",
        "Hemmelig-beskjed",
    ] {
        let line = said.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}

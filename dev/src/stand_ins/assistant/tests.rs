use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

const KEY: &str = "sk-ant-stand-in";

async fn assistant(latency: Duration) -> StandIn {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
    StandIn::start(listener, Options { key: KEY.to_owned(), latency }).await
}

fn question() -> Value {
    let facts = json!({
        "dealership": { "name": "Bilhuset" },
        "vehicles": [
            { "make": "Volvo", "model": "XC40", "year": 2021, "price": 299_000, "status": "sold" },
            { "make": "Tesla", "model": "Model Y", "year": 2023, "price": 389_000, "status": "available" },
        ],
        "customer": { "name": "Kari", "language": "en" },
    });
    let content = json!([{ "type": "text", "text": facts.to_string() }]);
    json!({ "model": "claude-haiku-5-5", "max_tokens": 4000, "messages": [{ "role": "user", "content": content }] })
}

async fn ask(assistant: &StandIn, question: &Value) -> (StatusCode, Option<String>, Value) {
    let request = reqwest::Client::new().post(format!("{}/v1/messages", assistant.url())).json(question);
    let request = request.header("x-api-key", KEY).header("anthropic-version", "2026-10-21");
    let answer = request.send().await.expect("an answer");
    let wait = answer.headers().get("retry-after").map(|value| value.to_str().expect("ASCII").to_owned());
    (answer.status(), wait, answer.json().await.expect("JSON"))
}

fn written(answer: &Value) -> Value {
    serde_json::from_str(answer["content"][0]["text"].as_str().expect("a text")).expect("JSON")
}

#[tokio::test]
async fn it_writes_from_the_facts() {
    let assistant = assistant(Duration::ZERO).await;
    let (status, _, answer) = ask(&assistant, &question()).await;
    assert_eq!((status, answer["stop_reason"].as_str()), (StatusCode::OK, Some("end_turn")));
    let written = written(&answer);
    let reply = written["reply"].as_str().expect("a text");
    for fact in ["Kari", "Bilhuset", "Tesla Model Y 2023", "389 000 kr"] {
        assert!(reply.contains(fact), "{fact}: {reply}");
    }
    assert!(!reply.contains("Volvo"), "it is sold: {reply}");
    assert_eq!((written["language"].as_str(), written["needs_human"].as_bool()), (Some("en"), Some(false)));
    assert_eq!(assistant.asked(), 1);
}

#[tokio::test]
async fn it_suggests_in_norwegian_what_may_be_answered_and_sums_up() {
    let assistant = assistant(Duration::ZERO).await;
    let facts = json!({
        "dealership": { "name": "Bilhuset" },
        "vehicles": [{ "make": "Tesla", "model": "Model Y", "year": 2023, "price_kroner": 389_000, "status": "available" }],
        "customer": { "first_name": "Kari", "message": "Takk! Har den hengerfeste?" },
        "language": "nb",
        "thread": [
            { "from": "customer", "text": "Er Model Y ledig?" },
            { "from": "dealership", "text": "Ja, den står her." },
            { "from": "customer", "text": "Takk! Har den hengerfeste?" },
        ],
    });
    let mut question = question();
    question["messages"][0]["content"][0]["text"] = json!(facts.to_string());
    let written = written(&ask(&assistant, &question).await.2);
    assert!(
        written["reply"]
            .as_str()
            .is_some_and(|reply| reply.contains("Tesla Model Y 2023 er ledig og koster 389 000 kr"))
    );
    let summary = written["summary"].as_str().expect("a text");
    for part in ["Kari skrev først: «Er Model Y ledig?».", "«Takk! Har den hengerfeste?»", "1 gang", "venter på svar"]
    {
        assert!(summary.contains(part), "{part}: {summary}");
    }
}

#[tokio::test]
async fn it_sorts_mails() {
    let assistant = assistant(Duration::ZERO).await;
    let sorted = async |text: &str| {
        let mut question = question();
        let mail = json!({ "unsure": "no sender", "mail": { "from": "", "subject": "", "text": text } });
        question["messages"][0]["content"][0]["text"] = json!(mail.to_string());
        written(&ask(&assistant, &question).await.2)
    };
    let inquiry = sorted("Kunden Ola Hansen ringte om Tesla Model Y. Ring tilbake på 912 34 567.").await;
    let found = ["kind", "name", "vehicle", "phone"].map(|name| inquiry[name].as_str().expect("a text").to_owned());
    assert_eq!(found, ["inquiry", "Ola Hansen", "Tesla Model Y", "912 34 567"]);
    assert_eq!(sorted("Faktura for november").await["kind"], "advertising");
    assert_eq!(sorted("Husk møtet").await["kind"], "other");
}

#[tokio::test]
async fn what_the_present_version_does_not_take_is_refused() {
    let assistant = assistant(Duration::ZERO).await;
    for name in ["temperature", "top_p", "top_k"] {
        let mut question = question();
        question[name] = json!(0.5);
        let (status, _, answer) = ask(&assistant, &question).await;
        assert_eq!(
            (status, answer["error"]["type"].as_str()),
            (StatusCode::BAD_REQUEST, Some("invalid_request_error"))
        );
    }
    let url = format!("{}/v1/messages", assistant.url());
    for (key, version, status) in [("wrong", "2026-10-21", 401), (KEY, "2023-06-01", 400)] {
        let request = reqwest::Client::new().post(&url).json(&question()).header("x-api-key", key);
        let answer = request.header("anthropic-version", version).send().await.expect("an answer");
        assert_eq!(answer.status(), status);
    }
    assert_eq!(assistant.asked(), 0);
}

#[tokio::test]
async fn faults_look_as_at_the_provider() {
    let assistant = assistant(Duration::ZERO).await;
    let with = async |fault: Fault| {
        assistant.set_fault(fault.times(1));
        ask(&assistant, &question()).await
    };
    assert_eq!(with(Fault::Down).await.0.as_u16(), 529);
    let (status, wait, _) = with(Fault::Busy).await;
    assert_eq!((status.as_u16(), wait.as_deref()), (429, Some("5")));
    let (status, wait, answer) = with(Fault::Capped).await;
    assert_eq!((status.as_u16(), wait), (429, None));
    assert_eq!(answer["error"]["details"]["error_code"], "enforced_spend_limit_reached");
    assert_eq!(with(Fault::Refusal).await.2["stop_reason"], "refusal");
    let cut = with(Fault::Cut).await.2;
    assert_eq!(cut["stop_reason"], "max_tokens");
    for broken in [cut, with(Fault::Nonsense).await.2] {
        let text = broken["content"][0]["text"].as_str().expect("a text");
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
    }
    let injected = written(&with(Fault::Injection).await.2);
    assert!(injected["reply"].as_str().is_some_and(|reply| reply.contains("https://") && reply.contains("rabatt")));
    assert_eq!(ask(&assistant, &question()).await.0, StatusCode::OK, "each was for one answer");
}

#[tokio::test]
async fn those_who_wait_at_once_are_counted() {
    let assistant = assistant(Duration::from_millis(300)).await;
    let question = question();
    let _: ((_, _, _), (_, _, _), (_, _, _)) =
        tokio::join!(ask(&assistant, &question), ask(&assistant, &question), ask(&assistant, &question));
    assert_eq!((assistant.asked(), assistant.most_at_once()), (3, 3));
}

#[tokio::test]
async fn chat_completions_too() {
    let assistant = assistant(Duration::ZERO).await;
    let request = reqwest::Client::new().post(format!("{}/v1/chat/completions", assistant.url())).bearer_auth(KEY);
    let answer: Value = request.json(&question()).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert!(
        answer["choices"][0]["message"]["content"].as_str().is_some_and(|text| text.contains("Model Y")),
        "{answer}"
    );
}

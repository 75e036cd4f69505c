use std::time::{Duration, Instant};

use common::clock::Clock;
use dev::stand_ins::clerk::signed_headers;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tests::{app::WEBHOOK_SECRET, collector::Collector, jobs::JobTable};
use tokio::net::TcpListener;

use super::{Pair, kari_joins};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

async fn deliver(url: &str, svix_id: &str, traceparent: Option<String>) -> StatusCode {
    let body = kari_joins();
    let headers = signed_headers(WEBHOOK_SECRET, svix_id, Clock::system().now(), body.as_bytes()).expect("valid");
    let request = Client::new().post(format!("{url}/webhooks/clerk")).body(body);
    let headers = headers.into_iter().map(|(name, value)| (name.to_string(), value));
    let traceparent = traceparent.map(|value| ("traceparent".to_owned(), value));
    let request = headers.chain(traceparent).fold(request, |request, (name, value)| request.header(name, value));
    request.send().await.expect("an answer").status()
}

#[tokio::test]
async fn one_trace_goes_from_the_caller_through_the_request_to_the_job() {
    let collector = Collector::start().await;
    let pair = Pair::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)]).await;
    assert_eq!(deliver(&pair.url, "msg_1", Some(format!("00-{TRACE}-{CALLER}-01"))).await, 202);
    assert_eq!(deliver(&pair.url, "msg_2", None).await, 202);
    JobTable::at(&pair.database.url).await.wait_for_count("clerk.process_event", "done", 2).await;
    // The last spans are sent before they end.
    pair.api.stop().await;
    pair.worker.stop().await;

    let spans = collector.spans();
    let requests: Vec<_> = spans.iter().filter(|span| span.name == "POST /webhooks/clerk").collect();
    let [continued, begun] = requests[..] else { panic!("{spans:#?}") };
    assert_eq!((continued.trace.as_str(), continued.parent.as_str()), (TRACE, CALLER));
    assert_ne!(begun.trace, TRACE);
    assert_eq!(begun.parent, "");
    for request in requests {
        assert_eq!(request.service, "norvalt-api");
        let of_trace: Vec<_> = spans.iter().filter(|span| span.trace == request.trace && *span != request).collect();
        let [job] = of_trace[..] else { panic!("{spans:#?}") };
        assert_eq!((job.service.as_str(), job.name.as_str()), ("norvalt-worker", "clerk.process_event"));
        assert_eq!(job.parent, request.id);
    }
}

#[tokio::test]
async fn every_line_says_what_it_is_about() {
    // No collector: lines need none.
    let pair = Pair::start(&[("RUST_LOG", "info,api=trace,worker=trace,common=trace")]).await;
    assert_eq!(deliver(&pair.url, "msg_1", Some(format!("00-{TRACE}-{CALLER}-01"))).await, 202);
    JobTable::at(&pair.database.url).await.wait_for_count("clerk.process_event", "done", 1).await;
    let token = pair.clerk.session_token("user_demo_kari", None).expect("she is known").mint(&pair.clerk.key());
    let me =
        Client::new().get(format!("{}/api/v1/me", pair.url)).bearer_auth(token).header("x-request-id", "as-kari-1");
    let me: Value = me.send().await.expect("an answer").json().await.expect("JSON");
    let (api, worker) = (pair.api.stop().await, pair.worker.stop().await);

    let about = |log: &str, field: &str, value: &str| -> Vec<Value> {
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON lines"));
        let lines: Vec<_> = lines.filter(|line| line["span"][field] == value).collect();
        assert!(!lines.is_empty(), "no line has {field} {value}: {log}");
        lines
    };
    for line in about(&api, "name", "request").iter().chain(&about(&worker, "name", "job")) {
        assert!(line["span"]["trace_id"].as_str().is_some_and(|id| id.len() == 32), "{line}");
    }
    assert!(about(&api, "trace_id", TRACE).iter().all(|line| line["span"]["route"] == "/webhooks/clerk"));
    for line in about(&worker, "trace_id", TRACE) {
        let span = &line["span"];
        assert!(span["job_id"].is_i64() && span["attempt"] == 1 && span["kind"] == "clerk.process_event", "{line}");
    }
    let as_kari = about(&api, "request_id", "as-kari-1");
    let answered = as_kari.iter().find(|line| line["message"] == "answered").expect("a line for each answer");
    assert_eq!(answered["span"]["dealership"], me["dealership_id"], "{answered}");
    assert_eq!(answered["span"]["user"], me["id"], "{answered}");
    let dealership = me["dealership_id"].as_str().expect("an id");
    let processed = about(&worker, "dealership", dealership);
    assert!(processed.iter().any(|line| line["message"] == "processed a Clerk event"), "{worker}");
}

#[tokio::test]
async fn fields_hold_values_and_not_how_the_code_writes_them() {
    let pair = Pair::start(&[]).await;
    assert_eq!(deliver(&pair.url, "msg_1", None).await, 202);
    JobTable::at(&pair.database.url).await.wait_for_count("clerk.process_event", "done", 1).await;
    let (api, worker) = (pair.api.stop().await, pair.worker.stop().await);
    assert!(worker.contains("\"effects\":\"org_demo_tesla_oslo: opened; user_demo_kari in"), "{worker}");
    for line in api.lines().chain(worker.lines()) {
        let line: Value = serde_json::from_str(line).expect("JSON lines");
        for (name, value) in line.as_object().expect("an object") {
            let text = value.as_str().unwrap_or_default();
            let is_list = text.starts_with('[') && text.ends_with(']');
            let is_debug = is_list || text.contains(['"', '{']) || text.ends_with(')');
            assert!(!is_debug, "{name} of {line}");
        }
    }
}

#[tokio::test]
async fn a_collector_that_does_not_answer_is_not_waited_for() {
    // Connections are accepted by the system, and nobody reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let silent = format!("http://{}", silent.local_addr().expect("it is bound"));
    for endpoint in [silent.as_str(), "http://127.0.0.1:1"] {
        let pair = Pair::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "50")]).await;
        for delivery in 0..20 {
            let sent = Instant::now();
            deliver(&pair.url, &format!("msg_{delivery}"), None).await;
            assert!(sent.elapsed() < Duration::from_secs(5), "it waited for the collector");
        }
        JobTable::at(&pair.database.url).await.wait_for_count("clerk.process_event", "done", 20).await;
        let asked = Instant::now();
        let (api, _) = (pair.api.stop().await, pair.worker.stop().await);
        assert!(asked.elapsed() < Duration::from_secs(20), "{endpoint}");
        assert!(api.matches("cannot export traces").count() <= 1, "{api}");
    }
}

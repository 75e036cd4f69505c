//! The facts that the existing dashboard relies on, against the running binary with seeded data.

use dev::stand_ins::clerk::{Options, SigningKey, StandIn};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tests::{
    answer::Answer,
    cluster::empty_database,
    processes::{command, start_api},
};
use tokio::net::TcpListener;

#[tokio::test]
async fn the_dashboard_works_unchanged() {
    let database = empty_database().await;
    for step in ["migrate", "seed"] {
        assert!(command("norvalt", &database.url).arg(step).status().await.expect("it runs").success());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let clerk = StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file");
    let (_api, url) = start_api(&database.url, &clerk).await;
    let token = clerk.session_token("user_demo_kari", None).expect("she is known").mint(&clerk.key());
    let call = async |method: Method, path: &str, body: Option<&Value>| {
        let request = Client::new().request(method, format!("{url}/api/v1{path}")).bearer_auth(&token);
        let answer = Answer::of(if let Some(body) = body { request.json(body) } else { request }).await;
        // The client parses every answer with a body as JSON.
        let json = answer.headers.get("content-type").is_none_or(|kind| kind.as_bytes().ends_with(b"json"));
        assert!(json, "{path}");
        answer
    };

    let page = call(Method::GET, "/leads?status=&source=&search=&limit=5&offset=5", None).await.expect(200);
    let page = page.as_object().expect("an object");
    for field in ["total", "page", "pages", "limit"] {
        assert!(page[field].is_i64(), "{field}");
    }
    let (total, number, pages) = (page["total"].as_i64(), page["page"].as_i64(), page["pages"].as_i64());
    assert_eq!((total, number, pages, page["limit"].as_i64()), (Some(10), Some(2), Some(2), Some(5)));
    let items = page["items"].as_array().expect("an array");
    assert_eq!(items.len(), 5);

    // It edits a lead by sending back the whole of it, with what only it knows.
    let mut whole = items[0].clone();
    let path = format!("/leads/{}", whole["id"].as_str().expect("an id"));
    whole["lead_score"] = json!(77);
    whole["isEditing"] = json!(true);
    let saved = call(Method::PATCH, &path, Some(&whole)).await.expect(200);
    for (field, value) in whole.as_object().expect("an object") {
        assert!(["updated_at", "isEditing"].contains(&field.as_str()) || &saved[field] == value, "{field}");
    }

    let reply = json!({ "lead_id": whole["id"], "message_content": "Hei!", "channel": "email" });
    let sent = call(Method::POST, "/conversations", Some(&reply)).await.expect(201);
    let messages = call(Method::GET, &format!("{path}/conversations"), None).await.expect(200);
    let messages = messages.as_array().expect("a bare array");
    assert_eq!(messages[0], sent);
    let times: Vec<_> = messages.iter().map(|message| message["created_at"].as_str()).collect();
    assert!(times.len() > 1 && times.is_sorted_by(|a, b| a >= b), "newest first");

    for (path, body) in [("/leads?limit=0", None), ("/leads/1", None), ("/leads", Some(json!({})))] {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let error = call(method, path, body.as_ref()).await;
        assert!(error.status.is_client_error() && error.json["detail"].is_string(), "it shows error.detail");
    }
    assert!(call(Method::DELETE, &path, None).await.json.is_null(), "no body to parse");
}

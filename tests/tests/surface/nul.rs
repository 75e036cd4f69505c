//! The one character that PostgreSQL cannot store, wherever a stranger may write it.

use reqwest::{Method, header};
use serde_json::{Value, json};
use tests::{answer::Answer, app::TestApp};

use super::{contents, id_for, one_of_each, operations};

/// A body with a NUL in each of its texts, one at a time.
fn with_nul(body: &Value) -> Vec<Value> {
    match body {
        Value::String(_) => vec![json!("a\u{0}b"), json!("\u{0}")],
        Value::Array(items) => {
            let at = |place: usize| {
                with_nul(&items[place]).into_iter().map(move |item| {
                    let mut items = items.clone();
                    items[place] = item;
                    Value::Array(items)
                })
            };
            (0..items.len()).flat_map(at).collect()
        }
        Value::Object(members) => {
            let below = members.iter().flat_map(|(name, value)| {
                with_nul(value).into_iter().map(move |value| {
                    let mut members = members.clone();
                    members[name] = value;
                    Value::Object(members)
                })
            });
            below.collect()
        }
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn no_body_has_a_nul_however_deep() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let ids = one_of_each(&oslo).await;
    let kari = oslo.admin();
    // Deeper than the examples are.
    let deeper = [
        ("/api/v1/lead-sources/{id}", json!({ "sender_rules": [{ "sender": "x.no", "labels": { "Tlf": "phone" } }] })),
        ("/api/v1/leads/{id}", json!({ "source_metadata": { "a": [{ "b": "c" }] } })),
        ("/api/v1/dealership/answers", json!({ "templates": { "nb": "Hei" }, "closed_days": ["2026-12-24"] })),
        ("/api/v1/me", json!({ "notification_preferences": { "quiet_hours": { "from": "21:00", "to": "07:00" } } })),
        ("/api/v1/customers/{id}/split", json!({ "identities": [{ "kind": "email", "value": "ola@example.no" }] })),
    ];
    let before = contents(&app).await;
    let mut sent = 0;
    for operation in operations(&app).await.iter().filter(|operation| operation.needs_token && operation.takes_body) {
        let url = operation.at(id_for(&ids, &operation.path));
        let more = deeper.iter().filter(|(path, _)| *path == operation.path).map(|(_, body)| body);
        for body in [&operation.example].into_iter().chain(more).flat_map(with_nul) {
            let answer = Answer::of(kari.request(operation.method.clone(), &url).json(&body)).await;
            let answer = operation.check(answer, &body.to_string());
            assert_eq!(answer.status, 422, "{} to {body}", operation.name());
            sent += 1;
        }
    }
    assert!(sent > 100, "{sent}");
    assert_eq!(contents(&app).await, before);
    let named = r#"{"source_metadata":{"a":{"b\u0000":1}}}"#;
    let url = format!("/api/v1/leads/{}", id_for(&ids, "/api/v1/leads/"));
    let named = kari.request(Method::PATCH, &url).header(header::CONTENT_TYPE, "application/json").body(named);
    let problem = Answer::of(named).await.expect_problem(422, "invalid-input");
    assert_eq!(problem["errors"][0]["field"], "source_metadata");
}

#[tokio::test]
async fn no_address_has_a_nul() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let (kari, ids) = (oslo.admin(), one_of_each(&oslo).await);
    let before = contents(&app).await;
    let mut paths: Vec<(Method, String)> =
        ["/forms/%00", "/forms/%00/thanks", "/forms/assets/%00", "/embed/%00.js", "/unsubscribe/%00"]
            .into_iter()
            .map(|path| (Method::GET, path.to_owned()))
            .collect();
    paths.push((Method::POST, "/unsubscribe/%00".to_owned()));
    for operation in operations(&app).await {
        if let Some((begin, rest)) = operation.path.split_once('{') {
            let (_, end) = rest.split_once('}').expect("a parameter ends");
            paths.extend(["%00", "a%00b"].map(|nul| (operation.method.clone(), format!("{begin}{nul}{end}"))));
        }
        for name in &operation.parameters {
            let url = operation.at(id_for(&ids, &operation.path));
            let answer = Answer::of(kari.request(Method::GET, &format!("{url}?{name}=a%00b"))).await;
            assert_eq!(operation.check(answer, name).status, 422, "{}: {name}", operation.name());
        }
    }
    for path in ["/webhooks/form/%00", "/webhooks/adf/%00", "/webhooks/email/%00", "/webhooks/%00/events"] {
        assert!(paths.contains(&(Method::POST, path.to_owned())), "{path}");
    }
    for (method, path) in paths {
        let request = kari.request(method.clone(), &path);
        // Read only where it is asked for.
        let request = if method == Method::GET { request } else { request.json(&json!({ "phone": "91234567" })) };
        let status = request.send().await.expect("an answer").status().as_u16();
        assert_eq!(status, 404, "{method} {path}");
    }
    assert_eq!(contents(&app).await, before);
}

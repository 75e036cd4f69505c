//! What the API says of itself, and what surrounds every request.

use reqwest::{Method, Response};
use tests::app::{FRONTEND, TestApp};

#[tokio::test]
async fn it_says_what_it_is_and_how_it_is() {
    let app = TestApp::start().await;
    let index = app.get("/").await.expect(200);
    assert_eq!((index["version"].as_str(), index["docs"].as_str()), (Some(common::VERSION), Some("/docs")));
    assert!(index["message"].is_string());
    assert_eq!(app.get("/health").await.expect(200)["status"], "healthy");
    assert_eq!(app.get("/health/ready").await.expect(200)["status"], "ready");
}

#[tokio::test]
async fn it_is_not_ready_on_an_older_schema() {
    let app = TestApp::start().await;
    let mut conn = app.connect().await;
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .execute(&mut conn)
        .await
        .expect("a valid statement");
    app.get("/health/ready").await.expect_problem(503, "not-ready");
    app.get("/health").await.expect(200);
}

#[tokio::test]
async fn a_fit_request_id_is_kept_and_another_is_replaced() {
    let app = TestApp::start().await;
    let id = async |given: &str| -> String {
        let answer: Response =
            app.request(Method::GET, "/").header("x-request-id", given).send().await.expect("an answer");
        answer.headers()["x-request-id"].to_str().expect("printable").to_owned()
    };
    assert_eq!(id("front-end-42").await, "front-end-42");
    for unfit in ["short", "with spaces in it", "\"}injected{\"", &"x".repeat(65)] {
        assert_ne!(id(unfit).await, unfit);
    }
}

#[tokio::test]
async fn browsers_of_configured_origins_may_call() {
    let app = TestApp::start().await;
    for (origin, allowed) in [
        (FRONTEND, true),
        ("https://norvalt-git-main.vercel.app", true),
        ("https://evil.example", false),
        ("https://norvalt.vercel.app.evil.example", false),
        ("null", false),
    ] {
        let preflight = app
            .request(Method::OPTIONS, "/api/v1/leads")
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "authorization,content-type");
        let answer = preflight.send().await.expect("an answer");
        let granted =
            answer.headers().get("access-control-allow-origin").map(|value| value.to_str().expect("printable"));
        assert_eq!(granted, allowed.then_some(origin), "{origin}");
        let problem =
            app.request(Method::GET, "/api/v1/leads").header("origin", origin).send().await.expect("an answer");
        assert_eq!(
            problem.headers().contains_key("access-control-allow-origin"),
            allowed,
            "errors must be readable too"
        );
    }
}

//! What the API says of itself, and what surrounds every request.

use reqwest::{Method, Response};
use tests::app::{FRONTEND, TestApp};
use tokio::{io::AsyncWriteExt, net::TcpStream};

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
async fn it_is_ready_although_connections_that_rested_were_cut() {
    let app = TestApp::start().await;
    app.get("/health/ready").await.expect(200);
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    let cut: i64 = sqlx::query_scalar(cut).fetch_one(&mut app.connect().await).await.expect("the superuser may");
    assert!(cut > 0, "or this would prove nothing");
    assert_eq!(app.get("/health/ready").await.expect(200)["status"], "ready");
}

#[tokio::test]
async fn a_column_of_the_next_release_changes_nothing() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let lead = oslo.lead("Ola Nordmann").await;
    let lists = ["leads", "vehicles", "automation-rules", "users", "dealership"].map(|list| format!("/api/v1/{list}"));
    let of_lead = ["", "/conversations", "/history"].map(|part| format!("/api/v1/leads/{}{part}", lead.id));
    let read_all = async || {
        for url in lists.iter().chain(&of_lead) {
            oslo.admin().get(url).await.expect(200);
        }
    };
    // Often enough that each connection of the pool has prepared each statement.
    for _ in 0..10 {
        read_all().await;
    }
    let mut conn = app.connect().await;
    for table in [
        "leads",
        "conversations",
        "lead_status_changes",
        "vehicles",
        "automation_rules",
        "users",
        "dealerships",
        "jobs",
    ] {
        let add = format!("ALTER TABLE {table} ADD COLUMN of_the_next_release text");
        sqlx::query(sqlx::AssertSqlSafe(add)).execute(&mut conn).await.expect("a valid statement");
    }
    for _ in 0..10 {
        read_all().await;
    }
}

#[tokio::test]
async fn slow_clients_hold_no_connection_to_the_database() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let address = app.url.strip_prefix("http://").expect("an address");
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let head = format!(
            "POST /api/v1/leads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: 100\r\n\r\n{{",
            kari.token()
        );
        stream.write_all(head.as_bytes()).await.expect("it reads");
        slow.push(stream);
    }
    for _ in 0..3 {
        kari.get("/api/v1/me").await.expect(200);
    }
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    assert_eq!(app.count(busy).await, 0);
    drop(slow);
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
async fn browsers_may_send_what_tracing_and_retrying_libraries_add_and_read_what_they_need() {
    let app = TestApp::start().await;
    let headers = "authorization,content-type,traceparent,tracestate,baggage,sentry-trace,if-match,if-none-match,\
                   idempotency-key,last-event-id,x-request-id,x-datadog-trace-id";
    for path in ["/api/v1/leads", "/api/v1/leads/1", "/api/v1/nothing"] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let preflight = app
                .request(Method::OPTIONS, path)
                .header("origin", FRONTEND)
                .header("access-control-request-method", method)
                .header("access-control-request-headers", headers);
            let answer = preflight.send().await.expect("an answer");
            let granted = |name: &str| answer.headers()[name].to_str().expect("printable").to_lowercase();
            assert!(answer.status().is_success(), "{path}");
            assert_eq!(granted("access-control-allow-origin"), FRONTEND);
            assert!(granted("access-control-allow-methods").contains(&method.to_lowercase()));
            let allowed = granted("access-control-allow-headers");
            for header in headers.split(',') {
                assert!(allowed.split(',').any(|name| name.trim() == header), "{header}");
            }
        }
        let answer = app.request(Method::GET, path).header("origin", FRONTEND).send().await.expect("an answer");
        let exposed = answer.headers()["access-control-expose-headers"].to_str().expect("printable").to_lowercase();
        for header in ["location", "retry-after", "x-request-id", "etag", "idempotent-replayed"] {
            assert!(exposed.contains(header), "{header}");
        }
    }
    for origin in [None, Some(FRONTEND), Some("https://evil.example")] {
        let request = app.request(Method::GET, "/api/v1/me");
        let request = if let Some(origin) = origin { request.header("origin", origin) } else { request };
        let answer = request.send().await.expect("an answer");
        let vary: Vec<_> = answer.headers().get_all("vary").iter().map(|value| value.to_str().expect("text")).collect();
        assert!(vary.join(",").to_lowercase().contains("origin"), "a cache must not mix up origins: {vary:?}");
    }
}

#[tokio::test]
async fn no_cache_keeps_what_a_dealership_has_and_no_browser_guesses() {
    let app = TestApp::start_with(|config| config.trusted_proxies = 1).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let lead = format!("/api/v1/leads/{}", oslo.lead("Ola Nordmann").await.id);
    for path in ["/api/v1/leads", &lead, "/api/v1/me", "/api/v1/leads/1", "/api/v1/nothing", "/health", "/"] {
        for scheme in ["http", "https"] {
            let request = oslo.admin().request(Method::GET, path).header("x-forwarded-proto", scheme);
            let headers = request.send().await.expect("an answer").headers().clone();
            assert_eq!(headers["cache-control"], "no-store", "{path}");
            assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
            assert_eq!(headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'", "{path}");
            assert_eq!(headers.contains_key("strict-transport-security"), scheme == "https", "{path} by {scheme}");
        }
    }
    let refused = app.get("/api/v1/leads").await;
    assert_eq!((refused.status.as_u16(), &refused.headers["cache-control"]), (401, &"no-store".parse().expect("text")));
    let docs = app.request(Method::GET, "/docs/").send().await.expect("an answer");
    let policy = docs.headers()["content-security-policy"].to_str().expect("text");
    assert!(policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let settings = app.request(Method::GET, "/docs/swagger-initializer.js").send().await.expect("an answer");
    assert!(settings.text().await.expect("text").contains("\"persistAuthorization\": false"), "tokens are not kept");
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
    for method in [Method::OPTIONS, Method::POST, Method::GET] {
        let webhook = app.request(method, "/webhooks/clerk").header("origin", FRONTEND);
        let webhook = webhook.header("access-control-request-method", "POST").send().await.expect("an answer");
        assert!(!webhook.status().is_success() && !webhook.headers().contains_key("access-control-allow-origin"));
    }
    let on_member =
        app.request(Method::PUT, "/api/v1/leads").header("origin", FRONTEND).send().await.expect("an answer");
    assert_eq!(on_member.status(), 405);
    assert!(on_member.headers().contains_key("access-control-allow-origin"));
}

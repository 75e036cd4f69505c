//! Clerk's answers as they can be: slow, refused for a while, odd, without an end.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::Instant,
};

use super::*;

/// Answers one request after another, each on a connection of its own, and then tells what it was asked.
async fn answering(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("somebody asks");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.expect("the head of a request"));
            }
            asked.push(String::from_utf8(request).expect("text"));
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("somebody listens");
        }
        asked
    });
    (url, asked)
}

#[tokio::test]
async fn clerk_is_asked_in_its_version_and_as_seldom_as_it_wants() {
    let database = database().await;
    let db = Db::new(&database.url.parse().expect("a valid URL"), 1, "tests");
    let answers = &["429 Too Many Requests\r\nRetry-After: 2", "503 Unavailable\r\nRetry-After: 1", "404 Not Found"];
    let (url, asked) = answering(answers).await;
    let begun = Instant::now();
    let api = BackendApi::verified(&db, &backend(&url, None)).await.expect("nothing is known that could differ");
    assert!(api.instance().is_none() && begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    let asked = asked.await.expect("no panic");
    assert_eq!(asked.len(), 3);
    for request in asked {
        assert!(request.starts_with("GET /v1/instance "), "{request}");
        assert!(request.contains("clerk-api-version: 2025-04-10\r\n"), "{request}");
    }
}

#[tokio::test]
async fn what_passes_is_waited_for() {
    let apart = Apart::pilot().await;
    for status in [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::INTERNAL_SERVER_ERROR] {
        apart.clerk.faults().refuse_with(3, status, 0);
        assert_eq!(apart.sync().await.news, 0, "{status}");
    }
    apart.clerk.faults().set_delay(Duration::from_millis(100));
    assert_eq!(apart.sync().await.news, 0);
}

#[tokio::test]
async fn what_does_not_pass_writes_nothing() {
    let apart = Apart::pilot().await;
    let before = apart.everything().await;
    apart.clerk.set_outage(true);
    apart.reconcile(Reconciliation::default()).await.expect_err("Clerk is away");
    apart.clerk.set_outage(false);
    apart.clerk.faults().refuse_with(u32::MAX, StatusCode::UNPROCESSABLE_ENTITY, 0);
    apart.reconcile(Reconciliation::default()).await.expect_err("Clerk refuses");
    assert_eq!(apart.everything().await, before);
}

#[tokio::test]
async fn odd_objects_are_skipped_counted_and_reported() {
    let apart = Apart::start(instance_of(&[12])).await;
    apart.sync().await;
    let (clerk, access) = (apart.clerk.instance(), apart.access().await);
    let (organization, person) = (clerk.organizations[0].id.clone(), clerk.users[0].id.clone());
    let new = NewMember { email: "new@example.no".to_owned(), ..NewMember::default() };
    apart.unheard(|clerk| clerk.add_member(&organization, &new, now()));
    let without_person = json!({ "id": "orgmem_1", "organization": { "id": "org_1" }, "role": "org:admin" });
    let odd = [
        ("user", json!({ "id": null, "first_name": "Kari" })),
        ("user", json!("Kari")),
        ("organization_membership", without_person),
    ];
    apart.clerk.faults().list_also(odd.to_vec());
    apart.clerk.faults().hide(vec![person.clone()]);
    let foreseen = apart.dry_run().await;
    let drift = apart.sync().await;
    assert_eq!(drift, foreseen);
    let skipped: Vec<_> = drift.skipped.iter().map(|object| (object.listing, object.reason.as_str())).collect();
    let expected = [
        ("people", "id: found null, expected a string"),
        ("people", "found string, expected struct UserData"),
        ("memberships", "missing field `public_user_data` at line 1 column 65"),
    ];
    assert_eq!(skipped.len(), expected.len(), "{skipped:?}");
    for ((listing, reason), (expected_listing, expected_reason)) in skipped.into_iter().zip(expected) {
        assert_eq!(listing, expected_listing);
        assert_eq!(reason.split(" at line").next(), expected_reason.split(" at line").next());
    }
    assert_eq!((drift.missing, apart.access().await.len()), (0, access.len() + 1), "the others are as they should be");

    apart.clerk.faults().list_also(Vec::new());
    assert_eq!(apart.sync().await.missing, 1, "who was not listed beside them is found to be gone now");
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    // Whatever page is asked for, it is the first one.
    let people: Vec<_> = (0..500).map(|n| json!({ "id": format!("user_{n}"), "updated_at": 1 })).collect();
    let router = axum::Router::new().route("/v1/users", axum::routing::get(async move || axum::Json(people.clone())));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let apart = Apart::start_with(Instance::default(), None).await;
    let error = reconcile(&apart.db, &backend(&url, None), Reconciliation::default()).await.expect_err("it has no end");
    assert!(error.to_string().contains("does not end"), "{error}");
    assert!(apart.everything().await.is_empty());
    server.abort();
}

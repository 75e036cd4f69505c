//! What the log tells whoever looks for the reason of a refusal, and how it looks where it is read.

use common::clock::Clock;
use futures::future::join_all;
use reqwest::{Client, header};
use tests::{cluster::empty_database, logged_process::LoggedProcess, processes::worker_command};

use super::Pair;

#[tokio::test]
async fn a_refusal_has_its_reason_in_the_log() {
    let pair = Pair::start(&[("CORS_ORIGINS", "https://app.norvalt.no")]).await;
    let leads = || Client::new().get(format!("{}/api/v1/leads", pair.url));
    for (name, value) in [
        ("x-nothing", "at all"),
        ("authorization", "Basic a2FyaTprYXJp"),
        ("authorization", "Bearer"),
        ("authorization", "Bearer nonsense"),
    ] {
        assert_eq!(leads().header(name, value).send().await.expect("an answer").status(), 401, "{value}");
    }
    let stranger = leads().header(header::ORIGIN, "https://app.example").send().await.expect("an answer");
    assert!(!stranger.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));

    let (_, said) = (pair.worker.stop().await, pair.api.stop().await);
    let missing = said.matches("there is not exactly one header “Authorization: Bearer”").count();
    assert!(missing >= 3, "{missing}: {said}");
    assert!(said.matches("\"message\":\"token refused\"").count() >= 5, "{said}");
    let refused = said.lines().find(|line| line.contains("is it missing in CORS_ORIGINS?")).expect("a line");
    assert!(refused.contains("https://app.example") && !refused.contains("app.norvalt.no"), "{refused}");
}

#[tokio::test]
async fn whoever_is_refused_all_the_time_does_not_fill_the_log() {
    const EACH: usize = 150;
    let now = Clock::system().now().timestamp().to_string();
    let signature = format!("v1,{}=", "A".repeat(43));
    let clerks = [("svix-id", "msg_1"), ("svix-timestamp", now.as_str()), ("svix-signature", signature.as_str())];
    let metas = [("x-hub-signature-256", &*format!("sha256={}", "a".repeat(64)))];
    for (path, headers, line) in [
        ("/webhooks/sendgrid/events", &[][..], "no key of this sender is configured"),
        ("/webhooks/facebook", &metas, "webhook refused"),
        ("/webhooks/clerk", &clerks, "webhook refused"),
    ] {
        let pair = Pair::start(&[("FACEBOOK_APP_SECRETS", "a-secret-of-the-app")]).await;
        let client = Client::new();
        let posts = (0..EACH).map(|_| {
            let post = client.post(format!("{}{path}", pair.url)).body("{}");
            headers.iter().fold(post, |post, (name, value)| post.header(*name, *value)).send()
        });
        join_all(posts).await;
        let (_, said) = (pair.worker.stop().await, pair.api.stop().await);
        // Ten in ten seconds: a slow machine may have taken longer.
        let lines = said.matches(line).count();
        assert!((1..=40).contains(&lines), "{path}: {lines}");
        let not_limited = said.matches("\"message\":\"answered\"").count();
        assert!((50..EACH).contains(&not_limited), "{path}: {not_limited}");
    }
}

#[tokio::test]
async fn what_a_file_or_a_pipe_gets_is_without_colours() {
    let database = empty_database().await;
    for format in ["text", "brief", "json"] {
        let mut command = worker_command(&database.url);
        command.env("LOG_FORMAT", format);
        let (code, said) = LoggedProcess::start(command).ended().await;
        assert!(code == Some(1) && said.contains("norvalt migrate"), "{code:?} {said}");
        assert!(!said.contains('\u{1b}'), "{format}: {said}");
        assert_eq!(said.trim_start().starts_with('{'), format == "json", "{said}");
    }
}

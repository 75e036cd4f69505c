//! What the log tells whoever looks for the reason of a refusal, and how it looks where it is read.

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

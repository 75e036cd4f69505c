//! The same as an operator meets it: exit codes, and what the doctor says.

use std::time::Duration;

use dev::stand_ins::clerk::SigningKey;
use tests::{app::WEBHOOK_SECRET, logged_process::LoggedProcess, metrics::Metrics, processes::worker_command};
use tokio::time::{sleep, timeout};

use super::*;
use crate::cli::norvalt;

#[tokio::test]
async fn a_refused_run_fails_and_the_doctor_says_so() {
    let apart = Apart::pilot().await;
    let (url, jwks) = (apart.clerk.url(), apart.clerk.jwks_url());
    let environment = [
        ("DATABASE_URL", apart.database.url.as_str()),
        ("CLERK_API_URL", &url),
        ("CLERK_JWKS_URL", &jwks),
        ("CLERK_SECRET_KEY", "sk_test_stand_in"),
        ("CLERK_WEBHOOK_SECRET", WEBHOOK_SECRET),
    ];
    let healthy = norvalt(&["doctor"], &environment).await.done();
    assert!(healthy.contains("ins_development, according to the operator"), "{healthy}");

    apart.clerk.faults().hide(ids(&apart.clerk.instance()));
    let before = apart.everything().await;
    for command in [&["sync", "--dry-run"][..], &["sync"], &["sync", "--json"]] {
        let ran = norvalt(command, &environment).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{command:?}");
        assert!(ran.err.contains("refused, and nothing was written"), "{command:?}: {}", ran.err);
    }
    assert_eq!(apart.everything().await, before);
    let sick = norvalt(&["doctor"], &environment).await;
    assert!(sick.code == Some(1) && sick.out.contains("WRONG  Clerk's reconciliation"), "{}", sick.out);
    assert!(sick.out.contains("--allow-mass-deletion"), "{}", sick.out);

    norvalt(&["sync", "--allow-mass-deletion"], &environment).await.done();
    assert!(apart.access().await.is_empty());
    norvalt(&["doctor"], &environment).await.done();
}

#[tokio::test]
async fn a_worker_that_was_refused_tells_whoever_watches_what_to_do() {
    let apart = Apart::pilot().await;
    apart.clerk.faults().hide(ids(&apart.clerk.instance()));
    let (clerk, database) = (apart.clerk.url(), apart.database.url.as_str());
    let mut command = worker_command(database);
    command.env("CLERK_API_URL", &clerk).env("CLERK_SECRET_KEY", "sk_test_stand_in");
    let mut worker = LoggedProcess::start(command);
    let admin = worker.url("admin_address").await;
    let refused = async |value: u32| {
        let series = "norvalt_clerk_reconciliation_refused";
        let seen = async {
            // 0 is also that of a worker that has not looked.
            while !Metrics::of(&admin).await.0.lines().any(|line| line == format!("{series} {value}")) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(30), seen).await.unwrap_or_else(|_| panic!("it is not {value}"));
    };
    refused(1).await;
    let environment = [("DATABASE_URL", database), ("CLERK_API_URL", &clerk), ("CLERK_SECRET_KEY", "sk_test_stand_in")];
    norvalt(&["sync", "--allow-mass-deletion"], &environment).await.done();
    refused(0).await;
    let said = worker.stop().await;
    let lines = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let errors: Vec<_> = lines.filter(|line| line["level"] == "ERROR").map(|line| line.to_string()).collect();
    let told = errors.iter().any(|line| {
        line.contains("the reconciliation with Clerk was refused")
            && line.contains("norvalt sync --allow-mass-deletion")
    });
    assert!(told, "{errors:#?}");
}

#[tokio::test]
async fn no_command_uses_another_instances_key_and_the_doctor_recommends_it_to_nobody() {
    let apart = Apart::pilot().await;
    let other = stand_in(instance_of(&[5; 9]), "ins_other").await;
    let person = other.instance().users[0].id.clone();
    let (url, jwks) = (other.url(), apart.clerk.jwks_url());
    let environment = [
        ("DATABASE_URL", apart.database.url.as_str()),
        ("CLERK_API_URL", &url),
        ("CLERK_JWKS_URL", &jwks),
        ("CLERK_SECRET_KEY", "sk_test_stand_in"),
        ("CLERK_WEBHOOK_SECRET", WEBHOOK_SECRET),
    ];
    let with_its_id: Vec<_> = environment.into_iter().chain([("CLERK_INSTANCE_ID", "ins_other")]).collect();
    let before = apart.everything().await;
    for environment in [&environment[..], &with_its_id] {
        for command in [&["sync"][..], &["sync", "--allow-mass-deletion"], &["sync-user", &person]] {
            let ran = norvalt(command, environment).await;
            assert!(ran.code == Some(1) && ran.err.contains("Nothing was written"), "{command:?}: {}", ran.err);
        }
        let doctor = norvalt(&["doctor"], environment).await;
        assert!(doctor.code == Some(1) && doctor.out.contains("WRONG  Clerk's Backend API"), "{}", doctor.out);
        assert!(!doctor.out.contains("CLERK_INSTANCE_ID=ins_other"), "{}", doctor.out);
    }
    assert_eq!(apart.everything().await, before);
}

#[tokio::test]
async fn the_doctor_says_when_the_keys_are_of_two_instances() {
    let apart = Apart::pilot().await;
    let (other, live) =
        (stand_in_as("sk_test_stand_in", "ins_other").await, stand_in_as("sk_live_stand_in", "ins_live").await);
    let (ours, theirs) = (apart.clerk.jwks_url(), other.jwks_url());
    let (url, live_url) = (apart.clerk.url(), live.url());
    let with = |jwks: &str, publishable: &str, secret: &str, url: &str, database: &str| {
        [
            ("DATABASE_URL", database.to_owned()),
            ("CLERK_API_URL", url.to_owned()),
            ("CLERK_JWKS_URL", jwks.to_owned()),
            ("CLERK_PUBLISHABLE_KEY", publishable.to_owned()),
            ("CLERK_SECRET_KEY", secret.to_owned()),
            ("CLERK_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
        ]
    };
    let empty = database().await;
    norvalt(&["instance", "--set", "ins_live"], &[("DATABASE_URL", &empty.url)]).await.done();
    let (test, production) = ("pk_test_Y2xlcmsubG9jYWxob3N0JA==", "pk_live_Y2xlcmsubm9ydmFsdC5ubyQ=");
    let (ours_db, stranger) = (apart.database.url.as_str(), "sk_live_of_nobody");
    for (environment, hint) in [
        (with(&ours, test, "sk_test_stand_in", &url, ours_db), "ok     Clerk's public keys"),
        (with(&theirs, test, "sk_test_stand_in", &url, ours_db), "has the keys of another Clerk instance than"),
        (
            with(&ours, production, "sk_test_stand_in", &url, ours_db),
            "CLERK_PUBLISHABLE_KEY is of a production instance (pk_live_…), but this database belongs to ins_development, a development instance",
        ),
        (
            with(&ours, test, "sk_live_stand_in", &live_url, &empty.url),
            "CLERK_PUBLISHABLE_KEY is of a development instance (pk_test_…), but this database belongs to ins_live, a production instance",
        ),
        (with(&ours, test, stranger, &url, ours_db), "but CLERK_SECRET_KEY is of a production instance"),
    ] {
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
        let doctor = norvalt(&["doctor"], &environment).await;
        assert_eq!(doctor.code == Some(0), hint.starts_with("ok"), "{}", doctor.out);
        assert!(doctor.out.contains(hint), "{hint}: {}", doctor.out);
    }
}

/// An instance with keys of its own; its secret key says whether it is for production.
async fn stand_in_as(secret_key: &str, instance_id: &str) -> StandIn {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let (secret_key, instance_id) = (secret_key.to_owned(), instance_id.to_owned());
    let options = Options { secret_key, instance_id, ..Options::in_memory(SigningKey::generate()) };
    StandIn::start(listener, options).await.expect("it keeps no file")
}

#[tokio::test]
async fn an_operator_sees_and_says_which_instance_it_is() {
    let apart = Apart::start_with(Instance::default(), None).await;
    let url = [("DATABASE_URL", apart.database.url.as_str())];
    assert!(norvalt(&["instance"], &url).await.done().contains("not known yet"));
    let said = norvalt(&["instance", "--set", "ins_ours"], &url).await.done();
    assert!(said.starts_with("ins_ours (according to the operator, since 20"), "{said}");
    assert!(norvalt(&["instance"], &url).await.done().starts_with("ins_ours"));
    assert_eq!(norvalt(&["instance", "--set", "ours"], &url).await.code, Some(2));
}

#[tokio::test]
async fn skipped_objects_are_reported() {
    let apart = Apart::pilot().await;
    let url = apart.clerk.url();
    let environment = [
        ("DATABASE_URL", apart.database.url.as_str()),
        ("CLERK_API_URL", &url),
        ("CLERK_SECRET_KEY", "sk_test_stand_in"),
    ];
    apart.clerk.faults().list_also(vec![("organization", serde_json::json!({ "name": "Bilhus" }))]);
    let said = norvalt(&["sync"], &environment).await.done();
    assert!(said.contains("skipped one of the organizations, which cannot be read: missing field `id`"), "{said}");
    assert!(said.contains("1 objects were skipped") && said.ends_with("No drift.\n"), "{said}");
}

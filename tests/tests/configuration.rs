//! Settings: documented, checked all at once, and secret where they are secret.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use common::config::{ApiConfig, CliConfig, Settings, TelemetryConfig, WorkerConfig};
use tests::binaries::binary;

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.env.example");
    fs::read_to_string(path).expect("the file is part of the repository")
}

#[test]
fn the_example_names_every_variable_and_no_other() {
    let mut settings = Settings::default();
    TelemetryConfig::read(&mut settings);
    // Nothing is set: each says so, and has asked for everything.
    ApiConfig::read(&mut settings).expect_err("nothing is set");
    WorkerConfig::read(&mut settings).expect_err("nothing is set");
    CliConfig::read(&mut settings).expect_err("nothing is set");
    let asked: BTreeSet<_> = settings.asked().map(str::to_owned).collect();

    let example = example();
    let names = example.lines().filter_map(|line| {
        let name = line.trim_start_matches("# ").split_once('=')?.0;
        name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_').then(|| name.to_owned())
    });
    assert_eq!(asked, names.collect());
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_no_value_is_shown() {
    let secret = "postgres://norvalt:hunter2@localhost:5432/postgres?options=-csearch_path%3Dapp";
    let mut settings = Settings::from_values([
        ("DATABASE_URL", secret),
        ("CLERK_PUBLISHABLE_KEY", "pk_test_hunter2"),
        ("CLERK_JWKS_URL", "ftp://hunter2"),
        ("CLERK_WEBHOOK_SECRET", "hunter2"),
        ("CORS_ORIGINS", "hunter2"),
        ("PORT", "hunter2"),
        ("DATABASE_CONNECTIONS", "hunter2"),
        ("SHUTDOWN_SECONDS", "0"),
        ("SECRETS_KEYS", "hunter2,a:hunter2"),
    ]);
    let error = ApiConfig::read(&mut settings).expect_err("all of it is wrong");
    assert_eq!(error.problems().len(), 9, "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(error.to_string().contains("leave search_path out"), "{error}");
}

#[test]
fn no_configuration_shows_its_secrets() {
    let mut settings = Settings::from_values([
        ("DATABASE_URL", "postgres://norvalt:hunter2@localhost/norvalt"),
        ("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsubG9jYWxob3N0JA=="),
        ("CLERK_WEBHOOK_SECRET", "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=="),
        ("CLERK_SECRET_KEY", "sk_test_hunter2hunter2"),
        ("SECRETS_KEYS", "2026-11:aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ="),
    ]);
    let shown = format!(
        "{:?} {:?} {:?}",
        ApiConfig::read(&mut settings).expect("valid"),
        WorkerConfig::read(&mut settings).expect("valid"),
        CliConfig::read(&mut settings).expect("valid"),
    );
    for secret in ["hunter2", "aHVudGVy"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn issuer_and_keys_follow_from_the_publishable_key() {
    let clerk = |extra: &[(&'static str, &'static str)]| {
        let base = [
            ("DATABASE_URL", "postgres://localhost/norvalt"),
            ("CLERK_WEBHOOK_SECRET", "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=="),
        ];
        ApiConfig::read(&mut Settings::from_values(base.into_iter().chain(extra.iter().copied()))).map(|c| c.clerk)
    };
    let key = ("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsubG9jYWxob3N0JA==");
    let url = ("CLERK_JWKS_URL", "http://127.0.0.1:8001/.well-known/jwks.json");
    let derived = clerk(&[key]).expect("valid");
    assert_eq!(derived.issuer, "https://clerk.localhost");
    assert_eq!(derived.jwks_url, "https://clerk.localhost/.well-known/jwks.json");
    let overridden = clerk(&[key, url]).expect("valid");
    assert_eq!((overridden.issuer.as_str(), overridden.jwks_url.as_str()), ("https://clerk.localhost", url.1));
    assert_eq!(clerk(&[url]).expect("valid").issuer, "http://127.0.0.1:8001");
    clerk(&[]).expect_err("neither is set");
    let url = ("CLERK_JWKS_URL", "https://api.clerk.com/v1/jwks");
    clerk(&[url]).expect_err("it does not tell the issuer");
    assert_eq!(clerk(&[key, url]).expect("the key does").issuer, "https://clerk.localhost");
    // As Clerk writes them: without padding.
    let unpadded = ("CLERK_PUBLISHABLE_KEY", "pk_test_ZW5qb3llZC1jYXRmaXNoLTMwLmNsZXJrLmFjY291bnRzLmRldiQ");
    assert_eq!(clerk(&[unpadded]).expect("valid").issuer, "https://enjoyed-catfish-30.clerk.accounts.dev");
    let live = ("CLERK_PUBLISHABLE_KEY", "pk_live_Y2xlcmsubm9ydmFsdC5ubyQ=");
    assert_eq!(clerk(&[live]).expect("valid").issuer, "https://clerk.norvalt.no");
    for wrong in ["pk_live_Y2xlcmsubm9ydmFsdC5ubw==", "pk_beta_Y2xlcmsubm9ydmFsdC5ubyQ=", "pk_live_"] {
        clerk(&[("CLERK_PUBLISHABLE_KEY", wrong)]).expect_err("not a host and a dollar sign");
    }
}

#[test]
fn the_issuer_may_be_told() {
    let read = |extra: &[(&'static str, &'static str)]| {
        let base = [
            ("DATABASE_URL", "postgres://localhost/norvalt"),
            ("CLERK_WEBHOOK_SECRET", "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=="),
        ];
        let config = ApiConfig::read(&mut Settings::from_values(base.into_iter().chain(extra.iter().copied())));
        config.map(|config| (config.clerk.issuer, config.clerk.jwks_url)).expect("valid")
    };
    let key = ("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsubG9jYWxob3N0JA==");
    let issuer = ("CLERK_ISSUER", "https://app.norvalt.no/__clerk/");
    let jwks = ("CLERK_JWKS_URL", "https://api.clerk.com/v1/jwks");
    let told = "https://app.norvalt.no/__clerk".to_owned();
    assert_eq!(read(&[key, issuer]), (told.clone(), "https://clerk.localhost/.well-known/jwks.json".to_owned()));
    assert_eq!(read(&[issuer]), (told.clone(), format!("{told}/.well-known/jwks.json")));
    assert_eq!(read(&[issuer, jwks]), (told, jwks.1.to_owned()));
}

#[test]
fn an_origin_that_no_browser_would_send_is_refused_with_the_remedy() {
    let read = |name: &'static str, value: &'static str| {
        let base = [
            ("DATABASE_URL", "postgres://localhost/norvalt"),
            ("CLERK_WEBHOOK_SECRET", "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=="),
            ("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsubG9jYWxob3N0JA=="),
        ];
        ApiConfig::read(&mut Settings::from_values(base.into_iter().chain([(name, value)])))
    };
    for name in ["CLERK_AUTHORIZED_PARTIES", "CORS_ORIGINS"] {
        for value in
            ["https://app.norvalt.no", "http://localhost:3000, https://app.norvalt.no", "chrome-extension://abc"]
        {
            read(name, value).expect("these are origins");
        }
        for value in [
            "app.norvalt.no",
            "https://app.norvalt.no/",
            "https://app.norvalt.no/dashboard",
            "https://App.norvalt.no",
            "https://app.norvalt.no:443",
            "https://åse.no",
            "https://",
            "https://app.norvalt.no,app.norvalt.no",
            "https://user@app.norvalt.no",
            "*",
            "https://*",
        ] {
            let error = read(name, value).expect_err(value).to_string();
            assert!(error.contains(name) && error.contains("https://app.norvalt.no"), "{error}");
        }
    }
    read("CORS_ORIGINS", "https://*.vercel.app").expect("a pattern");
    read("CLERK_AUTHORIZED_PARTIES", "https://*.vercel.app").expect_err("tokens name one origin each");
}

#[test]
fn every_binary_helps_and_refuses_to_start_without_its_settings() {
    for (name, arguments) in [("api", &[][..]), ("worker", &[]), ("norvalt", &["seed"])] {
        let run = |arguments: &[&str]| {
            let mut command = Command::new(binary(name));
            // A directory without a .env above it.
            command.args(arguments).env_clear().current_dir("/").output().expect("it runs")
        };
        let help = run(&["--help"]);
        assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("Usage"), "{name}");
        assert!(run(&["--version"]).status.success(), "{name}");
        assert_eq!(run(&["--nonsense"]).status.code(), Some(2), "{name}");
        let refused = run(arguments);
        assert_eq!(refused.status.code(), Some(78), "{name}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("DATABASE_URL: is not set"), "{name}");
    }
}

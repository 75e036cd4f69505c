//! The client of Turnstile against the stand-in for it.

use std::time::Duration;

use chrono::TimeDelta;
use common::{clock::Clock, secrets::Secret};
use dev::stand_ins::turnstile::{ALREADY_SPENT, ALWAYS_FAILS, ALWAYS_PASSES, StandIn};
use integrations::turnstile::{Turnstile, Unavailable, Verdict};
use tokio::net::TcpListener;

const SECRET: &str = "0x4AAAAAAA-stand-in";

struct Both {
    stand_in: StandIn,
    client: Turnstile,
}

impl Both {
    async fn start(clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let stand_in = StandIn::start(listener, SECRET, clock).await;
        let client = Turnstile::new(&stand_in.url()).expect("a URL");
        Self { stand_in, client }
    }

    async fn verify(&self, secret: &str, token: &str, key: &str) -> Result<Verdict, Unavailable> {
        let address = "203.0.113.7".parse().expect("an address");
        self.client.verify(&Secret::new(secret), token, Some(address), key).await
    }
}

#[tokio::test]
async fn a_token_counts_once_and_again_only_for_the_same_question() {
    let both = Both::start(Clock::system()).await;
    let token = both.stand_in.token("bergenbil.example", "inquiry");
    let first = both.verify(SECRET, &token, "key-1").await.expect("a verdict");
    let expected = Verdict {
        passed: true,
        hostname: Some("bergenbil.example".to_owned()),
        action: Some("inquiry".to_owned()),
        error_codes: vec![],
    };
    assert_eq!(first, expected);
    assert_eq!(both.verify(SECRET, &token, "key-1").await.expect("a verdict"), expected);
    let again = both.verify(SECRET, &token, "key-2").await.expect("a verdict");
    assert_eq!((again.passed, again.error_codes), (false, vec!["timeout-or-duplicate".to_owned()]));
    let unknown = both.verify(SECRET, "0.unknown", "key-3").await.expect("a verdict");
    assert_eq!((unknown.passed, unknown.error_codes), (false, vec!["invalid-input-response".to_owned()]));
}

#[tokio::test]
async fn a_token_is_too_old_after_five_minutes() {
    let start = Clock::system().now();
    let seconds = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(0));
    let told = std::sync::Arc::clone(&seconds);
    let later = move || start + TimeDelta::seconds(told.load(std::sync::atomic::Ordering::Relaxed));
    let both = Both::start(Clock::from_fn(later)).await;
    let (early, late) = (both.stand_in.token("a.example", ""), both.stand_in.token("a.example", ""));
    seconds.store(299, std::sync::atomic::Ordering::Relaxed);
    let verdict = both.verify(SECRET, &early, "1").await.expect("a verdict");
    assert_eq!((verdict.passed, verdict.action), (true, None));
    seconds.store(301, std::sync::atomic::Ordering::Relaxed);
    assert!(!both.verify(SECRET, &late, "2").await.expect("a verdict").passed);
}

#[tokio::test]
async fn the_documented_secrets_do_what_is_documented() {
    let both = Both::start(Clock::system()).await;
    for (secret, passed) in [(ALWAYS_PASSES, true), (ALWAYS_FAILS, false), (ALREADY_SPENT, false)] {
        let verdict = both.verify(secret, "XXXX.DUMMY.TOKEN.XXXX", "1").await.expect("a verdict");
        assert_eq!((verdict.passed, verdict.error_codes.is_empty()), (passed, passed), "{secret}");
    }
    for token in ["", &"x".repeat(2049)] {
        assert!(!both.verify(ALWAYS_PASSES, token, "1").await.expect("a verdict").passed);
    }
    let wrong = both.verify("0x-of-another-site", "XXXX.DUMMY.TOKEN.XXXX", "1").await;
    assert!(matches!(wrong, Err(Unavailable::WrongSecret)), "{wrong:?}");
}

#[tokio::test]
async fn without_an_answer_there_is_no_verdict() {
    let both = Both::start(Clock::system()).await;
    let token = both.stand_in.token("a.example", "");
    both.stand_in.set_outage(true);
    assert!(matches!(both.verify(SECRET, &token, "1").await, Err(Unavailable::Failed)));
    both.stand_in.set_outage(false);
    assert!(both.verify(SECRET, &token, "1").await.expect("a verdict").passed, "the failure used nothing up");

    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", silent.local_addr().expect("it is bound"));
    let client = Turnstile::within(&url, Duration::from_millis(50)).expect("a URL");
    let verdict = client.verify(&Secret::new(SECRET), &token, None, "1").await;
    assert!(matches!(verdict, Err(Unavailable::Unreachable(_))), "{verdict:?}");
}

#[tokio::test]
async fn the_stand_in_takes_forms_as_well() {
    let both = Both::start(Clock::system()).await;
    let url = format!("{}/turnstile/v0/siteverify", both.stand_in.url());
    for (content_type, body, expected) in [
        ("application/x-www-form-urlencoded", format!("secret={ALWAYS_PASSES}&response=x"), (200, "true")),
        ("application/x-www-form-urlencoded", "response=x".to_owned(), (200, "missing-input-secret")),
        ("application/json", "{".to_owned(), (400, "bad-request")),
    ] {
        let request = reqwest::Client::new().post(&url).header("content-type", content_type).body(body);
        let answer = request.send().await.expect("it listens");
        let found = (answer.status().as_u16(), answer.text().await.expect("text"));
        assert!(found.0 == expected.0 && found.1.contains(expected.1), "{found:?}");
    }
}

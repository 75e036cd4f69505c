//! Who is let in, and on whose word.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use common::{
    clerk::{Change, UserProfile},
    clock::Clock,
};
use dev::stand_ins::clerk::{Algorithm, SessionToken, SigningKey, StandIn, sign};
use serde_json::{Value, json};
use tests::app::{FRONTEND, TestApp};

#[tokio::test]
async fn a_member_is_let_in_with_either_version_of_the_token() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let ignored = kari.session().header("cat", "cl_I7d4PD111III");
    let uncategorised = kari.session().header("cat", Value::Null).header("typ", Value::Null);
    for session in [kari.session(), kari.session().v1(), ignored, uncategorised] {
        let me = app.get_with(&session.mint(&app.clerk.key()), "/api/v1/me").await.expect(200);
        assert_eq!((&me["name"], &me["role"]), (&json!("admin of Tesla Oslo"), &json!("admin")));
        assert_eq!(me["dealership_name"], "Tesla Oslo");
        assert_eq!(me["impersonator"], Value::Null);
    }
}

#[tokio::test]
async fn without_authorized_parties_a_token_may_be_for_any_frontend() {
    let app = TestApp::start_with(|config| config.authorized_parties.clear()).await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    for frontend in [json!("https://elsewhere.example"), Value::Null] {
        let token = kari.session().claim("azp", frontend).mint(&app.clerk.key());
        app.get_with(&token, "/api/v1/me").await.expect(200);
    }
}

#[tokio::test]
async fn an_impersonator_is_named() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let token = kari.session().claim("act", json!({ "sub": "user_support" })).mint(&app.clerk.key());
    assert_eq!(app.get_with(&token, "/api/v1/me").await.expect(200)["impersonator"], "user_support");
}

#[tokio::test]
async fn no_other_token_is_let_in() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let key = app.clerk.key();
    let session = || kari.session();
    let now = Clock::system().now();
    let stranger = SigningKey::generate();

    let forged: [(&str, SessionToken); 41] = [
        ("expired", session().issued_at(now - TimeDelta::seconds(66))),
        ("not yet valid", session().claim("nbf", now.timestamp() + 30)),
        ("issued in the future", session().claim("iat", now.timestamp() + 30)),
        ("of another issuer", session().issuer("https://clerk.evil.example")),
        ("of an issuer that begins like ours", session().issuer("https://clerk.localhost.evil.example")),
        ("without an issuer", session().claim("iss", Value::Null)),
        ("for another frontend", session().authorized_party("https://evil.example")),
        ("for no frontend", session().claim("azp", Value::Null)),
        ("without a subject", session().claim("sub", Value::Null)),
        ("with an empty subject", session().claim("sub", "")),
        ("with a number for a subject", session().claim("sub", 7)),
        ("without a session", session().claim("sid", Value::Null)),
        ("of a session without a name", session().claim("sid", "")),
        ("of a pending session", session().claim("sts", "pending")),
        ("with a status that is no text", session().claim("sts", 1)),
        ("without an expiry", session().claim("exp", Value::Null)),
        ("with a text for an expiry", session().claim("exp", "2099-01-01")),
        ("with a beginning that is a text", session().claim("nbf", "0")),
        ("with an absurd expiry", session().claim("exp", u64::MAX)),
        ("with an expiry in milliseconds", session().claim("exp", 4_000_000_000_000_i64)),
        ("with a huge expiry", session().claim("exp", 1e300)),
        ("with a negative beginning", session().claim("nbf", -1)),
        ("with an organization that is no id", session().claim("o", json!({ "id": 7 }))),
        ("with an organization of spaces", session().claim("o", json!({ "id": "org 1" }))),
        ("with an impersonator who is nobody", session().claim("act", json!({}))),
        ("signed with nothing", session().algorithm(Algorithm::None)),
        ("signed with the public key as a secret", session().algorithm(Algorithm::Hs256)),
        ("signed with RS384", session().algorithm(Algorithm::Rs384)),
        ("signed with RS512", session().algorithm(Algorithm::Rs512)),
        ("signed with PS256", session().algorithm(Algorithm::Ps256)),
        ("that says it is signed with nothing", session().header("alg", "none")),
        ("that says it is signed with a secret", session().header("alg", "HS256")),
        ("of another type", session().header("typ", "at+jwt")),
        ("of another category", session().header("cat", "cl_B7d4PD222AAA")),
        ("with a critical extension", session().header("crit", json!(["exp"]))),
        ("with a key of its own", session().header("jwk", stranger.jwk())),
        ("with a place for its key", session().header("jku", "https://evil.example/jwks.json")),
        ("with a place for its certificate", session().header("x5u", "https://evil.example/cert.pem")),
        ("with a certificate of its own", session().header("x5c", json!(["MIIB"]))),
        ("that is too long", session().claim("padding", "A".repeat(9_000))),
        ("without a key id", session().header("kid", Value::Null)),
    ];
    let told = app.get("/api/v1/me").await.expect_problem(401, "invalid-token");
    for (what, token) in forged {
        let answer = app.get_with(&token.mint(&key), "/api/v1/me").await;
        assert_eq!(answer.status, 401, "a token {what} must not be let in");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        let problem = answer.expect_problem(401, "invalid-token");
        assert_eq!(
            (&problem["title"], &problem["detail"]),
            (&told["title"], &told["detail"]),
            "a token {what} is told why"
        );
    }

    let good = kari.token();
    let claims = good.split('.').nth(1).expect("three parts");
    let header = good.split('.').next().expect("three parts");
    let signature = good.rsplit('.').next().expect("three parts");
    let other_claims = kari.session().claim("sub", "user_other").mint(&stranger);
    let mangled: [(&str, String); 10] = [
        ("signed by a stranger with our key's id", kari.session().header("kid", key.kid()).mint(&stranger)),
        ("with other claims than were signed", {
            format!("{header}.{}.{signature}", other_claims.split('.').nth(1).expect("three parts"))
        }),
        ("without a signature", format!("{header}.{claims}.")),
        ("cut short", good[..good.len() - 4].to_owned()),
        ("with a fourth part", format!("{good}.x")),
        ("that is a word", "token".to_owned()),
        ("with a member that comes twice", {
            let header = format!(r#"{{"alg":"RS256","alg":"RS256","kid":"{}"}}"#, key.kid());
            sign(header.as_bytes(), br#"{"sub":"user_1"}"#, Algorithm::Rs256, &key)
        }),
        ("that is not UTF-8", sign(b"\xff\xfe", b"{}", Algorithm::Rs256, &key)),
        ("that is a list", sign(b"[]", b"[]", Algorithm::Rs256, &key)),
        ("with padding", format!("{header}=.{claims}.{signature}")),
    ];
    for (what, token) in mangled {
        assert_eq!(app.get_with(&token, "/api/v1/me").await.status, 401, "a token {what} must not be let in");
    }
    for scheme in ["Basic", "bearerx", ""] {
        let request = app.request(reqwest::Method::GET, "/api/v1/me");
        let answer = tests::answer::Answer::of(request.header("authorization", format!("{scheme} {good}"))).await;
        assert_eq!(answer.status, 401, "{scheme}");
    }
    kari.get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn claims_that_two_parsers_could_read_differently_are_refused_although_the_signature_is_right() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let key = app.clerk.key();
    let exp = Clock::system().now().timestamp() + 60;
    let header = format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{}"}}"#, key.kid());
    let claims = |sub: &str| {
        format!(
            r#"{{{sub}"sid":"sess_1","iss":"https://clerk.localhost","azp":"{FRONTEND}","exp":{exp},"sub":"{}"}}"#,
            kari.user
        )
    };
    let token = |claims: String| sign(header.as_bytes(), claims.as_bytes(), Algorithm::Rs256, &key);
    let not_utf8 =
        claims(r#""name":"K?ri","#).into_bytes().into_iter().map(|byte| if byte == b'?' { 0xff } else { byte });
    let not_utf8 = sign(header.as_bytes(), &not_utf8.collect::<Vec<_>>(), Algorithm::Rs256, &key);
    app.get_with(&token(claims("")), "/api/v1/me").await.expect(200);
    app.get_with(&token(claims(r#""sub":"user_victim","#)), "/api/v1/me").await.expect_problem(401, "invalid-token");
    app.get_with(&token(claims(r#""v":2,"o":{"id":"a","id":"b"},"#)), "/api/v1/me")
        .await
        .expect_problem(401, "invalid-token");
    app.get_with(&token(claims(r#""name":"K?ri","#)), "/api/v1/me").await.expect(200);
    app.get_with(&not_utf8, "/api/v1/me").await.expect_problem(401, "invalid-token");
}

#[tokio::test]
async fn clocks_may_be_five_seconds_apart() {
    let now = Clock::system().now();
    let app = TestApp::start_at(Clock::from_fn(move || now)).await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    for (claim, seconds, status) in
        [("exp", -5, 401), ("exp", -4, 200), ("nbf", 5, 200), ("nbf", 6, 401), ("iat", 5, 200), ("iat", 6, 401)]
    {
        let token = kari.session().issued_at(now).claim(claim, now.timestamp() + seconds).mint(&app.clerk.key());
        assert_eq!(app.get_with(&token, "/api/v1/me").await.status, status, "{claim} at {seconds} s");
    }
}

#[tokio::test]
async fn times_may_have_fractions_which_never_make_a_token_live_longer() {
    let now = Clock::system().now();
    let app = TestApp::start_at(Clock::from_fn(move || now)).await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are small")]
    let second = now.timestamp() as f64;
    for (claim, seconds, status) in [
        ("exp", 30.5, 200),
        ("exp", -4.5, 401),
        ("exp", -3.9, 200),
        ("nbf", 4.5, 200),
        ("nbf", 5.5, 401),
        ("iat", -0.25, 200),
        ("iat", 5.5, 401),
    ] {
        let token = kari.session().issued_at(now).claim(claim, second + seconds).mint(&app.clerk.key());
        assert_eq!(app.get_with(&token, "/api/v1/me").await.status, status, "{claim} at {seconds} s");
    }
}

#[tokio::test]
async fn the_issuer_may_be_a_proxy() {
    let proxy = "https://app.norvalt.example/__clerk";
    let app = TestApp::start_with(|config| config.clerk.issuer = proxy.to_owned()).await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    kari.get("/api/v1/me").await.expect_problem(401, "invalid-token");
    let token = kari.session().issuer(proxy).mint(&app.clerk.key());
    app.get_with(&token, "/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn a_token_that_was_let_in_before_ends_in_time_all_the_same() {
    let (begin, passed) = (Clock::system().now(), Arc::new(AtomicI64::new(0)));
    let clock = passed.clone();
    let app =
        TestApp::start_at(Clock::from_fn(move || begin + TimeDelta::seconds(clock.load(Ordering::Relaxed)))).await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let ends = begin.timestamp() + 60;
    let token = kari.session().issued_at(begin).claim("exp", ends).mint(&app.clerk.key());
    for (second, status) in [(0, 200), (30, 200), (64, 200), (65, 401), (30, 200), (-6, 401)] {
        passed.store(second, Ordering::Relaxed);
        assert_eq!(app.get_with(&token, "/api/v1/me").await.status, status, "after {second} s");
    }
}

#[tokio::test]
async fn made_up_key_ids_do_not_become_traffic() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    kari.get("/api/v1/me").await.expect(200);
    assert_eq!(app.clerk.jwks_requests(), 1);
    for n in 0..20 {
        let token = kari.session().header("kid", format!("made_up_{n}")).mint(&app.clerk.key());
        app.get_with(&token, "/api/v1/me").await.expect_problem(401, "invalid-token");
    }
    assert_eq!(app.clerk.jwks_requests(), 1, "the keys were fetched a moment ago");
}

#[tokio::test]
async fn concurrent_first_requests_share_one_fetch() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let requests = (0..20).map(|_| app.request(reqwest::Method::GET, "/api/v1/me").bearer_auth(kari.token()).send());
    let requests: Vec<_> = requests.map(tokio::spawn).collect();
    for request in requests {
        assert_eq!(request.await.expect("no panic").expect("an answer").status(), 200);
    }
    assert_eq!(app.clerk.jwks_requests(), 1);
}

#[tokio::test]
async fn known_keys_survive_an_outage_and_unknown_ones_may_be_tried_again() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    app.clerk.set_outage(true);
    let answer = kari.get("/api/v1/me").await;
    assert!(answer.headers.contains_key("retry-after"));
    answer.expect_problem(503, "unavailable");
    kari.get("/api/v1/me").await.expect_problem(503, "unavailable");
    assert_eq!(app.clerk.jwks_requests(), 1, "it was tried a moment ago");

    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    kari.get("/api/v1/me").await.expect(200);
    app.clerk.set_outage(true);
    kari.get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn whoever_hangs_up_does_not_use_up_the_fetch() {
    let app = TestApp::start().await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    app.clerk.delay_jwks(Duration::from_millis(300));
    let hasty = reqwest::Client::builder().timeout(Duration::from_millis(50)).build().expect("valid");
    let hung_up = hasty.get(format!("{}/api/v1/me", app.url)).bearer_auth(kari.token()).send().await;
    assert!(hung_up.is_err_and(|error| error.is_timeout()));
    kari.get("/api/v1/me").await.expect(200);
    assert_eq!(app.clerk.jwks_requests(), 1);
}

#[tokio::test]
async fn a_key_that_could_not_be_fetched_is_our_fault_and_no_key_is_forgotten() {
    let app = TestApp::start_with(|config| config.jwks_interval = Duration::from_millis(1)).await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let before = kari.token();
    app.get_with(&before, "/api/v1/me").await.expect(200);
    app.clerk.rotate_key(SigningKey::generate());
    for outage in [StandIn::set_outage, StandIn::publish_nothing] {
        outage(&app.clerk, true);
        kari.get("/api/v1/me").await.expect_problem(503, "unavailable");
        app.get_with(&before, "/api/v1/me").await.expect(200);
        outage(&app.clerk, false);
    }
    kari.get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn a_rotated_key_needs_no_restart_and_a_withdrawn_one_ends() {
    let app = TestApp::start_with(|config| config.jwks_interval = Duration::ZERO).await;
    let kari = app.dealership("Tesla Oslo").await.admin();
    let before = kari.token();
    app.get_with(&before, "/api/v1/me").await.expect(200);

    app.clerk.rotate_key(SigningKey::generate());
    kari.get("/api/v1/me").await.expect(200);
    app.get_with(&before, "/api/v1/me").await.expect(200);

    app.clerk.forget_old_keys();
    app.clerk.rotate_key(SigningKey::generate());
    kari.get("/api/v1/me").await.expect(200);
    app.get_with(&before, "/api/v1/me").await.expect_problem(401, "invalid-token");
}

#[tokio::test]
async fn without_an_organization_the_only_dealership_is_meant() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin().without_organization();
    assert_eq!(kari.get("/api/v1/me").await.expect(200)["dealership_name"], "Tesla Oslo");

    let bergen = app.dealership("VW Bergen").await;
    bergen.join(&kari, "org:member").await;
    kari.get("/api/v1/me").await.expect_problem(403, "choose-organization");
    let in_bergen = kari.session().organization(bergen.org.as_str(), "bergen", "org:admin").mint(&app.clerk.key());
    let me = app.get_with(&in_bergen, "/api/v1/me").await.expect(200);
    assert_eq!(
        (&me["dealership_name"], &me["role"]),
        (&json!("VW Bergen"), &json!("sales_rep")),
        "our role, not the token's"
    );
}

#[tokio::test]
async fn only_version_2_has_the_organization_in_its_place() {
    let app = TestApp::start().await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let kari = oslo.admin();
    bergen.join(&kari, "org:member").await;
    let kari = kari.without_organization();
    let both = |version: Value| {
        let session = kari.session().claim("org_id", oslo.org.as_str()).claim("o", json!({ "id": bergen.org }));
        session.claim("v", version)
    };
    let cases = [
        (both(json!(2)), Some("VW Bergen")),
        (both(json!(1)), Some("Tesla Oslo")),
        (both(json!("2")), Some("Tesla Oslo")),
        (both(json!(3)), Some("Tesla Oslo")),
        (both(Value::Null), Some("Tesla Oslo")),
        (both(json!(2)).claim("o", Value::Null), None),
        (both(json!(1)).claim("org_id", Value::Null), None),
    ];
    for (session, meant) in cases {
        let answer = app.get_with(&session.mint(&app.clerk.key()), "/api/v1/me").await;
        match meant {
            Some(name) => assert_eq!(answer.expect(200)["dealership_name"], name, "{session:?}"),
            None => _ = answer.expect_problem(403, "choose-organization"),
        }
    }
}

#[tokio::test]
async fn strangers_and_the_banned_have_no_access() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let answer = oslo.person("stranger").get("/api/v1/me").await;
    assert!(answer.headers.contains_key("retry-after"), "the webhook may be on its way");
    answer.expect_problem(403, "not-provisioned");

    let kari = oslo.admin();
    let banned = |banned, version| Change::User {
        id: kari.user.clone(),
        version,
        seen: 0,
        profile: UserProfile { name: None, email: None, banned },
    };
    for (banned, status) in [(banned(true, 1), 403), (banned(false, 2), 200)] {
        app.change(banned).await;
        assert_eq!(kari.get("/api/v1/me").await.status, status);
    }
}

//! What a request costs outside PostgreSQL: the checks before it, reading what was sent, writing what is answered.

use std::hint::black_box;

use api::Checks;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bench::examples::{self, WEBHOOK_SECRET};
use chrono::TimeDelta;
use common::{
    clerk::Event,
    clock::Clock,
    config::{ApiConfig, Settings},
    input::FromFields,
    leads::NewLead,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dev::stand_ins::clerk::{Options, SessionToken, SigningKey, StandIn, signed_headers};
use tokio::{net::TcpListener, runtime::Runtime};

fn checks(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("the system has threads to start with");
    let clerk = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        StandIn::start(listener, Options::in_memory(SigningKey::generate())).await.expect("it keeps no file")
    });
    let settings = [
        ("DATABASE_URL", "postgresql://nobody@localhost/nothing".to_owned()),
        ("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsubG9jYWxob3N0JA==".to_owned()),
        ("CLERK_JWKS_URL", clerk.jwks_url()),
        ("CLERK_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
    ];
    let config = ApiConfig::read(&mut Settings::from_values(settings)).expect("the settings above are valid");
    let checks = Checks::new(&config, Clock::system()).expect("the settings above are valid");

    let session = || {
        let user = SessionToken::for_user("user_2h8op3Isl1QR7tKu5FGNfaLKEoU");
        user.organization("org_1", "slug", "org:admin").ttl(TimeDelta::hours(1))
    };
    // Refused for what is looked at last, and so never remembered.
    let pending = session().claim("sts", "pending").mint(&clerk.key());
    // Fetches the keys.
    assert!(!runtime.block_on(checks.accepts_token(&pending)), "the session is pending");
    criterion.bench_function("verify a session token", |bencher| {
        bencher.iter(|| runtime.block_on(checks.accepts_token(black_box(&pending))));
    });
    let known = session().mint(&clerk.key());
    assert!(runtime.block_on(checks.accepts_token(&known)), "the token is valid");
    criterion.bench_function("recognise a session token", |bencher| {
        bencher.iter(|| runtime.block_on(checks.accepts_token(black_box(&known))));
    });

    let body = examples::event();
    let signed = signed_headers(WEBHOOK_SECRET, "msg_1", Clock::system().now(), body.as_bytes()).expect("it is valid");
    let headers: HeaderMap = signed
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::try_from(value).expect("printable")))
        .collect();
    assert!(checks.accepts_webhook(&headers, body.as_bytes()), "the webhook is authentic");
    criterion.bench_function("verify a webhook's signature", |bencher| {
        bencher.iter(|| checks.accepts_webhook(black_box(&headers), black_box(body.as_bytes())));
    });
}

fn parsing(criterion: &mut Criterion) {
    let event = examples::event();
    Event::parse(&event).expect("Clerk sends such events");
    criterion.bench_function("parse a Clerk event", |bencher| bencher.iter(|| Event::parse(black_box(&event))));

    let lead = examples::new_lead();
    let parse = |text: &str| NewLead::read(serde_json::from_str(text).expect("a JSON object")).map_err(drop);
    parse(&lead).expect("a valid lead");
    criterion.bench_function("parse a new lead", |bencher| bencher.iter(|| parse(black_box(&lead))));
}

fn serialising(criterion: &mut Criterion) {
    let page = examples::page();
    let bytes = serde_json::to_vec(&page).expect("plain data").len();
    let mut group = criterion.benchmark_group("serialise");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("a page of 25 leads", |bencher| bencher.iter(|| serde_json::to_vec(black_box(&page))));
    group.finish();
}

criterion_group!(benches, checks, parsing, serialising);
criterion_main!(benches);

//! Dealerships with a mail server or a provider of their own, and how much the others may send through ours.

mod domains;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{
    db::Db,
    secrets::{Keyring, require_keys},
};
use dev::stand_ins::{
    dns,
    mailbox::{Message, Provider, StandIn},
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;
use tests::{
    answer::Answer,
    app::{NewLead, Person, TestApp, new_lead, phone},
    cluster::database,
    drain::Worker,
    jobs::JobTable,
    mailbox::{mailbox, sending_through},
    proxy::{Mode, Proxy},
};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep, timeout},
};

/// The longest that anything may take here.
const TIMEOUT: Duration = Duration::from_secs(30);

async fn until<T, F: Future<Output = T>>(ask: impl Fn() -> F, is_so: impl Fn(&T) -> bool) -> T {
    let since = Instant::now();
    loop {
        let found = ask().await;
        if is_so(&found) {
            return found;
        }
        assert!(since.elapsed() < TIMEOUT, "it does not become so");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn until_last(person: &Person<'_>, lead: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/api/v1/leads/{lead}/conversations");
    until(async || person.get(&path).await.expect(200)[0]["delivery"].clone(), is_so).await
}

async fn answer(person: &Person<'_>, lead: &str, text: &str, channel: &str) {
    let body = json!({ "lead_id": lead, "message_content": text, "channel": channel });
    Answer::of(person.request(Method::POST, "/api/v1/conversations").json(&body)).await.expect(201);
}

async fn put(person: &Person<'_>, channel: &str, account: &Value) -> Answer {
    let path = format!("/api/v1/dealership/sending/{channel}");
    Answer::of(person.request(Method::PUT, &path).json(account)).await
}

async fn arrives(mailbox: &StandIn, text: &'static str) -> Message {
    let arrived = mailbox.wait_for(move |message| message.text.contains(text));
    timeout(TIMEOUT, arrived).await.expect("it arrives in time")
}

/// A resolver that knows these domains.
async fn resolver(domains: &[&str]) -> dns::StandIn {
    let dns = dns::StandIn::start(TcpListener::bind("127.0.0.1:0").await.expect("a port is free")).await;
    for domain in domains {
        dns.put_domain(domain);
    }
    dns
}

/// Until the domain of the account is so.
async fn domain(person: &Person<'_>, status: &str) -> Value {
    let ask = async || person.get("/api/v1/dealership/sending/email").await.expect(200);
    until(ask, |account| account["domain_status"] == status).await
}

/// What waits for a later time is due now.
async fn make_due(app: &TestApp) {
    let mut conn = app.connect().await;
    conn.execute("UPDATE outbox SET sending_at = sending_at - interval '2 minutes'").await.expect("it is done");
    conn.execute("UPDATE jobs SET run_at = now() WHERE state IN ('scheduled', 'retryable')").await.expect("it is done");
}

#[tokio::test]
async fn mails_go_out_through_the_dealerships_own_provider() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let (kari, jonas) = (oslo.admin(), oslo.member("jonas", "org:member").await);
    assert!(kari.get("/api/v1/dealership/sending/email").await.expect(200)["provider"].is_null());
    let account = json!({ "provider": "resend", "from": "salg@tesla-oslo.example", "api_key": "re_hunter2" });
    put(&jonas, "email", &account).await.expect_problem(403, "forbidden");
    let shown = put(&kari, "email", &account).await.expect(200);
    assert_eq!((&shown["provider"], &shown["has_secret"]), (&json!("resend"), &json!(true)));
    assert!(!shown.to_string().contains("hunter2"), "{shown}");
    let kept = "SELECT count(*) FROM sending_accounts s WHERE position('hunter2' IN s::text) = 0";
    assert_eq!(app.count(kept).await, 1, "the key is sealed");

    let dns = resolver(&["tesla-oslo.example"]).await;
    let mut settings = sending_through(&mailbox);
    settings.push(("DNS_URL", dns.query_url()));
    let worker = Worker::start(&app, &settings);
    domain(&kari, "passed").await;
    let lead = oslo.lead("Per").await.id.to_string();
    answer(&kari, &lead, "Fra egen konto", "email").await;
    let mail = arrives(&mailbox, "Fra egen konto").await;
    assert_eq!((mail.provider, mail.from.as_str()), (Provider::Resend, "salg@tesla-oslo.example"));
    assert!(mail.message_id.as_ref().expect("an id").ends_with("@tesla-oslo.example"), "{:?}", mail.message_id);
    until_last(&kari, &lead, |delivery| delivery["status"] == "sent").await;
    let shown = kari.get(&format!("/api/v1/leads/{lead}")).await.expect(200);
    assert!(shown["first_response_time"].is_string(), "nobody will tell more of it: {shown:#}");
    // It is nobody else's.
    let other = bergen.lead("Per").await.id.to_string();
    answer(&bergen.admin(), &other, "Fra Bergen", "email").await;
    assert_eq!(arrives(&mailbox, "Fra Bergen").await.provider, Provider::Smtp);
    Answer::of(kari.request(Method::DELETE, "/api/v1/dealership/sending/email")).await.expect(204);
    answer(&kari, &lead, "Fra felles konto", "email").await;
    assert_eq!(arrives(&mailbox, "Fra felles konto").await.from, "svar@norvalt.example");
    worker.stop().await;
}

#[tokio::test]
async fn an_account_that_does_not_let_us_in_is_told_once_and_messages_wait_for_its_repair() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let sid = mailbox.account().sid.clone();
    let account =
        |token: &str| json!({ "provider": "twilio", "from": "+4759440099", "account_sid": sid, "auth_token": token });
    put(&kari, "sms", &account("not-the-token")).await.expect(200);
    let lead =
        oslo.lead_with(NewLead { customer_phone: Some(phone("+4791234567")), ..new_lead() }).await.id.to_string();
    let worker = Worker::start(&app, &sending_through(&mailbox));
    answer(&kari, &lead, "Hei på SMS", "sms").await;
    let delivery = until_last(&kari, &lead, |delivery| delivery["reason"].is_string()).await;
    assert_eq!(delivery["status"], "queued", "{delivery:#}");
    let shown = kari.get("/api/v1/dealership/sending/sms").await.expect(200);
    assert_eq!(shown["broken_reason"], delivery["reason"]);
    answer(&kari, &lead, "Og en til", "sms").await;
    until_last(&kari, &lead, |delivery| delivery["reason"].is_string()).await;
    assert_eq!(app.count("SELECT count(*) FROM notifications WHERE event = 'sending_broken'").await, 1);
    assert!(mailbox.messages().is_empty(), "it does not fall back to ours");

    let shown = put(&kari, "sms", &account(&mailbox.account().auth_token)).await.expect(200);
    assert!(shown["broken_reason"].is_null(), "{shown:#}");
    make_due(&app).await;
    let text = arrives(&mailbox, "Hei på SMS").await;
    assert_eq!((text.from.as_str(), text.status_callback), ("+4759440099", None));
    until_last(&kari, &lead, |delivery| delivery["status"] == "sent").await;
    worker.stop().await;
}

#[tokio::test]
async fn a_mail_server_inside_is_refused_and_a_key_in_use_is_required() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let server = |host: &str, port: u16| json!({ "provider": "smtp", "from": "salg@tesla-oslo.example", "host": host, "port": port, "user": "salg", "password": "hunter2" });
    for (host, port, field) in
        [("10.0.0.1", 587, "host"), ("localhost", 587, "host"), ("smtp.tesla-oslo.example", 25, "port")]
    {
        let problem = put(&kari, "email", &server(host, port)).await.expect_problem(422, "invalid-input");
        assert_eq!(problem["errors"][0]["field"], field, "{host}:{port}");
    }
    let shown = put(&kari, "email", &server("smtp.tesla-oslo.example", 465)).await.expect(200);
    assert_eq!((&shown["host"], &shown["port"]), (&json!("smtp.tesla-oslo.example"), &json!(465)));
    let none = require_keys(&app.db, &Keyring::default()).await;
    none.expect_err("the password is sealed with a key that is not there");
    let keys = tests::app::SECRETS_KEYS.parse().expect("keys");
    require_keys(&app.db, &keys).await.expect("it is there");
}

#[tokio::test]
async fn a_database_that_goes_away_while_keys_are_looked_for_is_waited_for() {
    let database = database().await;
    let proxy = Proxy::before(&database.url).await;
    let db = Db::new(&proxy.url().parse().expect("a URL"), 2, "tests");
    db.wait_until_usable().await.expect("it is migrated");
    proxy.set(Mode::Cut);
    let keys = Keyring::default();
    let mut looking = pin!(require_keys(&db, &keys));
    let found = timeout(Duration::from_millis(300), &mut looking).await;
    assert!(found.is_err(), "the database is away: {found:?}");
    proxy.set(Mode::Pass);
    timeout(TIMEOUT, looking).await.expect("in time").expect("no key is in use");
}

#[tokio::test]
async fn one_dealership_sends_only_so_much_in_a_minute_and_the_rest_waits_its_turn() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let (oslo, bergen) = (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await);
    let kari = oslo.admin();
    let lead = oslo.lead("Per").await.id.to_string();
    for text in ["Melding 1", "Melding 2", "Melding 3"] {
        answer(&kari, &lead, text, "email").await;
    }
    let other = bergen.lead("Per").await.id.to_string();
    answer(&bergen.admin(), &other, "Fra Bergen", "email").await;
    let mut settings = sending_through(&mailbox);
    settings.retain(|(name, _)| *name != "SENDING_PER_MINUTE");
    settings.push(("SENDING_PER_MINUTE", "2".to_owned()));
    settings.push(("WORKER_CONCURRENCY", "1".to_owned()));
    let worker = Worker::start(&app, &settings);
    arrives(&mailbox, "Melding 2").await;
    arrives(&mailbox, "Fra Bergen").await;
    let mut table = JobTable::at(&app.database_url).await;
    let since = Instant::now();
    while table.count("outbox.send_email", "done").await < 3
        || table.count("outbox.send_email", "available").await + table.count("outbox.send_email", "running").await > 0
    {
        assert!(since.elapsed() < TIMEOUT, "the third does not step back");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(mailbox.messages().len(), 3, "the third message waits");
    let attempts = "SELECT attempts::bigint FROM jobs WHERE kind = 'outbox.send_email' AND state <> 'done'";
    assert_eq!(app.count(attempts).await, 0, "it does not count");
    make_due(&app).await;
    arrives(&mailbox, "Melding 3").await;
    worker.stop().await;
}

/// A mail server that takes connections and says nothing, and how many it has.
async fn hanging_server() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("smtp+plain://{}", listener.local_addr().expect("it is bound"));
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (url, taken)
}

#[tokio::test]
async fn a_mail_server_that_hangs_keeps_nobody_elses_mail_waiting() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let (server, connected) = hanging_server().await;
    let (oslo, bergen, voss) =
        (app.dealership("Tesla Oslo").await, app.dealership("VW Bergen").await, app.dealership("Bil Voss").await);
    let kari = oslo.admin();
    let hangs = json!({ "provider": "smtp", "from": "salg@tesla-oslo.example", "host": "smtp.tesla-oslo.example", "port": 587, "user": "salg", "password": "hunter2" });
    put(&kari, "email", &hangs).await.expect(200);
    let own = json!({ "provider": "resend", "from": "salg@vw-bergen.example", "api_key": "re_hunter2" });
    put(&bergen.admin(), "email", &own).await.expect(200);
    let lead = oslo.lead("Per").await.id.to_string();
    for n in 0..20 {
        answer(&kari, &lead, &format!("Henger {n}"), "email").await;
    }
    let dns = resolver(&["vw-bergen.example"]).await;
    let mut settings = sending_through(&mailbox);
    settings.push(("DNS_URL", dns.query_url()));
    settings.push(("OWN_ACCOUNTS_SMTP_URL", server));
    settings.push(("WORKER_QUEUE_LIMITS", "email:4".to_owned()));
    let worker = Worker::start(&app, &settings);
    domain(&bergen.admin(), "passed").await;
    until(|| async { connected.load(Ordering::Relaxed) }, |count| *count > 0).await;
    let since = Instant::now();
    for (dealership, text) in [(&bergen, "Egen konto"), (&voss, "Felles konto")] {
        let lead = dealership.lead("Per").await.id.to_string();
        answer(&dealership.admin(), &lead, text, "email").await;
    }
    arrives(&mailbox, "Egen konto").await;
    arrives(&mailbox, "Felles konto").await;
    assert!(since.elapsed() < Duration::from_secs(8), "they waited for {:?}", since.elapsed());
    assert!(connected.load(Ordering::Relaxed) <= 2, "one of four slots at once");
    let tried = "SELECT count(*) FROM outbox o JOIN dealerships d ON d.id = o.dealership_id WHERE d.name = 'Tesla Oslo' AND o.attempts > 0";
    assert!(app.count(tried).await <= 2, "the others wait and have not been tried");
    worker.kill().await;
}

//! Whether mails of a dealership may come from its own domain: DNS is asked.

use common::sending_accounts;
use dev::stand_ins::mailbox::Provider;
use reqwest::Method;
use serde_json::json;
use sqlx::Executor;
use tests::{
    answer::Answer,
    app::{INBOUND_DOMAIN, TestApp},
    drain::Worker,
    mailbox::{mailbox, sending_through},
    processes::command,
};

use super::{answer, arrives, domain, make_due, put, resolver};

#[tokio::test]
async fn mails_come_from_our_address_until_dns_vouches_for_theirs() {
    let app = TestApp::start().await;
    let mailbox = mailbox(&app).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let dns = resolver(&[]).await;
    dns.set_failing(true);
    let mut settings = sending_through(&mailbox);
    settings.push(("DNS_URL", dns.query_url()));
    let account = json!({ "provider": "resend", "from": "salg@tesla-oslo.example", "api_key": "re_hunter2" });
    assert_eq!(put(&kari, "email", &account).await.expect(200)["domain_status"], "pending");
    let worker = Worker::start(&app, &settings);
    let lead = oslo.lead("Per").await.id.to_string();
    answer(&kari, &lead, "Før svaret", "email").await;
    let mail = arrives(&mailbox, "Før svaret").await;
    assert_eq!((mail.provider, mail.from.as_str()), (Provider::Smtp, "svar@norvalt.example"));
    assert!(mail.reply_to.is_some_and(|to| to.ends_with(INBOUND_DOMAIN)), "answers come back to the lead");

    dns.set_failing(false);
    make_due(&app).await;
    let shown = domain(&kari, "failed").await;
    let records = shown["domain_records"].as_array().expect("a list");
    let missing = |kind: &str| records.iter().find(|record| record["kind"] == kind).expect("each kind").clone();
    assert_eq!(missing("dkim")["name"], "resend._domainkey.tesla-oslo.example");
    assert!(missing("dmarc")["advice"].as_str().expect("what to do").contains("v=DMARC1"), "{shown:#}");
    answer(&kari, &lead, "Fortsatt vår", "email").await;
    assert_eq!(arrives(&mailbox, "Fortsatt vår").await.provider, Provider::Smtp);
    let body = json!({ "lead_id": lead, "message_content": "Hei", "channel": "email" });
    let preview = async || {
        let request = kari.request(Method::POST, "/api/v1/conversations/preview").json(&body);
        Answer::of(request).await.expect(200)["email"]["from"].clone()
    };
    assert!(preview().await.is_null(), "it will be our address");

    dns.put_domain("tesla-oslo.example");
    Answer::of(kari.request(Method::POST, "/api/v1/dealership/sending/email/check")).await.expect(200);
    let shown = domain(&kari, "passed").await;
    assert!(shown["domain_checked_at"].is_string() && shown["domain_records"][0]["status"] == "found", "{shown:#}");
    answer(&kari, &lead, "Nå vår egen", "email").await;
    let mail = arrives(&mailbox, "Nå vår egen").await;
    assert_eq!((mail.provider, mail.from.as_str()), (Provider::Resend, "salg@tesla-oslo.example"));
    assert_eq!(preview().await, "salg@tesla-oslo.example");
    // An account from before there was such a check goes on as it did.
    let older = "UPDATE sending_accounts SET domain_status = NULL, domain_records = NULL";
    app.connect().await.execute(older).await.expect("it is done");
    answer(&kari, &lead, "Som før", "email").await;
    assert_eq!(arrives(&mailbox, "Som før").await.provider, Provider::Resend);
    // A mail server of theirs would take no mail from our address.
    let server = json!({ "provider": "smtp", "from": "salg@uten-dns.example", "host": "smtp.uten-dns.example", "port": 587, "user": "salg", "password": "hunter2" });
    put(&kari, "email", &server).await.expect(200);
    assert_eq!(domain(&kari, "failed").await["host"], "smtp.uten-dns.example");
    assert_eq!(preview().await, "salg@uten-dns.example");
    worker.stop().await;
}

#[tokio::test]
async fn what_was_found_of_an_account_counts_for_no_other_and_a_domain_that_failed_is_looked_up_again() {
    let app = TestApp::start().await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let account = |from: &str| json!({ "provider": "resend", "from": from, "api_key": "re_1" });
    put(&kari, "email", &account("salg@tesla-oslo.example")).await.expect(200);
    let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
    let (domain, of_first) = sending_accounts::domain_to_check(&mut tx).await.expect("valid").expect("it has one");
    drop(tx);
    put(&kari, "email", &account("salg@en-annen.example")).await.expect(200);
    let found = |text: &str| vec![text.to_owned()];
    let answers = domain.questions().into_iter().map(|question| {
        let text = if question.name.starts_with('_') { found("v=DMARC1; p=none") } else { found("v=spf1 -all") };
        (question, text)
    });
    let records = domain.judge(&answers.collect::<Vec<_>>());
    assert!(sending_accounts::passes(&records), "{records:?}");
    let save = async |records, updated_at| {
        let mut tx = app.db.tenant(oslo.id).await.expect("the database is there");
        sending_accounts::save_domain(&mut tx, updated_at, records).await.expect("it is there");
        let (_, updated_at) = sending_accounts::domain_to_check(&mut tx).await.expect("valid").expect("it has one");
        tx.commit().await.expect("the database is there");
        updated_at
    };
    let of_second = save(&records, of_first).await;
    let shown = kari.get("/api/v1/dealership/sending/email").await.expect(200);
    assert_eq!(shown["domain_status"], "pending", "another domain has passed");

    let again = "SELECT count(*) FROM jobs WHERE kind = 'sending.check_domain' AND run_at BETWEEN now() + '50 min' AND now() + '70 min'";
    assert_eq!(app.count(again).await, 0);
    save(&[], of_second).await;
    assert_eq!(kari.get("/api/v1/dealership/sending/email").await.expect(200)["domain_status"], "failed");
    assert_eq!(app.count(again).await, 1);
}

#[tokio::test]
async fn the_doctor_says_what_our_own_domains_lack_and_finds_nothing_wrong_with_that() {
    let app = TestApp::start().await;
    let dns = resolver(&["norvalt.example"]).await;
    let doctor = async || {
        let mut doctor = command("norvalt", &app.database_url);
        doctor.arg("doctor").env("DNS_URL", dns.query_url()).env("INBOUND_DOMAIN", INBOUND_DOMAIN);
        doctor.env("EMAIL_PROVIDER", "resend").env("RESEND_API_KEY", "re_of_nobody");
        doctor.env("EMAIL_FROM", "svar@norvalt.example");
        let said = doctor.output().await.expect("it runs");
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    let line = |said: &str, what: &str| said.lines().find(|line| line.contains(what)).expect("a finding").to_owned();
    let said = doctor().await;
    assert!(line(&said, "mails to us").starts_with("note") && said.contains("has no MX record"), "{said}");
    assert!(line(&said, "mails from us").starts_with("ok"), "{said}");
    dns.put(INBOUND_DOMAIN, "MX", &["10 mx.inn.norvalt.example."]);
    dns.put("_dmarc.norvalt.example", "TXT", &[]);
    let said = doctor().await;
    assert!(line(&said, "mails to us").starts_with("ok"), "{said}");
    assert!(line(&said, "mails from us").starts_with("note") && said.contains("v=DMARC1; p=none"), "{said}");
    dns.set_failing(true);
    let said = doctor().await;
    assert!(line(&said, "mails from us").contains("nobody knows"), "{said}");
}

//! What `SendGrid`, Resend and Postmark report of mails, signed as each does it.

use common::config::{ApiConfig, Settings};
use dev::stand_ins::mailbox::{Reporters, StandIn};
use reqwest::{Method, StatusCode};
use tests::{
    app::TestApp,
    drain::Worker,
    mailbox::{mailbox_with, sending_through},
};

use super::{answer, until_last};

/// An API that believes these.
async fn app(reporters: &Reporters) -> TestApp {
    let told = reporters.settings();
    TestApp::start_with(|config| {
        let own = [
            ("DATABASE_URL", "postgres://localhost/norvalt".to_owned()),
            ("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsubG9jYWxob3N0JA==".to_owned()),
            ("CLERK_WEBHOOK_SECRET", tests::app::WEBHOOK_SECRET.to_owned()),
        ];
        let settings = own.into_iter().chain(told);
        let read = ApiConfig::read(&mut Settings::from_values(settings)).expect("the settings are valid");
        config.senders.reports = read.senders.reports;
    })
    .await
}

/// A worker that sends mails through this provider.
fn through(app: &TestApp, mailbox: &StandIn, provider: &str, key: &'static str) -> Worker {
    let mut settings = sending_through(mailbox);
    settings.push(("EMAIL_PROVIDER", provider.to_owned()));
    settings.push(("EMAIL_API_URL", mailbox.url()));
    settings.push((key, "a-key-of-nobody".to_owned()));
    Worker::start(app, &settings)
}

#[tokio::test]
async fn each_provider_tells_what_became_of_a_mail() {
    for (provider, key) in
        [("sendgrid", "SENDGRID_API_KEY"), ("resend", "RESEND_API_KEY"), ("postmark", "POSTMARK_SERVER_TOKEN")]
    {
        let reporters = Reporters::generate();
        let app = app(&reporters).await;
        let mailbox = mailbox_with(&app, reporters).await;
        let oslo = app.dealership("Tesla Oslo").await;
        let kari = oslo.admin();
        let worker = through(&app, &mailbox, provider, key);
        let lead = oslo.lead("Per").await.id.to_string();
        answer(&kari, &lead, "Kommer fram", "email").await;
        let mail = mailbox.wait_for(|mail| mail.text.contains("Kommer fram")).await;
        until_last(&kari, &lead, "sent").await;
        mailbox.deliver(&mail).await.expect(provider);
        until_last(&kari, &lead, "delivered").await;
        answer(&kari, &lead, "Blir klaget på", "email").await;
        let mail = mailbox.wait_for(|mail| mail.text.contains("Blir klaget på")).await;
        until_last(&kari, &lead, "sent").await;
        mailbox.complain(&mail).await.expect(provider);
        until_last(&kari, &lead, "delivered").await;
        answer(&kari, &lead, "Går ikke mer", "email").await;
        let messages = until_last(&kari, &lead, "failed").await;
        assert!(messages[0]["delivery"]["reason"].as_str().expect("why").contains("unwanted"), "{provider}");

        let other = oslo.lead_with(tests::app::NewLead {
            customer_email: Some(tests::app::email("borte@kunde.example")),
            ..tests::app::new_lead()
        });
        let other = other.await.id.to_string();
        answer(&kari, &other, "Kommer tilbake", "email").await;
        let mail = mailbox.wait_for(|mail| mail.text.contains("Kommer tilbake")).await;
        until_last(&kari, &other, "sent").await;
        mailbox.bounce(&mail).await.expect(provider);
        let messages = until_last(&kari, &other, "bounced").await;
        let reason = messages[0]["delivery"]["reason"].as_str().expect("why");
        assert!(reason.contains("5.1.1") || reason.contains("unable to deliver"), "{provider}: {reason}");
        worker.stop().await;
    }
}

#[tokio::test]
async fn what_somebody_else_signs_is_not_believed() {
    let app = app(&Reporters::generate()).await;
    let mailbox = mailbox_with(&app, Reporters::generate()).await;
    let oslo = app.dealership("Tesla Oslo").await;
    let kari = oslo.admin();
    let worker = through(&app, &mailbox, "sendgrid", "SENDGRID_API_KEY");
    let lead = oslo.lead("Per").await.id.to_string();
    answer(&kari, &lead, "Hei", "email").await;
    let mail = mailbox.wait_for(|mail| mail.text.contains("Hei")).await;
    until_last(&kari, &lead, "sent").await;
    let refused = mailbox.deliver(&mail).await.expect_err("it is signed by a stranger");
    assert!(refused.starts_with("401"), "{refused}");
    let unsigned = app.request(Method::POST, "/webhooks/sendgrid/events").body("[]").send().await.expect("an answer");
    assert_eq!(unsigned.status(), StatusCode::UNAUTHORIZED);
    worker.stop().await;
}

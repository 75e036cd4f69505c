//! A mailbox that gets what goes out, and a worker that sends it.

use dev::stand_ins::mailbox::{Account, Options, Reporters, StandIn};
use tokio::net::TcpListener;

use crate::app::{INBOUND_DOMAIN, MAIL_SECRET, TWILIO_TOKEN, TestApp};

/// Starts a mailbox whose customers answer to the app.
pub async fn mailbox(app: &TestApp) -> StandIn {
    mailbox_with(app, Reporters::generate()).await
}

/// The same, whose providers report so.
pub async fn mailbox_with(app: &TestApp, reporters: Reporters) -> StandIn {
    let listener = || async { TcpListener::bind("127.0.0.1:0").await.expect("a port is free") };
    let account = Account { sid: format!("AC{:032}", 1), auth_token: TWILIO_TOKEN.to_owned() };
    let (api, mail_secret) = (Some(app.url.clone()), MAIL_SECRET.to_owned());
    let options = Options { api, mail_secret, account, reporters, ..Options::in_memory() };
    StandIn::start(listener().await, listener().await, options).await
}

/// What a worker is told that sends through it.
pub fn sending_through(mailbox: &StandIn) -> Vec<(&'static str, String)> {
    vec![
        ("EMAIL_PROVIDER", "smtp".to_owned()),
        ("EMAIL_FROM", "svar@norvalt.example".to_owned()),
        ("SMTP_URL", mailbox.smtp_url().to_owned()),
        ("SMS_PROVIDER", "twilio".to_owned()),
        ("SMS_FROM", "+4759440000".to_owned()),
        ("TWILIO_ACCOUNT_SID", mailbox.account().sid.clone()),
        ("TWILIO_AUTH_TOKEN", mailbox.account().auth_token.clone()),
        ("SMS_API_URL", mailbox.url()),
        ("INBOUND_DOMAIN", INBOUND_DOMAIN.to_owned()),
        ("OWN_ACCOUNTS_API_URL", mailbox.url()),
        ("SENDING_PER_MINUTE", "0".to_owned()),
    ]
}

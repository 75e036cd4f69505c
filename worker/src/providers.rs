//! Makes the providers that are configured.

use std::sync::Arc;

use common::config::{AssistantSettings, EmailProvider, EmailSettings, SmsSettings};
use integrations::{
    assistant::Assistant,
    email::{EmailSender, NoProvider, smtp::Smtp},
    sms::SmsSender,
};

pub(crate) fn email(settings: &EmailSettings) -> Result<Arc<dyn EmailSender>, NoProvider> {
    let domain = settings.from.rsplit_once('@').map_or("", |(_, domain)| domain);
    match &settings.provider {
        EmailProvider::Smtp(server) => Ok(Arc::new(Smtp::new(server.clone(), domain)?)),
        EmailProvider::SendGrid(_) | EmailProvider::Resend(_) | EmailProvider::Postmark(_) => Err(not_yet()),
    }
}

pub(crate) fn sms(_: &SmsSettings) -> Result<Arc<dyn SmsSender>, NoProvider> {
    Err(not_yet())
}

pub(crate) fn assistant(_: &AssistantSettings) -> Result<Arc<dyn Assistant>, NoProvider> {
    Err(not_yet())
}

fn not_yet() -> NoProvider {
    NoProvider::NoClient("it is not there yet".into())
}

//! Makes the providers that are configured.

use std::sync::Arc;

use common::config::{
    Access, AssistantProvider, AssistantSettings, EmailProvider, EmailSettings, SmsProvider, SmsSettings,
};
use integrations::{
    assistant::{
        Assistant,
        anthropic::{self, Anthropic},
        openai::{self, OpenAi},
    },
    email::{
        EmailSender, NoProvider,
        postmark::{self, Postmark},
        resend::{self, Resend},
        sendgrid::{self, SendGrid},
        smtp::Smtp,
    },
    sms::{
        SmsSender,
        gateway::Gateway,
        twilio::{self, Twilio},
    },
};

pub(crate) fn email(settings: &EmailSettings) -> Result<Arc<dyn EmailSender>, NoProvider> {
    let domain = settings.from.rsplit_once('@').map_or("", |(_, domain)| domain);
    Ok(match settings.provider.clone() {
        EmailProvider::Smtp(server) => Arc::new(Smtp::new(server, domain)?),
        EmailProvider::SendGrid(Access { key, url }) => {
            Arc::new(SendGrid::new(url.as_deref().unwrap_or(sendgrid::DEFAULT_URL), key)?)
        }
        EmailProvider::Resend(Access { key, url }) => {
            Arc::new(Resend::new(url.as_deref().unwrap_or(resend::DEFAULT_URL), key)?)
        }
        EmailProvider::Postmark(Access { key, url }) => {
            Arc::new(Postmark::new(url.as_deref().unwrap_or(postmark::DEFAULT_URL), key)?)
        }
    })
}

/// `public_url` is where Twilio reaches the API.
pub(crate) fn sms(settings: &SmsSettings, public_url: Option<&str>) -> Result<Arc<dyn SmsSender>, NoProvider> {
    Ok(match settings.provider.clone() {
        SmsProvider::Twilio { account, access: Access { key, url } } => {
            let status_callback = public_url.map(|url| format!("{url}/webhooks/twilio/events"));
            let url = url.as_deref().unwrap_or(twilio::DEFAULT_URL).to_owned();
            let settings = twilio::Settings { url, status_callback, ..twilio::Settings::new(account, key) };
            Arc::new(Twilio::new(settings)?)
        }
        SmsProvider::Http(gateway) => Arc::new(Gateway::new(gateway)?),
    })
}

pub(crate) fn assistant(settings: &AssistantSettings) -> Result<Arc<dyn Assistant>, NoProvider> {
    let AssistantSettings { provider, model, url } = settings.clone();
    Ok(match provider {
        AssistantProvider::Anthropic { key } => {
            Arc::new(Anthropic::new(url.as_deref().unwrap_or(anthropic::DEFAULT_URL), key, model)?)
        }
        AssistantProvider::OpenAi { key } => {
            Arc::new(OpenAi::new(url.as_deref().unwrap_or(openai::DEFAULT_URL), key, model)?)
        }
    })
}

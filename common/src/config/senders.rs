//! Whoever passes customers' inquiries on to us, and whom we ask about them.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Settings, WebhookSecrets, http_url, list};
use crate::secrets::Secret;

/// How senders show that it is them. Of one that is not configured nothing is taken.
#[derive(Debug, Clone, Default)]
pub struct Senders {
    pub mail: MailSenders,
    /// The secrets that Meta may sign with, of which several are live during a rotation.
    pub meta_secrets: Vec<Secret>,
    /// What Meta shows when it asks whether the webhook's address is ours.
    pub meta_verify_token: Option<Secret>,
    /// Where people log in to Facebook, if we have an app there.
    pub meta_login: Option<MetaLogin>,
    pub reports: ReportSenders,
}

/// Where people let our app at Meta read the leads of their pages.
#[derive(Debug, Clone)]
pub struct MetaLogin {
    pub app_id: String,
    /// The dialog, with its version; Meta's own, if not told.
    pub url: Option<String>,
}

/// Those who tell what became of messages of ours.
#[derive(Debug, Clone, Default)]
pub struct ReportSenders {
    /// `SendGrid`'s public key of its event webhook, as DER (`SubjectPublicKeyInfo`).
    pub sendgrid_key: Option<Vec<u8>>,
    pub resend_secrets: Option<WebhookSecrets>,
    /// The name and the password, with a colon between them, that Postmark is told to use.
    pub postmark_login: Option<Secret>,
    /// With which Twilio signs.
    pub twilio_token: Option<Secret>,
}

/// Those who receive mails for us.
#[derive(Debug, Clone, Default)]
pub struct MailSenders {
    /// `SendGrid`'s public key, as DER (`SubjectPublicKeyInfo`).
    pub sendgrid_key: Option<Vec<u8>>,
    /// Mailgun's key for signing webhooks.
    pub mailgun_key: Option<Secret>,
    /// The name and the password, with a colon between them, that Postmark is told to use.
    pub postmark_login: Option<Secret>,
    /// Of whoever hands over a mail as it is: our own mail server.
    pub raw_secrets: Vec<Secret>,
}

impl Senders {
    pub(super) fn read(s: &mut Settings) -> Self {
        let mail = MailSenders {
            sendgrid_key: s.optional("SENDGRID_INBOUND_KEY", public_key),
            mailgun_key: s.optional("MAILGUN_SIGNING_KEY", secret),
            postmark_login: s.optional("POSTMARK_INBOUND_LOGIN", login),
            raw_secrets: s.optional("INBOUND_MAIL_SECRETS", secrets).unwrap_or_default(),
        };
        Self {
            mail,
            meta_secrets: s.optional("FACEBOOK_APP_SECRETS", secrets).unwrap_or_default(),
            meta_verify_token: s.optional("FACEBOOK_VERIFY_TOKEN", secret),
            meta_login: MetaLogin::read(s),
            reports: ReportSenders {
                sendgrid_key: s.optional("SENDGRID_EVENT_KEY", public_key),
                resend_secrets: s.optional("RESEND_WEBHOOK_SECRET", str::parse),
                postmark_login: s.optional("POSTMARK_EVENT_LOGIN", login),
                twilio_token: s.optional("TWILIO_AUTH_TOKEN", secret),
            },
        }
    }
}

/// Whom workers ask.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// The app as which Facebook is asked, if there is one.
    pub meta: Option<MetaApp>,
    /// Where Turnstile is; Cloudflare's own, if not told.
    pub turnstile_url: Option<String>,
    /// The resolver that is asked over HTTPS; one that everybody may ask, if not told.
    pub dns_url: Option<String>,
}

/// Our app at Meta.
#[derive(Debug, Clone)]
pub struct MetaApp {
    pub id: String,
    pub secret: Secret,
    /// Where Graph is, with its version; Meta's own, if not told.
    pub graph_url: Option<String>,
}

impl Outside {
    pub(super) fn read(s: &mut Settings) -> Self {
        let id = s.optional("FACEBOOK_APP_ID", digits);
        let secret = s.optional("FACEBOOK_APP_SECRETS", secrets).and_then(|secrets| secrets.into_iter().next());
        let graph_url = s.optional("FACEBOOK_GRAPH_URL", http_url);
        if id.is_some() && secret.is_none() {
            s.report("FACEBOOK_APP_SECRETS", "must be given with FACEBOOK_APP_ID: the first one signs what is asked");
        }
        let meta = id.zip(secret).map(|(id, secret)| MetaApp { id, secret, graph_url });
        let turnstile_url = s.optional("TURNSTILE_URL", http_url);
        Self { meta, turnstile_url, dns_url: s.optional("DNS_URL", http_url) }
    }
}

impl MetaLogin {
    fn read(s: &mut Settings) -> Option<Self> {
        let app_id = s.optional("FACEBOOK_APP_ID", digits);
        let url = s.optional("FACEBOOK_LOGIN_URL", http_url);
        Some(Self { app_id: app_id?, url })
    }
}

fn public_key(text: &str) -> Result<Vec<u8>, &'static str> {
    STANDARD.decode(text).map_err(|_| "must be the public key of the security policy, in base64 as SendGrid shows it")
}

fn secret(text: &str) -> Result<Secret, &'static str> {
    match text.len() {
        8.. => Ok(Secret::new(text)),
        _ => Err("must have at least 8 characters"),
    }
}

fn secrets(text: &str) -> Result<Vec<Secret>, &'static str> {
    let secrets: Vec<Secret> = list(text).into_iter().map(Secret::from).collect();
    let long = secrets.iter().all(|secret| secret.expose().len() >= 16);
    if long { Ok(secrets) } else { Err("must be secrets of at least 16 characters, separated by commas") }
}

fn login(text: &str) -> Result<Secret, &'static str> {
    match text.split_once(':') {
        Some((name, password)) if !name.is_empty() && password.len() >= 12 => Ok(Secret::new(text)),
        _ => Err("must be a name, a colon and a password of at least 12 characters, as in the webhook's address"),
    }
}

fn digits(text: &str) -> Result<String, &'static str> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { Ok(text.to_owned()) } else { Err("must be the app's id, which is a number") }
}

//! Through whom messages go out, and who writes them.

use serde_json::Value;

use super::{Settings, SmtpServer, domain, http_url};
use crate::{input::Email, secrets::Secret};

/// What does not go out where nobody takes it.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    pub email: Option<EmailSettings>,
    pub sms: Option<SmsSettings>,
    pub assistant: Option<AssistantSettings>,
    /// The domain of the addresses for answers.
    pub inbound_domain: Option<String>,
    /// Where the providers of dealerships' own accounts are, mail servers apart; each at its own address, if not told.
    pub own_accounts_url: Option<String>,
    /// Where dealerships' own mail servers are; each where the dealership says, if not told.
    pub own_accounts_server: Option<SmtpServer>,
    /// Messages that one dealership sends through our provider of a channel in a minute, while the others wait; 0 for no limit.
    pub per_minute: u32,
}

#[derive(Debug, Clone)]
pub struct EmailSettings {
    /// The address that our mails come from.
    pub from: String,
    pub provider: EmailProvider,
}

impl EmailSettings {
    /// The domain that our mails come from.
    pub fn domain(&self) -> &str {
        self.from.rsplit_once('@').map_or(self.from.as_str(), |(_, domain)| domain)
    }

    /// Whether the provider takes a mail with the same key once.
    pub fn is_idempotent(&self) -> bool {
        matches!(self.provider, EmailProvider::Resend(_))
    }
}

#[derive(Debug, Clone)]
pub enum EmailProvider {
    Smtp(SmtpServer),
    SendGrid(Access),
    Resend(Access),
    Postmark(Access),
}

#[derive(Debug, Clone)]
pub struct Access {
    pub key: Secret,
    /// Where the provider's API is; its own address, if not told.
    pub url: Option<String>,
}

#[derive(Debug, Clone)]
pub struct SmsSettings {
    /// A number such as `+4759440000`, a short one, or a name of at most 11 characters.
    pub from: String,
    pub provider: SmsProvider,
}

#[derive(Debug, Clone)]
pub enum SmsProvider {
    Twilio { account: String, access: Access },
    Http(HttpGateway),
}

/// A gateway that takes a text message as JSON.
#[derive(Debug, Clone)]
pub struct HttpGateway {
    pub url: String,
    /// The value of the header `Authorization`.
    pub authorization: Option<Secret>,
    /// What is sent: in its strings, `{from}`, `{to}`, `{text}` and `{id}` stand for the message's own.
    pub body: Value,
    /// Where in the answer the gateway's id is. <https://www.rfc-editor.org/rfc/rfc6901>
    pub id: Option<String>,
}

#[derive(Debug, Clone)]
pub struct AssistantSettings {
    pub provider: AssistantProvider,
    pub model: String,
    /// Where the API is; the provider's own address, if not told.
    pub url: Option<String>,
}

#[derive(Debug, Clone)]
pub enum AssistantProvider {
    Anthropic {
        key: Secret,
    },
    /// `OpenAI`, and whoever speaks its protocol: a local server may ask for no key.
    OpenAi {
        key: Option<Secret>,
    },
}

/// More than people write, and than inquiries come in.
const PER_MINUTE: u32 = 1_200;
const DEFAULT_MODEL: &str = "claude-haiku-5-5";
const EMAIL_REMEDY: &str = "EMAIL_PROVIDER asks for it";
const SMS_REMEDY: &str = "SMS_PROVIDER asks for it";
const ASSISTANTS: [&str; 2] = ["anthropic", "openai"];
const ASSISTANT_REMEDY: &str = "ASSISTANT asks for it";

impl Outgoing {
    pub(super) fn read(s: &mut Settings) -> Self {
        Self {
            email: email(s),
            sms: sms(s),
            assistant: assistant(s),
            inbound_domain: s.optional("INBOUND_DOMAIN", domain),
            own_accounts_url: s.optional("OWN_ACCOUNTS_API_URL", http_url),
            own_accounts_server: s.optional("OWN_ACCOUNTS_SMTP_URL", str::parse),
            per_minute: s.number("SENDING_PER_MINUTE", PER_MINUTE, 0..=100_000),
        }
    }
}

/// Asks for every variable, so that those are checked too that another provider would use.
fn email(s: &mut Settings) -> Option<EmailSettings> {
    let provider = s.optional("EMAIL_PROVIDER", one_of(&["smtp", "sendgrid", "resend", "postmark"]));
    let from = wanted(s, "EMAIL_FROM", provider.is_some(), EMAIL_REMEDY, address);
    let url = s.optional("EMAIL_API_URL", http_url);
    let by = |name: &str| provider.as_deref() == Some(name);
    let server = wanted(s, "SMTP_URL", by("smtp"), EMAIL_REMEDY, str::parse);
    let sendgrid = wanted(s, "SENDGRID_API_KEY", by("sendgrid"), EMAIL_REMEDY, key);
    let resend = wanted(s, "RESEND_API_KEY", by("resend"), EMAIL_REMEDY, key);
    let postmark = wanted(s, "POSTMARK_SERVER_TOKEN", by("postmark"), EMAIL_REMEDY, key);
    let access = |key| Access { key, url };
    let provider = match provider?.as_str() {
        "smtp" => EmailProvider::Smtp(server?),
        "sendgrid" => EmailProvider::SendGrid(access(sendgrid?)),
        "resend" => EmailProvider::Resend(access(resend?)),
        _ => EmailProvider::Postmark(access(postmark?)),
    };
    Some(EmailSettings { from: from?, provider })
}

fn sms(s: &mut Settings) -> Option<SmsSettings> {
    let provider = s.optional("SMS_PROVIDER", one_of(&["twilio", "http"]));
    let by = |name: &str| provider.as_deref() == Some(name);
    let from = wanted(s, "SMS_FROM", provider.is_some(), SMS_REMEDY, sms_sender);
    let account = wanted(s, "TWILIO_ACCOUNT_SID", by("twilio"), SMS_REMEDY, twilio_account);
    let token = wanted(s, "TWILIO_AUTH_TOKEN", by("twilio"), SMS_REMEDY, key);
    let url = s.optional("SMS_API_URL", http_url);
    let gateway = wanted(s, "SMS_HTTP_URL", by("http"), SMS_REMEDY, http_url);
    let authorization = s.optional("SMS_HTTP_AUTHORIZATION", key);
    let body = wanted(s, "SMS_HTTP_BODY", by("http"), SMS_REMEDY, template);
    let id = s.optional("SMS_HTTP_ID", pointer);
    let provider = if by("twilio") {
        SmsProvider::Twilio { account: account?, access: Access { key: token?, url } }
    } else {
        SmsProvider::Http(HttpGateway { url: gateway?, authorization, body: body?, id })
    };
    Some(SmsSettings { from: from?, provider })
}

/// Whether there is one to ask, for those who ask nothing themselves.
pub(super) fn has_assistant(s: &mut Settings) -> bool {
    s.optional("ASSISTANT", one_of(&ASSISTANTS)).is_some()
}

fn assistant(s: &mut Settings) -> Option<AssistantSettings> {
    let provider = s.optional("ASSISTANT", one_of(&ASSISTANTS));
    let by = |name: &str| provider.as_deref() == Some(name);
    let key = wanted(s, "ASSISTANT_API_KEY", by("anthropic"), ASSISTANT_REMEDY, key);
    let model = wanted(s, "ASSISTANT_MODEL", by("openai"), ASSISTANT_REMEDY, model);
    let url = s.optional("ASSISTANT_URL", http_url);
    match provider?.as_str() {
        "anthropic" => {
            let model = model.unwrap_or_else(|| DEFAULT_MODEL.to_owned());
            Some(AssistantSettings { provider: AssistantProvider::Anthropic { key: key? }, model, url })
        }
        _ => Some(AssistantSettings { provider: AssistantProvider::OpenAi { key }, model: model?, url }),
    }
}

fn wanted<T, E: std::fmt::Display>(
    s: &mut Settings,
    name: &'static str,
    is_wanted: bool,
    remedy: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    if is_wanted { s.required(name, remedy, parse) } else { s.optional(name, parse) }
}

fn one_of(names: &'static [&'static str]) -> impl Fn(&str) -> Result<String, String> {
    |text| if_so(names.contains(&text), text, ()).map_err(|()| format!("must be one of {}", names.join(", ")))
}

fn if_so<E>(is_so: bool, text: &str, problem: E) -> Result<String, E> {
    if is_so { Ok(text.to_owned()) } else { Err(problem) }
}

fn address(text: &str) -> Result<String, &'static str> {
    let email = text.parse::<Email>();
    email.map(|email| email.as_str().to_owned()).map_err(|_| "must be an e-mail address, such as svar@norvalt.no")
}

/// It becomes a header's value.
fn key(text: &str) -> Result<Secret, &'static str> {
    let is_key = text.len() >= 8 && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if_so(is_key, text, "must have at least 8 characters, all of them ASCII").map(Secret::new)
}

pub(crate) fn twilio_account(text: &str) -> Result<String, &'static str> {
    let is_account = text.starts_with("AC") && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if_so(is_account, text, "must be the id of the account, AC…, from Twilio's console")
}

fn model(text: &str) -> Result<String, &'static str> {
    if_so(text.bytes().all(|b| b.is_ascii_graphic()), text, "must be the id of a model")
}

/// A number as dialled from anywhere, a short number, or a name.
pub(crate) fn sms_sender(text: &str) -> Result<String, &'static str> {
    let digits = |text: &str, from, to| (from..=to).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let is_number = text.strip_prefix('+').is_some_and(|number| digits(number, 8, 15)) || digits(text, 3, 6);
    let is_name = text.len() <= 11
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ')
        && text.bytes().any(|b| b.is_ascii_alphabetic());
    let problem = "must be a number such as +4759440000, or a name of at most 11 letters, digits and spaces";
    if_so(is_number || is_name, text, problem)
}

fn template(text: &str) -> Result<Value, &'static str> {
    let template: Option<Value> = serde_json::from_str(text).ok();
    let names = |name: &str| text.contains(name);
    match template.filter(Value::is_object) {
        Some(template) if names("{to}") && names("{text}") => Ok(template),
        _ => Err(r#"must be a JSON object with {to} and {text} in its strings, such as {"to":"{to}","text":"{text}"}"#),
    }
}

fn pointer(text: &str) -> Result<String, &'static str> {
    if_so(text.starts_with('/'), text, "must be a JSON pointer, such as /messages/0/id")
}

#[cfg(test)]
mod tests {
    use super::{super::SmtpSecurity, *};

    fn read(values: &[(&'static str, &'static str)]) -> Result<Outgoing, Vec<String>> {
        let mut settings = Settings::from_values(values.iter().copied());
        let outgoing = Outgoing::read(&mut settings);
        settings.finish(Some(outgoing)).map_err(|error| error.problems().to_vec())
    }

    #[test]
    fn nothing_goes_out_unless_told() {
        let outgoing = read(&[("SENDGRID_API_KEY", "SG.hunter2hunter2")]).expect("valid");
        assert!(outgoing.email.is_none() && outgoing.sms.is_none() && outgoing.assistant.is_none());
    }

    #[test]
    fn each_provider_needs_its_own() {
        for (values, missing) in [
            (&[("EMAIL_PROVIDER", "smtp")][..], &["EMAIL_FROM", "SMTP_URL"][..]),
            (&[("EMAIL_PROVIDER", "sendgrid")], &["EMAIL_FROM", "SENDGRID_API_KEY"]),
            (&[("EMAIL_PROVIDER", "resend")], &["EMAIL_FROM", "RESEND_API_KEY"]),
            (&[("EMAIL_PROVIDER", "postmark")], &["EMAIL_FROM", "POSTMARK_SERVER_TOKEN"]),
            (&[("SMS_PROVIDER", "twilio")], &["SMS_FROM", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"]),
            (&[("SMS_PROVIDER", "http")], &["SMS_FROM", "SMS_HTTP_URL", "SMS_HTTP_BODY"]),
            (&[("ASSISTANT", "anthropic")], &["ASSISTANT_API_KEY"]),
            (&[("ASSISTANT", "openai")], &["ASSISTANT_MODEL"]),
            (
                &[("EMAIL_PROVIDER", "mailgun"), ("SMS_PROVIDER", "x"), ("ASSISTANT", "x")],
                &["EMAIL_PROVIDER", "SMS_PROVIDER", "ASSISTANT"],
            ),
        ] {
            let problems = read(values).expect_err("something is missing");
            let names: Vec<_> = problems.iter().filter_map(|line| line.trim().split(':').next()).collect();
            assert_eq!(names, missing, "{problems:?}");
        }
    }

    #[test]
    fn what_is_told_is_known_and_its_secrets_are_not_shown() {
        let outgoing = read(&[
            ("EMAIL_PROVIDER", "smtp"),
            ("EMAIL_FROM", "svar@norvalt.no"),
            ("SMTP_URL", "smtp://nor%40valt:hunter2%2Fhunter2@mail.example"),
            ("SMS_PROVIDER", "http"),
            ("SMS_FROM", "+4759440000"),
            ("SMS_HTTP_URL", "https://sms.example/send"),
            ("SMS_HTTP_AUTHORIZATION", "Bearer hunter2hunter2"),
            ("SMS_HTTP_BODY", r#"{"to":"{to}","text":"{text}"}"#),
            ("SMS_HTTP_ID", "/id"),
            ("ASSISTANT", "anthropic"),
            ("ASSISTANT_API_KEY", "sk-ant-hunter2"),
        ])
        .expect("valid");
        assert!(!format!("{outgoing:?}").contains("hunter2"), "{outgoing:?}");
        let email = outgoing.email.expect("told");
        let EmailProvider::Smtp(server) = email.provider else { panic!("{:?}", email.provider) };
        assert_eq!((server.host.as_str(), server.port, server.security), ("mail.example", 587, SmtpSecurity::StartTls));
        let login = server.login.expect("told");
        assert_eq!((login.user.as_str(), login.password.expose()), ("nor@valt", "hunter2/hunter2"));
        assert_eq!(outgoing.sms.expect("told").from, "+4759440000");
        assert_eq!(outgoing.assistant.expect("told").model, "claude-haiku-5-5");
    }

    #[test]
    fn a_local_assistant_needs_no_key() {
        let local = [("ASSISTANT", "openai"), ("ASSISTANT_MODEL", "llama"), ("ASSISTANT_URL", "http://127.0.0.1:8080")];
        let assistant = read(&local).expect("valid").assistant.expect("told");
        assert!(matches!(assistant.provider, AssistantProvider::OpenAi { key: None }));
    }

    #[test]
    fn wrong_values_are_told_all_at_once_and_not_shown() {
        let values = [
            ("EMAIL_FROM", "hunter2"),
            ("SMTP_URL", "hunter2"),
            ("EMAIL_API_URL", "hunter2"),
            ("RESEND_API_KEY", "hunter2"),
            ("TWILIO_ACCOUNT_SID", "hunter2"),
            ("SMS_FROM", "hunter2-hunter2"),
            ("SMS_HTTP_BODY", r#"{"to":"hunter2"}"#),
            ("SMS_HTTP_ID", "hunter2"),
            ("ASSISTANT_API_KEY", "hunter2"),
            ("ASSISTANT_MODEL", "hunter 2"),
        ];
        let problems = read(&values).expect_err("all of it is wrong");
        assert_eq!(problems.len(), values.len(), "{problems:?}");
        assert!(!problems.join("\n").contains("hunter"), "{problems:?}");
        for from in ["Bilhuset", "Bil 24", "2226", "+4759440000"] {
            assert_eq!(sms_sender(from).as_deref(), Ok(from));
        }
        for from in ["12345678", "Bilhuset i Bø", "Bilhuset i Bo", "+1", "+47 594 40 000", "12", ""] {
            sms_sender(from).expect_err(from);
        }
    }
}

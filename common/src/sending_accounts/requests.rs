use reqwest::Url;
use serde_json::Value;
use utoipa::ToSchema;

use super::{EmailService, Medium, PORTS, SmsService, Stored};
use crate::{
    config,
    input::{Email, Fields, FromFields, Invalid, integer, text},
    secrets::Secret,
};

/// Characters of a password or key.
const MAX_SECRET: usize = 500;

/// An account with its secret, as it is to be kept.
#[derive(Debug, Clone)]
pub struct NewAccount {
    pub(super) medium: Medium,
    pub(super) stored: Stored,
    pub(super) secret: Secret,
}

/// A dealership's own way for mails.
#[derive(Debug, Clone)]
pub struct NewEmailAccount(pub NewAccount);

/// A dealership's own way for text messages.
#[derive(Debug, Clone)]
pub struct NewSmsAccount(pub NewAccount);

impl FromFields for NewEmailAccount {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let provider = fields.required("provider", EmailService::parse);
        let from = fields.required("from", address);
        if provider == Some(EmailService::Smtp) {
            let host = fields.required("host", host);
            let port = fields.required("port", port);
            let user = fields.required("user", text(320));
            let password = fields.required("password", secret);
            let stored = Stored::Smtp { from: from?, host: host?, port: port?, user: user? };
            return Some(Self(NewAccount { medium: Medium::Email, stored, secret: password? }));
        }
        let key = fields.required("api_key", secret);
        let from = from?;
        let stored = match provider? {
            EmailService::Sendgrid => Stored::Sendgrid { from },
            EmailService::Resend => Stored::Resend { from },
            EmailService::Smtp | EmailService::Postmark => Stored::Postmark { from },
        };
        Some(Self(NewAccount { medium: Medium::Email, stored, secret: key? }))
    }
}

impl FromFields for NewSmsAccount {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let provider = fields.required("provider", SmsService::parse);
        let from = fields.required("from", told(config::sms_sender));
        let account_sid = fields.required("account_sid", told(config::twilio_account));
        let token = fields.required("auth_token", secret);
        let SmsService::Twilio = provider?;
        let stored = Stored::Twilio { from: from?, account_sid: account_sid? };
        Some(Self(NewAccount { medium: Medium::Sms, stored, secret: token? }))
    }
}

fn told(parse: fn(&str) -> Result<String, &'static str>) -> impl Fn(&Value) -> Result<String, Invalid> {
    move |value| parse(value.as_str().unwrap_or_default().trim()).map_err(Invalid::from)
}

fn address(value: &Value) -> Result<String, Invalid> {
    let email = value.as_str().unwrap_or_default().parse::<Email>();
    email
        .map(|email| email.as_str().to_owned())
        .map_err(|_| "must be an e-mail address, such as salg@bilvest.no".into())
}

/// It becomes part of a header or of a dialogue of lines.
fn secret(value: &Value) -> Result<Secret, Invalid> {
    let text = value.as_str().unwrap_or_default();
    let is_plain = (1..=MAX_SECRET).contains(&text.chars().count()) && !text.contains(char::is_control);
    if is_plain { Ok(Secret::new(text)) } else { Err("must be a text of one line and at most 500 characters".into()) }
}

fn port(value: &Value) -> Result<u16, Invalid> {
    let wrong = || Invalid::from("must be 465, 587 or 2525");
    let port = integer(1..=65_535)(value).ok().and_then(|port| u16::try_from(port).ok());
    port.filter(|port| PORTS.contains(port)).ok_or_else(wrong)
}

/// A name in DNS, in its ASCII form. Numbers in whatever spelling are addresses, and could be ones of ours; where a name leads
/// is checked at each connection.
fn host(value: &Value) -> Result<String, Invalid> {
    let given = value.as_str().unwrap_or_default().trim().to_lowercase();
    let url = Url::parse(&format!("https://{given}/")).ok();
    let name = url.as_ref().and_then(Url::domain).filter(|name| name.contains('.') && name.len() <= 253);
    let is_bare = |name: &str| url.as_ref().is_some_and(|url| url.as_str() == format!("https://{name}/"));
    let has_rest = given.contains(['/', '?', '#', '@', ':', '\\', '%']);
    match name {
        Some(name) if is_bare(name) && !has_rest && !is_ours(name) => Ok(name.to_owned()),
        _ => Err("must be the name of a mail server on the Internet, such as smtp.bilvest.no".into()),
    }
}

/// Names that mean something on one network only. <https://www.iana.org/assignments/special-use-domain-names>
fn is_ours(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    [".localhost", ".local", ".internal", ".lan", ".home.arpa"].iter().any(|top| name.ends_with(top))
}

/// A mail server with `host`, `port`, `user` and `password`, or a provider with `api_key`.
#[derive(Debug, ToSchema)]
pub struct EmailAccountBody {
    /// Whose service that is.
    pub provider: EmailService,
    /// The address that mails come from; the provider must let the account send as it.
    #[schema(max_length = 254, example = "salg@bilvest.example")]
    pub from: String,
    /// Name of the mail server.
    #[schema(max_length = 253, example = "smtp.bilvest.example")]
    pub host: Option<String>,
    /// 465 with TLS from the start, or 587 or 2525 with STARTTLS.
    #[schema(example = 587)]
    pub port: Option<u16>,
    /// Who logs in at the mail server.
    #[schema(max_length = 320)]
    pub user: Option<String>,
    /// Of the mail server. It is stored sealed and never shown.
    #[schema(max_length = 500, write_only)]
    pub password: Option<String>,
    /// Of a provider. It is stored sealed and never shown.
    #[schema(max_length = 500, write_only)]
    pub api_key: Option<String>,
}

/// An account at Twilio.
#[derive(Debug, ToSchema)]
pub struct SmsAccountBody {
    /// Whose service that is.
    pub provider: SmsService,
    /// One of its numbers, or a name of at most 11 characters.
    #[schema(max_length = 16, example = "+4759440000")]
    pub from: String,
    /// The account's id, from Twilio's console.
    #[schema(max_length = 64)]
    pub account_sid: String,
    /// The account's token. It is stored sealed and never shown.
    #[schema(max_length = 500, write_only)]
    pub auth_token: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{json, value::to_raw_value};

    use super::*;

    fn read<T: FromFields>(body: &Value) -> Result<T, Vec<String>> {
        let fields = body.as_object().expect("an object").iter();
        let fields = fields.map(|(name, value)| (name.clone(), to_raw_value(value).expect("JSON"))).collect();
        T::read(fields).map_err(|errors| errors.into_iter().map(|error| error.field).collect())
    }

    fn server(host: &str, port: u16) -> Value {
        json!({ "provider": "smtp", "from": "salg@bilvest.example", "host": host, "port": port, "user": "salg", "password": "hunter2" })
    }

    #[test]
    fn a_mail_server_is_named_at_a_port_for_mail() {
        for host in ["smtp.bilvest.example", "SMTP.Bilvest.Example", "mail.blåbær.no"] {
            let account: NewEmailAccount = read(&server(host, 587)).expect(host);
            assert!(!format!("{account:?}").contains("hunter2"));
        }
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "[::1]",
            "::1",
            "10.0.0.1",
            "169.254.169.254",
            "localhost",
            "db.internal",
            "nas.local",
            "smtp.bilvest.example:25",
            "user@smtp.bilvest.example",
            "smtp.bilvest.example/x",
            "smtp bilvest.example",
            "１２７.0.0.1",
            "",
        ] {
            assert_eq!(read::<NewEmailAccount>(&server(host, 587)).expect_err(host), ["host"], "{host}");
        }
        for port in [25, 22, 6379, 5432, 80] {
            assert_eq!(read::<NewEmailAccount>(&server("smtp.bilvest.example", port)).expect_err("a port"), ["port"]);
        }
    }

    #[test]
    fn each_account_needs_its_own() {
        let missing = |body: Value| read::<NewEmailAccount>(&body).expect_err("something is missing");
        assert_eq!(missing(json!({ "provider": "smtp" })), ["from", "host", "port", "user", "password"]);
        assert_eq!(missing(json!({ "provider": "resend" })), ["from", "api_key"]);
        assert_eq!(missing(json!({ "provider": "twilio", "from": "a@b.no", "api_key": "x" })), ["provider"]);
        let two_lines = json!({ "provider": "resend", "from": "a@b.no", "api_key": "x\r\ny" });
        assert_eq!(missing(two_lines), ["api_key"]);
        let twilio = json!({ "provider": "twilio", "from": "+4759440000", "account_sid": "AC7", "auth_token": "x" });
        read::<NewSmsAccount>(&twilio).expect("nothing is missing");
        let wrong = json!({ "provider": "twilio", "from": "x-y", "account_sid": "7", "auth_token": "" });
        assert_eq!(read::<NewSmsAccount>(&wrong).expect_err("wrong"), ["from", "account_sid", "auth_token"]);
    }
}

//! A dealership's own mail server or provider, through which its messages go out instead of ours.
//!
//! Nobody reports to us what became of a message that such an account took: it counts as delivered then. Text messages that
//! customers send to its number come to us, if the dealership has Twilio post them.

mod domain;
mod inbound;
mod requests;
mod store;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use domain::{DomainRecord, Question, RecordKind, RecordStatus, SendingDomain, passes};
pub use inbound::tokens_of_number;
pub use requests::{EmailAccountBody, NewAccount, NewEmailAccount, NewSmsAccount, SmsAccountBody};
pub(crate) use store::own_address;
pub use store::{
    Account, AccountError, Own, check_domain, domain_to_check, email, email_of, keep, mark_broken, mark_working,
    remove, save_domain, sms, sms_of,
};

use crate::{
    config::{Access, EmailProvider, EmailSettings, SmsProvider, SmsSettings, SmtpLogin, SmtpSecurity, SmtpServer},
    secrets::Secret,
    text_enum::text_enum,
};

text_enum!(
    /// What goes out through an account.
    #[derive(Hash, PartialOrd, Ord)]
    Medium {
        /// Mails.
        Email = "email",
        /// Text messages.
        Sms = "sms",
    }
);

text_enum!(
    /// Whose service a dealership's mails go through.
    EmailService {
        /// A mail server.
        Smtp = "smtp",
        Sendgrid = "sendgrid",
        Resend = "resend",
        Postmark = "postmark",
    }
);

text_enum!(
    /// Whose service a dealership's text messages go through.
    SmsService { Twilio = "twilio" }
);

text_enum!(
    /// Whether mails come from the dealership's own domain.
    DomainStatus {
        /// It is being looked up.
        Pending = "pending",
        /// Whoever receives a mail can tell that it is the domain's.
        Passed = "passed",
        /// Records are missing or wrong.
        Failed = "failed",
    }
);

/// What is stored of an account besides its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "provider", rename_all = "snake_case")]
enum Stored {
    Smtp { from: String, host: String, port: u16, user: String },
    Sendgrid { from: String },
    Resend { from: String },
    Postmark { from: String },
    Twilio { from: String, account_sid: String },
}

impl Stored {
    /// With whom to send mail, if it is such an account.
    fn email(self, key: Secret) -> Option<EmailSettings> {
        let access = |key| Access { key, url: None };
        let (from, provider) = match self {
            Self::Smtp { from, host, port, user } => {
                let security = if port == TLS_PORT { SmtpSecurity::Tls } else { SmtpSecurity::StartTls };
                let login = Some(SmtpLogin { user, password: key });
                (from, EmailProvider::Smtp(SmtpServer { host, port, security, login }))
            }
            Self::Sendgrid { from } => (from, EmailProvider::SendGrid(access(key))),
            Self::Resend { from } => (from, EmailProvider::Resend(access(key))),
            Self::Postmark { from } => (from, EmailProvider::Postmark(access(key))),
            Self::Twilio { .. } => return None,
        };
        Some(EmailSettings { from, provider })
    }

    /// Which domain its mails come from, if it is for mails.
    fn domain(&self) -> Option<SendingDomain> {
        Some(match self {
            Self::Smtp { from, host, .. } => SendingDomain::new(from, EmailService::Smtp, Some(host)),
            Self::Sendgrid { from } => SendingDomain::new(from, EmailService::Sendgrid, None),
            Self::Resend { from } => SendingDomain::new(from, EmailService::Resend, None),
            Self::Postmark { from } => SendingDomain::new(from, EmailService::Postmark, None),
            Self::Twilio { .. } => return None,
        })
    }

    /// Whether it sends whatever DNS says: a mail server takes no mails from another address than its own.
    fn is_server(&self) -> bool {
        matches!(self, Self::Smtp { .. })
    }

    /// With whom to send text messages, if it is such an account.
    fn sms(self, token: Secret) -> Option<SmsSettings> {
        let Self::Twilio { from, account_sid: account } = self else { return None };
        Some(SmsSettings { from, provider: SmsProvider::Twilio { account, access: Access { key: token, url: None } } })
    }
}

/// Encrypted from the start; the others are once the server has been asked. <https://www.rfc-editor.org/rfc/rfc8314>
const TLS_PORT: u16 = 465;
/// Where mail servers take mail of those who log in.
const PORTS: [u16; 3] = [TLS_PORT, 587, 2525];

/// Through what a dealership's mails go out.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct EmailAccount {
    /// Whose service that is; null where ours is used.
    pub provider: Option<EmailService>,
    /// The address that mails come from.
    #[schema(example = "salg@bilvest.example")]
    pub from: Option<String>,
    /// Name of the mail server.
    #[schema(example = "smtp.bilvest.example")]
    pub host: Option<String>,
    /// Port of the mail server.
    #[schema(example = 587)]
    pub port: Option<u16>,
    /// Who logs in there.
    pub user: Option<String>,
    /// Whether a password or key is stored. It is never shown.
    pub has_secret: bool,
    /// What is wrong with it, until a message is taken again.
    pub broken_reason: Option<String>,
    /// Whether DNS says that mails of `from` are the domain's. Until it is `passed`, mails go out from our address and through our
    /// provider instead, with answers to yours; those of a mail server of your own do not wait for it. Null for an account that is
    /// older than this check.
    pub domain_status: Option<DomainStatus>,
    /// What was found in DNS, and what to put there.
    pub domain_records: Vec<DomainRecord>,
    /// When that was looked up.
    pub domain_checked_at: Option<DateTime<Utc>>,
    /// When it was last set.
    pub updated_at: Option<DateTime<Utc>>,
}

/// Through what a dealership's text messages go out.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct SmsAccount {
    /// Whose service that is; null where ours is used.
    pub provider: Option<SmsService>,
    /// The number or name that messages come from.
    #[schema(example = "+4759440000")]
    pub from: Option<String>,
    /// The account at Twilio.
    pub account_sid: Option<String>,
    /// Whether its token is stored. It is never shown.
    pub has_secret: bool,
    /// What is wrong with it, until a message is taken again.
    pub broken_reason: Option<String>,
    /// When it was last set.
    pub updated_at: Option<DateTime<Utc>>,
}

impl From<Account> for EmailAccount {
    fn from(account: Account) -> Self {
        let mut shown = Self {
            has_secret: true,
            broken_reason: account.broken_reason,
            domain_status: account.domain_status,
            domain_records: account.domain_records.map(|records| records.0).unwrap_or_default(),
            domain_checked_at: account.domain_checked_at,
            updated_at: Some(account.updated_at),
            ..Self::default()
        };
        let (provider, from) = match account.settings.0 {
            Stored::Smtp { from, host, port, user } => {
                (shown.host, shown.port, shown.user) = (Some(host), Some(port), Some(user));
                (EmailService::Smtp, from)
            }
            Stored::Sendgrid { from } => (EmailService::Sendgrid, from),
            Stored::Resend { from } => (EmailService::Resend, from),
            Stored::Postmark { from } => (EmailService::Postmark, from),
            Stored::Twilio { .. } => return Self::default(),
        };
        (shown.provider, shown.from) = (Some(provider), Some(from));
        shown
    }
}

impl From<Account> for SmsAccount {
    fn from(account: Account) -> Self {
        let Stored::Twilio { from, account_sid } = account.settings.0 else { return Self::default() };
        Self {
            provider: Some(SmsService::Twilio),
            from: Some(from),
            account_sid: Some(account_sid),
            has_secret: true,
            broken_reason: account.broken_reason,
            updated_at: Some(account.updated_at),
        }
    }
}

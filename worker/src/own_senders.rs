//! Clients of dealerships' own accounts. Each is made once and kept, with the connections that it has.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use common::{
    config::{EmailProvider, EmailSettings, Outgoing, SmsProvider, SmsSettings, SmtpServer},
    ids::DealershipId,
    sending_accounts::Own,
};
use integrations::{
    email::{EmailSender, NoProvider, own_host::own_host, smtp::Smtp},
    sms::SmsSender,
};

use crate::providers;

/// Clients of a kind that are kept.
const MAX_KEPT: usize = 256;

type Kept<S> = Mutex<HashMap<DealershipId, (DateTime<Utc>, Arc<S>)>>;

#[derive(Debug, Default)]
pub struct OwnSenders {
    /// Where all providers are, if not at their own addresses.
    url: Option<String>,
    /// Where all mail servers are, if not where dealerships say.
    server: Option<SmtpServer>,
    email: Kept<dyn EmailSender>,
    sms: Kept<dyn SmsSender>,
}

impl OwnSenders {
    pub(crate) fn new(outgoing: &Outgoing) -> Self {
        let Outgoing { own_accounts_url: url, own_accounts_server: server, .. } = outgoing.clone();
        Self { url, server, ..Self::default() }
    }

    pub(crate) fn email(&self, own: &Own<EmailSettings>) -> Result<Arc<dyn EmailSender>, NoProvider> {
        kept(&self.email, own, |settings| match settings.provider.clone() {
            EmailProvider::Smtp(server) => Ok(match &self.server {
                Some(instead) => Arc::new(Smtp::new(instead.clone(), settings.domain())?),
                None => Arc::new(own_host(server, settings.domain())?),
            }),
            EmailProvider::SendGrid(access) => Self::provider(settings, EmailProvider::SendGrid(self.at(access))),
            EmailProvider::Resend(access) => Self::provider(settings, EmailProvider::Resend(self.at(access))),
            EmailProvider::Postmark(access) => Self::provider(settings, EmailProvider::Postmark(self.at(access))),
        })
    }

    /// Nobody reports to us what becomes of a message: reports would be signed with the account's own token.
    pub(crate) fn sms(&self, own: &Own<SmsSettings>) -> Result<Arc<dyn SmsSender>, NoProvider> {
        kept(&self.sms, own, |settings| {
            let provider = match settings.provider.clone() {
                SmsProvider::Twilio { account, access } => SmsProvider::Twilio { account, access: self.at(access) },
                gateway @ SmsProvider::Http(_) => gateway,
            };
            providers::sms(&SmsSettings { provider, from: settings.from.clone() }, None)
        })
    }

    fn provider(settings: &EmailSettings, provider: EmailProvider) -> Result<Arc<dyn EmailSender>, NoProvider> {
        providers::email(&EmailSettings { provider, from: settings.from.clone() })
    }

    fn at(&self, access: common::config::Access) -> common::config::Access {
        common::config::Access { url: self.url.clone(), ..access }
    }
}

/// The client for this state of the account. When there are too many, any of them goes.
fn kept<S: ?Sized, T>(
    kept: &Kept<S>,
    own: &Own<T>,
    make: impl FnOnce(&T) -> Result<Arc<S>, NoProvider>,
) -> Result<Arc<S>, NoProvider> {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((updated_at, sender)) = kept.get(&own.dealership)
        && *updated_at == own.updated_at
    {
        return Ok(sender.clone());
    }
    let sender = make(&own.settings)?;
    if kept.len() >= MAX_KEPT
        && let Some(any) = kept.keys().next().copied()
    {
        kept.remove(&any);
    }
    kept.insert(own.dealership, (own.updated_at, sender.clone()));
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use common::{
        config::{Access, SmtpSecurity, SmtpServer},
        secrets::Secret,
        sending_accounts::Medium,
    };
    use uuid::Uuid;

    use super::*;

    fn own(dealership: u128, updated: i64, provider: EmailProvider) -> Own<EmailSettings> {
        Own {
            dealership: Uuid::from_u128(dealership).into(),
            medium: Medium::Email,
            updated_at: DateTime::from_timestamp(updated, 0).expect("a time"),
            is_confirmed: true,
            settings: EmailSettings { from: "salg@bilvest.example".to_owned(), provider },
        }
    }

    fn resend() -> EmailProvider {
        EmailProvider::Resend(Access { key: Secret::new("re_hunter2"), url: None })
    }

    #[test]
    fn a_client_is_kept_until_the_account_changes_and_no_more_than_some_are() {
        let senders = OwnSenders::default();
        let first = senders.email(&own(1, 1, resend())).expect("a client");
        assert!(Arc::ptr_eq(&first, &senders.email(&own(1, 1, resend())).expect("a client")));
        assert!(!Arc::ptr_eq(&first, &senders.email(&own(2, 1, resend())).expect("a client")), "another's");
        let changed = senders.email(&own(1, 2, resend())).expect("a client");
        assert!(!Arc::ptr_eq(&first, &changed));
        for dealership in 0..600 {
            senders.email(&own(dealership, 1, resend())).expect("a client");
        }
        assert!(senders.email.lock().expect("nobody panicked").len() <= MAX_KEPT);
    }

    #[test]
    fn a_server_inside_is_no_server_of_a_dealership() {
        for host in ["127.0.0.1", "localhost", "10.0.0.1"] {
            let server = SmtpServer { host: host.to_owned(), port: 587, security: SmtpSecurity::StartTls, login: None };
            OwnSenders::default().email(&own(1, 1, EmailProvider::Smtp(server))).expect_err(host);
        }
    }
}

use chrono::{DateTime, Utc};
use sqlx::{FromRow, types::Json};

use super::{DomainRecord, DomainStatus, EmailAccount, Medium, NewAccount, SendingDomain, SmsAccount, Stored, passes};
use crate::{
    config::{EmailSettings, SmsSettings},
    db::{Error, Result, TenantTx},
    ids::{DealershipId, OutboxId},
    jobs::CheckDomain,
    notifications::{self, Event},
    queue::{NewJob, enqueue},
    secrets::{Keyring, NoKey, OpenError, Place, Sealed, Secret},
};

/// An account as it is stored.
#[derive(Debug, Clone, FromRow)]
pub struct Account {
    pub(super) settings: Json<Stored>,
    secret: Sealed,
    pub(super) broken_reason: Option<String>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) domain_status: Option<DomainStatus>,
    pub(super) domain_records: Option<Json<Vec<DomainRecord>>>,
    pub(super) domain_checked_at: Option<DateTime<Utc>>,
}

/// What is read of a row.
macro_rules! columns {
    () => {
        "settings, secret, broken_reason, updated_at, domain_status, domain_records, domain_checked_at"
    };
}

impl Account {
    /// Whether messages may come from its address: whoever receives a mail can tell that it is the domain's, or nobody has asked.
    pub(super) fn is_confirmed(&self) -> bool {
        self.settings.0.is_server() || matches!(self.domain_status, None | Some(DomainStatus::Passed))
    }
}

/// Why an account was not kept, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error(transparent)]
    NoKey(#[from] NoKey),
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] Error),
}

impl From<sqlx::Error> for AccountError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

pub(super) fn place(dealership: DealershipId, medium: Medium) -> Place {
    let column = match medium {
        Medium::Email => "sending_accounts.secret of email",
        Medium::Sms => "sending_accounts.secret of sms",
    };
    Place { dealership, column, row: dealership.into() }
}

/// The dealership's own account, if it has one.
async fn find(tx: &mut TenantTx, medium: Medium) -> Result<Option<Account>> {
    Ok(sqlx::query_as(concat!(
        "-- sending_accounts::find\nSELECT ",
        columns!(),
        " FROM sending_accounts WHERE dealership_id = $1 AND channel = $2 AND secret IS NOT NULL"
    ))
    .bind(tx.dealership())
    .bind(medium)
    .fetch_optional(tx.conn())
    .await?)
}

/// As people see the account for mails.
pub async fn email(tx: &mut TenantTx) -> Result<EmailAccount> {
    Ok(find(tx, Medium::Email).await?.map(EmailAccount::from).unwrap_or_default())
}

/// The address that mails come from, where that is the dealership's own.
pub(crate) async fn own_address(tx: &mut TenantTx) -> Result<Option<String>> {
    let account = find(tx, Medium::Email).await?.filter(Account::is_confirmed);
    Ok(account.and_then(|account| EmailAccount::from(account).from))
}

/// As people see the account for text messages.
pub async fn sms(tx: &mut TenantTx) -> Result<SmsAccount> {
    Ok(find(tx, Medium::Sms).await?.map(SmsAccount::from).unwrap_or_default())
}

/// Keeps an account, in place of the one that was there.
pub async fn keep(tx: &mut TenantTx, keyring: &Keyring, new: &NewAccount) -> Result<(), AccountError> {
    let sealed = keyring.seal(&new.secret, &place(tx.dealership(), new.medium))?;
    sqlx::query(
        "-- sending_accounts::keep
         INSERT INTO sending_accounts (dealership_id, channel, settings, secret, updated_at, domain_status)
         VALUES ($1, $2, $3, $4, statement_timestamp(), CASE $2 WHEN 'email' THEN 'pending' END)
         ON CONFLICT (dealership_id, channel)
         DO UPDATE SET settings = excluded.settings, secret = excluded.secret, broken_reason = NULL, updated_at = excluded.updated_at,
           domain_status = excluded.domain_status, domain_records = NULL, domain_checked_at = NULL",
    )
    .bind(tx.dealership())
    .bind(new.medium)
    .bind(Json(&new.stored))
    .bind(sealed)
    .execute(tx.conn())
    .await?;
    if new.medium == Medium::Email {
        check_domain(tx).await?;
    }
    Ok(())
}

/// Has the domain looked up that mails come from. Until that is done, what was found before counts.
pub async fn check_domain(tx: &mut TenantTx) -> Result<()> {
    let unique_key = format!("domain of {}", tx.dealership());
    enqueue(tx, &NewJob { unique_key: Some(&unique_key), ..NewJob::now(&CheckDomain {}) }).await?;
    Ok(())
}

/// The domain that mails come from, if they go out through an account of the dealership's, and which state of the account that is.
pub async fn domain_to_check(tx: &mut TenantTx) -> Result<Option<(SendingDomain, DateTime<Utc>)>> {
    let account = find(tx, Medium::Email).await?;
    Ok(account.and_then(|account| Some((account.settings.0.domain()?, account.updated_at))))
}

/// Hours after which a domain that has not passed is looked up again by itself, and days for which it is.
const AGAIN: i32 = 1;
const DAYS: i32 = 3;

/// Writes down what was found of the domain, if the account is still the same, and says whether it has passed.
pub async fn save_domain(tx: &mut TenantTx, updated_at: DateTime<Utc>, records: &[DomainRecord]) -> Result<bool> {
    let passed = passes(records);
    let status = if passed { DomainStatus::Passed } else { DomainStatus::Failed };
    let again: Option<Option<DateTime<Utc>>> = sqlx::query_scalar(
        "-- sending_accounts::save_domain
         UPDATE sending_accounts SET domain_status = $3, domain_records = $4, domain_checked_at = now()
         WHERE dealership_id = $1 AND channel = 'email' AND updated_at = $2
         RETURNING CASE WHEN updated_at > now() - make_interval(days => $5) THEN now() + make_interval(hours => $6) END",
    )
    .bind(tx.dealership())
    .bind(updated_at)
    .bind(status)
    .bind(Json(records))
    .bind(DAYS)
    .bind(AGAIN)
    .fetch_optional(tx.conn())
    .await?;
    if let (false, Some(Some(run_at))) = (passed, again) {
        let unique_key = format!("domain of {} again", tx.dealership());
        let job = CheckDomain {};
        enqueue(tx, &NewJob { run_at: Some(run_at), unique_key: Some(&unique_key), ..NewJob::now(&job) }).await?;
    }
    Ok(passed)
}

/// Forgets the account: messages go out through our provider again.
pub async fn remove(tx: &mut TenantTx, medium: Medium) -> Result<()> {
    sqlx::query("-- sending_accounts::remove\nDELETE FROM sending_accounts WHERE dealership_id = $1 AND channel = $2")
        .bind(tx.dealership())
        .bind(medium)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A dealership's own account, opened.
#[derive(Debug, Clone)]
pub struct Own<S> {
    pub dealership: DealershipId,
    pub medium: Medium,
    /// Which state of the account that is.
    pub updated_at: DateTime<Utc>,
    /// Whether mails may come from its address.
    pub is_confirmed: bool,
    pub settings: S,
}

impl<S> Own<S> {
    /// Without what it was opened for.
    pub fn mark(&self) -> Own<()> {
        let Self { dealership, medium, updated_at, is_confirmed, .. } = *self;
        Own { dealership, medium, updated_at, is_confirmed, settings: () }
    }
}

/// The account that a mail is sent through, if the dealership has its own. What we tell people of the dealership goes through
/// ours.
pub async fn email_of(
    tx: &mut TenantTx,
    keyring: &Keyring,
    sending: OutboxId,
) -> Result<Option<Own<EmailSettings>>, AccountError> {
    own(tx, keyring, sending, Medium::Email, Stored::email).await
}

/// The same of a text message.
pub async fn sms_of(
    tx: &mut TenantTx,
    keyring: &Keyring,
    sending: OutboxId,
) -> Result<Option<Own<SmsSettings>>, AccountError> {
    own(tx, keyring, sending, Medium::Sms, Stored::sms).await
}

async fn own<S>(
    tx: &mut TenantTx,
    keyring: &Keyring,
    sending: OutboxId,
    medium: Medium,
    opened: fn(Stored, Secret) -> Option<S>,
) -> Result<Option<Own<S>>, AccountError> {
    let account: Option<Account> = sqlx::query_as(
        "-- sending_accounts::own
         SELECT a.settings, a.secret, a.broken_reason, a.updated_at, a.domain_status, a.domain_records, a.domain_checked_at
         FROM sending_accounts a
         JOIN outbox o ON o.id = $2 AND o.dealership_id = $1 AND o.message_id IS NOT NULL
         WHERE a.dealership_id = $1 AND a.channel = $3 AND a.secret IS NOT NULL",
    )
    .bind(tx.dealership())
    .bind(sending)
    .bind(medium)
    .fetch_optional(tx.conn())
    .await?;
    let Some(account) = account else { return Ok(None) };
    let is_confirmed = account.is_confirmed();
    let Account { settings: Json(stored), secret, updated_at, .. } = account;
    let secret = keyring.open(&secret, &place(tx.dealership(), medium))?;
    let settings = opened(stored, secret);
    Ok(settings.map(|settings| Own { dealership: tx.dealership(), medium, updated_at, is_confirmed, settings }))
}

/// Notes why an account does not let us send until somebody repairs it, and tells the admins the first time.
pub async fn mark_broken(tx: &mut TenantTx, own: &Own<()>, reason: &str) -> Result<()> {
    let was: Option<Option<String>> = sqlx::query_scalar(
        "-- sending_accounts::mark_broken
         SELECT broken_reason FROM sending_accounts WHERE dealership_id = $1 AND channel = $2 AND updated_at = $3
         FOR NO KEY UPDATE",
    )
    .bind(tx.dealership())
    .bind(own.medium)
    .bind(own.updated_at)
    .fetch_optional(tx.conn())
    .await?;
    let Some(was) = was else { return Ok(()) };
    sqlx::query(
        "-- sending_accounts::mark_broken
         UPDATE sending_accounts SET broken_reason = $3 WHERE dealership_id = $1 AND channel = $2",
    )
    .bind(tx.dealership())
    .bind(own.medium)
    .bind(reason)
    .execute(tx.conn())
    .await?;
    if was.is_none() {
        notifications::tell(tx, Event::SendingBroken, None).await?;
    }
    Ok(())
}

/// Notes that an account has taken a message.
pub async fn mark_working(tx: &mut TenantTx, own: &Own<()>) -> Result<()> {
    sqlx::query(
        "-- sending_accounts::mark_working
         UPDATE sending_accounts SET broken_reason = NULL
         WHERE dealership_id = $1 AND channel = $2 AND updated_at = $3 AND broken_reason IS NOT NULL",
    )
    .bind(tx.dealership())
    .bind(own.medium)
    .bind(own.updated_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

use chrono::{DateTime, Utc};
use sqlx::{FromRow, types::Json};

use super::{EmailAccount, Medium, NewAccount, SmsAccount, Stored};
use crate::{
    config::{EmailSettings, SmsSettings},
    db::{Error, Result, TenantTx},
    ids::{DealershipId, OutboxId},
    notifications::{self, Event},
    secrets::{Keyring, NoKey, OpenError, Place, Sealed, Secret},
};

/// An account as it is stored.
#[derive(Debug, Clone, FromRow)]
pub struct Account {
    pub(super) settings: Json<Stored>,
    secret: Sealed,
    pub(super) broken_reason: Option<String>,
    pub(super) updated_at: DateTime<Utc>,
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

fn place(dealership: DealershipId, medium: Medium) -> Place {
    let column = match medium {
        Medium::Email => "sending_accounts.secret of email",
        Medium::Sms => "sending_accounts.secret of sms",
    };
    Place { dealership, column, row: dealership.into() }
}

/// The dealership's own account, if it has one.
async fn find(tx: &mut TenantTx, medium: Medium) -> Result<Option<Account>> {
    Ok(sqlx::query_as(
        "-- sending_accounts::find
         SELECT settings, secret, broken_reason, updated_at FROM sending_accounts
         WHERE dealership_id = $1 AND channel = $2 AND secret IS NOT NULL",
    )
    .bind(tx.dealership())
    .bind(medium)
    .fetch_optional(tx.conn())
    .await?)
}

/// As people see the account for mails.
pub async fn email(tx: &mut TenantTx) -> Result<EmailAccount> {
    Ok(find(tx, Medium::Email).await?.map(EmailAccount::from).unwrap_or_default())
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
         INSERT INTO sending_accounts (dealership_id, channel, settings, secret, updated_at)
         VALUES ($1, $2, $3, $4, statement_timestamp())
         ON CONFLICT (dealership_id, channel)
         DO UPDATE SET settings = excluded.settings, secret = excluded.secret, broken_reason = NULL, updated_at = excluded.updated_at",
    )
    .bind(tx.dealership())
    .bind(new.medium)
    .bind(Json(&new.stored))
    .bind(sealed)
    .execute(tx.conn())
    .await?;
    Ok(())
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
    pub settings: S,
}

impl<S> Own<S> {
    /// Without what it was opened for.
    pub fn mark(&self) -> Own<()> {
        Own { dealership: self.dealership, medium: self.medium, updated_at: self.updated_at, settings: () }
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
         SELECT a.settings, a.secret, a.broken_reason, a.updated_at FROM sending_accounts a
         JOIN outbox o ON o.id = $2 AND o.dealership_id = $1 AND o.message_id IS NOT NULL
         WHERE a.dealership_id = $1 AND a.channel = $3 AND a.secret IS NOT NULL",
    )
    .bind(tx.dealership())
    .bind(sending)
    .bind(medium)
    .fetch_optional(tx.conn())
    .await?;
    let Some(Account { settings: Json(stored), secret, updated_at, .. }) = account else { return Ok(None) };
    let secret = keyring.open(&secret, &place(tx.dealership(), medium))?;
    let settings = opened(stored, secret);
    Ok(settings.map(|settings| Own { dealership: tx.dealership(), medium, updated_at, settings }))
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

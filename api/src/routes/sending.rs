use axum::{Json, extract::State, http::StatusCode};
use common::sending_accounts::{
    self, AccountError, EmailAccount, EmailAccountBody, Medium, NewEmailAccount, NewSmsAccount, SmsAccount,
    SmsAccountBody,
};

use crate::{
    auth::{Tenant, answer, commit},
    extract::ValidJson,
    idempotency::Answered,
    openapi::{BodyProblems, MemberProblems},
    permissions::Action,
    problem::Problem,
    state::AppState,
};

/// Through which account of yours mails go out; without `provider`, through ours. For admins.
#[utoipa::path(
    get, path = "/dealership/sending/email", tag = "Dealership", operation_id = "getEmailAccount", extensions(("x-role" = json!("admin"))),
    responses((status = 200, description = "The account", body = EmailAccount), MemberProblems),
)]
pub(crate) async fn email(mut tenant: Tenant) -> Result<Json<EmailAccount>, Problem> {
    tenant.require(Action::ChangeDealership)?;
    let account = sending_accounts::email(&mut tenant.tx).await?;
    tenant.leave();
    Ok(Json(account))
}

/// Has mails go out through an account of yours from now on. If it does not let us send, messages wait, and `broken_reason` says
/// why. The domain of `from` is looked up in DNS: `domain_records` says a moment later what to put there. For admins.
#[utoipa::path(
    put, path = "/dealership/sending/email", tag = "Dealership", operation_id = "putEmailAccount", extensions(("x-role" = json!("admin"))),
    request_body(content = EmailAccountBody, example = json!({ "provider": "smtp", "from": "salg@bilvest.example", "host": "smtp.bilvest.example", "port": 587, "user": "salg@bilvest.example", "password": "…" })),
    responses((status = 200, description = "The account", body = EmailAccount), MemberProblems, BodyProblems),
)]
pub(crate) async fn keep_email(
    State(state): State<AppState>,
    mut tenant: Tenant,
    ValidJson(new): ValidJson<NewEmailAccount>,
) -> Result<Json<EmailAccount>, Problem> {
    tenant.require(Action::ChangeDealership)?;
    let account = commit!(tenant, async {
        sending_accounts::keep(&mut tenant.tx, &state.keyring, &new.0).await?;
        Ok::<_, AccountError>(sending_accounts::email(&mut tenant.tx).await?)
    });
    Ok(Json(account))
}

/// Has the domain of the account's address looked up again in DNS; what was found stands in the account a moment later. For admins.
#[utoipa::path(
    post, path = "/dealership/sending/email/check", tag = "Dealership", operation_id = "checkEmailAccount", extensions(("x-role" = json!("admin"))),
    responses((status = 200, description = "The account, with what was found before", body = EmailAccount), MemberProblems),
)]
pub(crate) async fn check_email(mut tenant: Tenant) -> Result<Answered, Problem> {
    tenant.require(Action::ChangeDealership)?;
    answer!(tenant, async {
        let account = sending_accounts::email(&mut tenant.tx).await?;
        if account.provider.is_some() {
            sending_accounts::check_domain(&mut tenant.tx).await?;
        }
        Answered::ok(&account)
    })
}

/// Forgets the account: mails go out through ours again. For admins.
#[utoipa::path(
    delete, path = "/dealership/sending/email", tag = "Dealership", operation_id = "deleteEmailAccount", extensions(("x-role" = json!("admin"))),
    responses((status = 204, description = "It is gone"), MemberProblems),
)]
pub(crate) async fn remove_email(mut tenant: Tenant) -> Result<StatusCode, Problem> {
    tenant.require(Action::ChangeDealership)?;
    commit!(tenant, sending_accounts::remove(&mut tenant.tx, Medium::Email));
    Ok(StatusCode::NO_CONTENT)
}

/// Through which account of yours text messages go out; without `provider`, through ours. For admins.
#[utoipa::path(
    get, path = "/dealership/sending/sms", tag = "Dealership", operation_id = "getSmsAccount", extensions(("x-role" = json!("admin"))),
    responses((status = 200, description = "The account", body = SmsAccount), MemberProblems),
)]
pub(crate) async fn sms(mut tenant: Tenant) -> Result<Json<SmsAccount>, Problem> {
    tenant.require(Action::ChangeDealership)?;
    let account = sending_accounts::sms(&mut tenant.tx).await?;
    tenant.leave();
    Ok(Json(account))
}

/// Has text messages go out through an account of yours from now on. If it does not let us send, messages wait, and `broken_reason` says
/// why. For admins.
#[utoipa::path(
    put, path = "/dealership/sending/sms", tag = "Dealership", operation_id = "putSmsAccount", extensions(("x-role" = json!("admin"))),
    request_body(content = SmsAccountBody, example = json!({ "provider": "twilio", "from": "+4759440000", "account_sid": "AC0123456789abcdef0123456789abcdef", "auth_token": "…" })),
    responses((status = 200, description = "The account", body = SmsAccount), MemberProblems, BodyProblems),
)]
pub(crate) async fn keep_sms(
    State(state): State<AppState>,
    mut tenant: Tenant,
    ValidJson(new): ValidJson<NewSmsAccount>,
) -> Result<Json<SmsAccount>, Problem> {
    tenant.require(Action::ChangeDealership)?;
    let account = commit!(tenant, async {
        sending_accounts::keep(&mut tenant.tx, &state.keyring, &new.0).await?;
        Ok::<_, AccountError>(sending_accounts::sms(&mut tenant.tx).await?)
    });
    Ok(Json(account))
}

/// Forgets the account: text messages go out through ours again. For admins.
#[utoipa::path(
    delete, path = "/dealership/sending/sms", tag = "Dealership", operation_id = "deleteSmsAccount", extensions(("x-role" = json!("admin"))),
    responses((status = 204, description = "It is gone"), MemberProblems),
)]
pub(crate) async fn remove_sms(mut tenant: Tenant) -> Result<StatusCode, Problem> {
    tenant.require(Action::ChangeDealership)?;
    commit!(tenant, sending_accounts::remove(&mut tenant.tx, Medium::Sms));
    Ok(StatusCode::NO_CONTENT)
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::NoKey(error) => error.into(),
            AccountError::Db(error) => error.into(),
            // Nothing is opened here.
            AccountError::Open(_) => Self::internal(),
        }
    }
}

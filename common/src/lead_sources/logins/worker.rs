//! What a worker does of a login.

use std::collections::BTreeMap;

use sqlx::types::Json;
use uuid::Uuid;

use super::{CODE, KEPT, PAGE_TOKENS, PageChoice, USER_TOKEN, place};
use crate::{
    db::{Result, TenantTx},
    jobs::ListPages,
    lead_sources::{ConnectError, Page},
    queue::{NewJob, enqueue},
    secrets::{Keyring, Sealed, Secret},
};

/// What is to be asked next.
#[derive(Debug, Clone)]
pub enum Step {
    /// For the token of whoever has this code, which is good once.
    Exchange(Secret),
    /// Which pages the user has whose token this is.
    List(Secret),
}

#[derive(Debug, Clone)]
pub enum Outcome {
    /// The code was exchanged for the user's token.
    Token(Secret),
    Pages(Vec<Page>),
    /// Why there are none, for the person.
    Failed(String),
}

/// What is to be asked for a login. `None` if nothing is: it is over, or another one began since.
pub async fn load_login(
    tx: &mut TenantTx,
    keyring: &Keyring,
    login: Uuid,
) -> std::result::Result<Option<Step>, ConnectError> {
    let found: Option<(String, Sealed)> = sqlx::query_as(
        "-- lead_sources::load_login
         SELECT step, secret FROM facebook_logins
         WHERE id = $1 AND dealership_id = $2 AND secret IS NOT NULL AND began_at > now() - $3",
    )
    .bind(login)
    .bind(tx.dealership())
    .bind(KEPT)
    .fetch_optional(tx.conn())
    .await?;
    let Some((step, sealed)) = found else { return Ok(None) };
    let open = |column| keyring.open(&sealed, &place(tx.dealership(), column, login));
    Ok(match step.as_str() {
        "returned" => Some(Step::Exchange(open(CODE)?)),
        "exchanged" => Some(Step::List(open(USER_TOKEN)?)),
        _ => None,
    })
}

/// Writes down what Facebook said. A token is kept before anything else is asked with it: the code is good once.
pub async fn save_login(
    tx: &mut TenantTx,
    keyring: &Keyring,
    login: Uuid,
    outcome: &Outcome,
) -> std::result::Result<(), ConnectError> {
    match outcome {
        Outcome::Token(token) => {
            let sealed = keyring.seal(token, &place(tx.dealership(), USER_TOKEN, login))?;
            if advance(tx, login, ("returned", "exchanged"), sealed, &[]).await? {
                enqueue(tx, &NewJob::now(&ListPages { login_id: login })).await?;
            }
        }
        Outcome::Pages(pages) => {
            let tokens: BTreeMap<&str, &str> =
                pages.iter().map(|page| (page.id.as_str(), page.token.expose())).collect();
            let tokens = Secret::new(serde_json::to_string(&tokens).expect("texts are JSON"));
            let sealed = keyring.seal(&tokens, &place(tx.dealership(), PAGE_TOKENS, login))?;
            let choices: Vec<_> =
                pages.iter().map(|page| PageChoice { id: page.id.clone(), name: page.name.clone() }).collect();
            advance(tx, login, ("exchanged", "choosing"), sealed, &choices).await?;
        }
        Outcome::Failed(reason) => fail_login(tx, login, reason).await?,
    }
    Ok(())
}

async fn advance(
    tx: &mut TenantTx,
    login: Uuid,
    (from, to): (&str, &str),
    secret: Sealed,
    pages: &[PageChoice],
) -> Result<bool> {
    let advanced = sqlx::query(
        "-- lead_sources::advance_login
         UPDATE facebook_logins SET step = $4, secret = $5, pages = $6
         WHERE id = $1 AND dealership_id = $2 AND step = $3",
    )
    .bind(login)
    .bind(tx.dealership())
    .bind(from)
    .bind(to)
    .bind(secret)
    .bind(Json(pages))
    .execute(tx.conn())
    .await?;
    Ok(advanced.rows_affected() > 0)
}

/// Ends a login of which nothing comes, unless there are pages to choose already.
pub async fn fail_login(tx: &mut TenantTx, login: Uuid, reason: &str) -> Result<()> {
    sqlx::query(
        "-- lead_sources::fail_login
         UPDATE facebook_logins SET step = 'failed', reason = $3, secret = NULL
         WHERE id = $1 AND dealership_id = $2 AND step IN ('returned', 'exchanged')",
    )
    .bind(login)
    .bind(tx.dealership())
    .bind(reason)
    .execute(tx.conn())
    .await?;
    Ok(())
}

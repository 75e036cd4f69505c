use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::{FromRow, types::Json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{KEPT, PAGE_TOKENS, PageChoice, place};
use crate::{
    db::TenantTx,
    ids::UserId,
    input::{Fields, FromFields, Invalid, text},
    lead_sources::{ConnectError, Page, Source, connect_page},
    secrets::{Keyring, Sealed, Secret},
};

/// Pages that are connected at once.
const MAX_PAGES: usize = 100;
/// After so many wrong ones nobody may guess any more.
const MAX_GUESSES: i16 = 5;

/// Which pages somebody connects.
#[derive(Debug, Clone, ToSchema)]
#[schema(as = FacebookPageChoice)]
pub struct Choice {
    /// The ids of pages that the login shows.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 100)]
    pub page_ids: Vec<String>,
    /// The six digits that your browser showed when it came back from Facebook.
    #[schema(max_length = 20, example = "482913")]
    pub confirmation: String,
}

impl FromFields for Choice {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let page_ids = fields.required("page_ids", ids);
        let confirmation = fields.required("confirmation", text(20));
        let digits = |text: String| text.chars().filter(char::is_ascii_digit).collect();
        Some(Self { page_ids: page_ids?, confirmation: digits(confirmation?) })
    }
}

fn ids(value: &Value) -> Result<Vec<String>, Invalid> {
    let is_id = |id: &&str| (1..=40).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
    let id = |value: &Value| value.as_str().filter(is_id).map(str::to_owned);
    let ids = value.as_array().and_then(|ids| ids.iter().map(id).collect::<Option<Vec<_>>>());
    let ids = ids.filter(|ids| (1..=MAX_PAGES).contains(&ids.len()));
    ids.ok_or_else(|| "must be a list of ids of pages, such as [\"107766554433221\"]".into())
}

/// What comes of a choice.
#[derive(Debug)]
pub enum Chosen {
    /// Facebook is asked to tell of the leads of these.
    Connected(Vec<Source>),
    Refused(Refused),
}

/// Why nothing comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is nothing to choose from.
    NoPages,
    /// Whoever chooses has not seen what the browser showed.
    NotConfirmed,
    /// The login shows no such page.
    UnknownPage,
}

#[derive(FromRow)]
struct Offer {
    id: Uuid,
    secret: Sealed,
    pages: Json<Vec<PageChoice>>,
    confirmation: String,
}

/// Connects pages that somebody's own login has shown. A wrong guess counts, once the transaction has committed.
pub async fn choose(
    tx: &mut TenantTx,
    keyring: &Keyring,
    user: UserId,
    choice: &Choice,
) -> Result<Chosen, ConnectError> {
    let offer: Option<Offer> = sqlx::query_as(
        "-- lead_sources::choose
         SELECT id, secret, pages, confirmation FROM facebook_logins
         WHERE user_id = $1 AND dealership_id = $2 AND step = 'choosing' AND secret IS NOT NULL AND confirmation IS NOT NULL
           AND began_at > now() - $3
         FOR NO KEY UPDATE",
    )
    .bind(user)
    .bind(tx.dealership())
    .bind(KEPT)
    .fetch_optional(tx.conn())
    .await?;
    let Some(offer) = offer else { return Ok(Chosen::Refused(Refused::NoPages)) };
    if offer.confirmation != choice.confirmation {
        count_guess(tx, offer.id).await?;
        return Ok(Chosen::Refused(Refused::NotConfirmed));
    }
    let tokens = keyring.open(&offer.secret, &place(tx.dealership(), PAGE_TOKENS, offer.id))?;
    let tokens: BTreeMap<String, String> = serde_json::from_str(tokens.expose()).unwrap_or_default();
    let page = |id: &String| {
        let PageChoice { id, name } = offer.pages.iter().find(|page| page.id == *id)?;
        Some(Page { id: id.clone(), name: name.clone(), token: Secret::new(tokens.get(id)?.as_str()) })
    };
    let Some(pages) = choice.page_ids.iter().map(page).collect::<Option<Vec<_>>>() else {
        return Ok(Chosen::Refused(Refused::UnknownPage));
    };
    let mut sources = Vec::new();
    for page in &pages {
        sources.push(connect_page(tx, keyring, page).await?);
    }
    sqlx::query(
        "-- lead_sources::choose
         UPDATE facebook_logins SET step = 'connected', secret = NULL, pages = '[]' WHERE id = $1 AND dealership_id = $2",
    )
    .bind(offer.id)
    .bind(tx.dealership())
    .execute(tx.conn())
    .await?;
    Ok(Chosen::Connected(sources))
}

/// Nobody may go through all of them.
async fn count_guess(tx: &mut TenantTx, login: Uuid) -> Result<(), ConnectError> {
    sqlx::query(
        "-- lead_sources::count_guess
         UPDATE facebook_logins SET wrong_guesses = wrong_guesses + 1,
                step = CASE WHEN wrong_guesses + 1 < $3 THEN step ELSE 'failed' END,
                reason = CASE WHEN wrong_guesses + 1 < $3 THEN reason ELSE 'too many wrong digits were tried' END,
                secret = CASE WHEN wrong_guesses + 1 < $3 THEN secret END
         WHERE id = $1 AND dealership_id = $2",
    )
    .bind(login)
    .bind(tx.dealership())
    .bind(MAX_GUESSES)
    .execute(tx.conn())
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_ids_of_pages_are_chosen() {
        assert_eq!(ids(&json!(["107766554433221", "1"])).expect("they are"), ["107766554433221", "1"]);
        for wrong in [json!([]), json!(["x"]), json!([1]), json!("1"), json!([""]), json!(vec!["1"; 101])] {
            ids(&wrong).expect_err("no list of ids");
        }
    }
}

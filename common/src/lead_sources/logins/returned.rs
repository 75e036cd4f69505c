use sqlx::FromRow;
use uuid::Uuid;

use super::{CODE, MINUTES, hash, place};
use crate::{
    db::TenantTx,
    ids::DealershipId,
    jobs::ListPages,
    lead_sources::ConnectError,
    queue::{NewJob, enqueue},
    secrets::{Keyring, Secret},
};

/// With what somebody comes back from Facebook.
#[derive(Debug, Clone)]
pub enum Return {
    Code(Secret),
    Denied,
    /// Facebook could not ask them.
    Failed,
}

/// Why nothing comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// Nobody was sent to Facebook with this state, or they have begun anew since.
    Unknown,
    /// They came back before.
    Used,
    /// It has taken too long.
    Late,
}

/// Whose state that is, if it is one of ours.
pub fn dealership_of_state(state: &str) -> Option<DealershipId> {
    let (dealership, secret) = state.split_once('-')?;
    let uuid = |text: &str| Uuid::try_parse(text).ok().filter(|_| text.len() == 32);
    uuid(secret)?;
    uuid(dealership).map(DealershipId::from)
}

#[derive(FromRow)]
struct Waiting {
    id: Uuid,
    step: String,
    is_late: bool,
}

/// Takes somebody back from Facebook, once, and has a worker ask which pages they have. Returns what they must know to choose;
/// nothing if they did not agree.
pub async fn come_back(
    tx: &mut TenantTx,
    keyring: &Keyring,
    state: &str,
    with: &Return,
) -> Result<Result<Option<String>, Unusable>, ConnectError> {
    let found: Option<Waiting> = sqlx::query_as(
        "-- lead_sources::come_back
         SELECT id, step, began_at < now() - make_interval(mins => $3) AS is_late
         FROM facebook_logins WHERE state_hash = $1 AND dealership_id = $2 FOR NO KEY UPDATE",
    )
    .bind(hash(state))
    .bind(tx.dealership())
    .bind(MINUTES)
    .fetch_optional(tx.conn())
    .await?;
    let waiting = match found {
        None => return Ok(Err(Unusable::Unknown)),
        Some(waiting) if waiting.step != "started" => return Ok(Err(Unusable::Used)),
        Some(waiting) if waiting.is_late => return Ok(Err(Unusable::Late)),
        Some(waiting) => waiting,
    };
    let (step, reason) = match with {
        Return::Code(_) => ("returned", None),
        Return::Denied => ("denied", Some("you did not agree at Facebook")),
        Return::Failed => ("failed", Some("Facebook could not ask you; the app may not be set up there yet")),
    };
    let (sealed, confirmation) = match with {
        Return::Code(code) => {
            let sealed = keyring.seal(code, &place(tx.dealership(), CODE, waiting.id))?;
            (Some(sealed), Some(new_confirmation()))
        }
        _ => (None, None),
    };
    sqlx::query(
        "-- lead_sources::come_back
         UPDATE facebook_logins SET step = $3, reason = $4, secret = $5, confirmation = $6
         WHERE id = $1 AND dealership_id = $2",
    )
    .bind(waiting.id)
    .bind(tx.dealership())
    .bind(step)
    .bind(reason)
    .bind(sealed)
    .bind(&confirmation)
    .execute(tx.conn())
    .await?;
    if confirmation.is_some() {
        enqueue(tx, &NewJob::now(&ListPages { login_id: waiting.id })).await?;
    }
    Ok(Ok(confirmation))
}

/// Six digits, of which few may be tried.
fn new_confirmation() -> String {
    format!("{:06}", Uuid::new_v4().as_u128() % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_says_whose_it_is_and_nothing_else_is_one() {
        let dealership = Uuid::new_v4();
        let state = format!("{}-{}", dealership.simple(), Uuid::new_v4().simple());
        assert_eq!(dealership_of_state(&state), Some(dealership.into()));
        for other in ["", "-", "x", &state[1..], &format!("{state}0"), &dealership.to_string(), "%00-%00"] {
            assert_eq!(dealership_of_state(other), None, "{other}");
        }
        assert_eq!(new_confirmation().len(), 6);
    }
}

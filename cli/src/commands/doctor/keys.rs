//! Whether the keys, the instance and the database belong together.

use std::collections::BTreeSet;

use common::{
    clerk::{self, BackendApi, KeyError, OwnInstance},
    config::{ClerkBackend, ClerkEnvironment, ClerkFrontend, CliConfig},
    db::{self, Db},
    ids::ClerkInstanceId,
    telemetry::error_chain,
};
use serde_json::Value;

use super::{
    ANSWER_TIMEOUT,
    Finding::{self, Fine, Wrong},
};

/// Clerk's Backend API, with a key that may be used with this database.
pub(super) struct Verified {
    api: BackendApi,
    /// The database's, if that is known.
    own: Option<ClerkInstanceId>,
}

/// The instance that the database belongs to.
pub(super) async fn instance(db: &Db, config: &CliConfig) -> db::Result<Finding> {
    let own = clerk::own_instance(&mut db.system().await?).await?;
    let configured = &config.clerk_instance;
    Ok(match (own, configured) {
        (Some(OwnInstance { id, learnt_from, .. }), Some(configured)) if id != *configured => Wrong(format!(
            "CLERK_INSTANCE_ID is {configured}, but this database belongs to {id} (according to the {learnt_from})\n\
             is DATABASE_URL the right one? Events and keys of both are refused until they agree;\n\
             if the database has the wrong one: norvalt instance --set"
        )),
        (Some(OwnInstance { id, learnt_from, .. }), _) => {
            Fine(format!("{id}, according to the {learnt_from}; events and keys of any other are refused"))
        }
        (None, Some(configured)) => Fine(format!("{configured}, once the first webhook or norvalt sync confirms it")),
        (None, None) => Fine("not known yet; CLERK_INSTANCE_ID says it, or the first signed event".to_owned()),
    })
}

/// The secret key, and what it gives access to if it is of the database's instance.
pub(super) async fn secret(db: &Db, config: &CliConfig) -> (Finding, Option<Verified>) {
    let Some(clerk) = &config.clerk else {
        return (Fine("not used: CLERK_SECRET_KEY is not set".to_owned()), None);
    };
    let verify = async {
        let api = BackendApi::verified(db, clerk).await?;
        let own = clerk::own_instance(&mut db.system().await?).await?.map(|own| own.id);
        Ok::<_, KeyError>(Verified { api, own })
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, verify).await {
        Ok(Ok(verified)) => {
            let fine = match verified.api.instance() {
                Some(id) => format!("{} accepts the key of {id}", clerk.url),
                None => format!("{} accepts the key, and has what is known here", clerk.url),
            };
            (Fine(fine), Some(verified))
        }
        Ok(Err(error)) => (Wrong(error_chain(&error)), None),
        Err(_) => {
            let wrong =
                format!("{} gave no answer within {ANSWER_TIMEOUT:?}; check CLERK_API_URL and the network", clerk.url);
            (Wrong(wrong), None)
        }
    }
}

/// The keys that session tokens are checked with: whether they can be had, and are those of the secret key's instance.
pub(super) async fn public(
    frontend: &ClerkFrontend,
    secret: Option<&ClerkBackend>,
    verified: Option<&Verified>,
) -> Finding {
    if let Some(mismatch) = environments(frontend, secret, verified) {
        return Wrong(mismatch);
    }
    let url = &frontend.jwks_url;
    let published = match key_ids(url).await {
        Ok(ids) if ids.is_empty() => {
            return Wrong(format!("{url} has no keys; check CLERK_PUBLISHABLE_KEY and CLERK_JWKS_URL"));
        }
        Ok(ids) => ids,
        Err(error) => {
            return Wrong(format!(
                "{url} cannot be read: {}\nlet this host reach it over HTTPS (DNS, firewall, proxy), and check CLERK_PUBLISHABLE_KEY; \
                 where the keys are elsewhere, set CLERK_JWKS_URL",
                error_chain(&error)
            ));
        }
    };
    let Some(verified) = verified else { return Fine(url.clone()) };
    match tokio::time::timeout(ANSWER_TIMEOUT, verified.api.public_keys()).await {
        Ok(Ok(Some(own))) if own.is_disjoint(&published) => Wrong(format!(
            "{url} has the keys of another Clerk instance than CLERK_SECRET_KEY's: everybody is refused\n\
             set CLERK_PUBLISHABLE_KEY and CLERK_SECRET_KEY of one instance, as Clerk's dashboard shows them under API keys; \
             check CLERK_JWKS_URL if it is set"
        )),
        Ok(Ok(Some(_))) => Fine(format!("{url}, of the same instance as the secret key")),
        // Clerk does not say, or not now: what can be wrong with the secret key has been said.
        _ => Fine(url.clone()),
    }
}

/// What does not fit, where one key is for development and the other for production.
fn environments(
    frontend: &ClerkFrontend,
    secret: Option<&ClerkBackend>,
    verified: Option<&Verified>,
) -> Option<String> {
    let (public, secret) = (frontend.environment?, secret?.environment()?);
    let of = |environment, kind| match environment {
        ClerkEnvironment::Development => format!("a development instance ({kind}_test_…)"),
        ClerkEnvironment::Production => format!("a production instance ({kind}_live_…)"),
    };
    let other = match verified.and_then(|verified| verified.own.as_ref()) {
        Some(own) => format!("this database belongs to {own}, {}", of(secret, "sk")),
        None => format!("CLERK_SECRET_KEY is of {}", of(secret, "sk")),
    };
    let (public_key, remedy) = (of(public, "pk"), "set the publishable key of that instance");
    (public != secret)
        .then(|| format!("CLERK_PUBLISHABLE_KEY is of {public_key}, but {other}\neverybody is refused; {remedy}"))
}

/// The ids of the keys in a public set. <https://www.rfc-editor.org/rfc/rfc7517>
async fn key_ids(url: &str) -> reqwest::Result<BTreeSet<String>> {
    let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build()?;
    let set: Value = client.get(url).send().await?.error_for_status()?.json().await?;
    let keys = set["keys"].as_array().into_iter().flatten();
    Ok(keys.map(|key| key["kid"].as_str().unwrap_or_default().to_owned()).collect())
}

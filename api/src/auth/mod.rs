//! Who is calling: a verified session token, then our own database's word on what its bearer may see.

mod claims;
mod jwks;
mod strict_json;

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use common::db::{self, Caller, Identity, TenantTx};

use crate::{
    permissions::{self, Action},
    problem::Problem,
    router::AppState,
};

pub(crate) use claims::Verifier;

/// The caller of a request together with the transaction that is bound to their dealership. A handler that takes it
/// runs only for members; dropped without [`Tenant::commit`], it changed nothing.
pub(crate) struct Tenant {
    pub(crate) tx: TenantTx,
    pub(crate) caller: Caller,
}

impl Tenant {
    /// Lets the caller through if they may do this.
    pub(crate) fn require(&self, action: Action) -> Result<(), Problem> {
        permissions::require(&self.caller, action)
    }

    /// Makes the changes durable.
    pub(crate) async fn commit(self) -> Result<(), Problem> {
        Ok(self.tx.commit().await?)
    }
}

impl FromRequestParts<AppState> for Tenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let identity = authenticate(&state.verifier, &parts.headers).await?;
        let db::Tenant { tx, caller } = state.db.enter(&identity).await.inspect_err(|error| {
            tracing::info!(user = %identity.user, %error, "no access");
        })?;
        Ok(Self { tx, caller })
    }
}

async fn authenticate(verifier: &Arc<Verifier>, headers: &HeaderMap) -> Result<Identity, Problem> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(authorization), None) = (given.next(), given.next()) else { return Err(Problem::unauthorized()) };
    let token = authorization.to_str().ok().and_then(|value| value.split_once(' '));
    let Some((_, token)) = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
        return Err(Problem::unauthorized());
    };
    verifier.verify(token.trim()).await.map_err(|error| {
        tracing::info!(reason = common::telemetry::chain(&error), "token refused");
        if error.is_ours() { Problem::unavailable() } else { Problem::unauthorized() }
    })
}

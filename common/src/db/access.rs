//! Who a verified token's bearer is here, and the tenant transaction that follows from it.

use serde::Serialize;
use sqlx::{Row, postgres::PgRow};
use utoipa::ToSchema;

use super::{Db, Error, LOOKUP_LIMIT, SystemTx, TenantTx, error::moving, lookup::Lookup, with_timeout};
use crate::{
    ids::{ClerkOrgId, ClerkUserId, DealershipId, SourceId, UserId},
    role::Role,
};

/// What a verified session token says of its bearer. It grants nothing by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub user: ClerkUserId,
    /// The organization the session is active in, if any.
    pub organization: Option<ClerkOrgId>,
    /// Who is acting as this person, when Clerk says that somebody is.
    pub impersonator: Option<ClerkUserId>,
}

/// The person behind a request, as our own database knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Caller {
    /// The person's membership in the dealership.
    pub id: UserId,
    /// The person in Clerk.
    #[schema(value_type = String, example = "user_2h8op3Isl1QR7tKu5FGNfaLKEoU")]
    pub clerk_user_id: ClerkUserId,
    /// The dealership they act for.
    pub dealership_id: DealershipId,
    /// The name of that dealership.
    pub dealership_name: String,
    /// The person's name.
    pub name: String,
    /// The person's e-mail address.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// Clerk id of whoever is acting as this person, for the record.
    #[schema(value_type = Option<String>)]
    pub impersonator: Option<ClerkUserId>,
}

/// A caller together with the transaction that is bound to their dealership.
#[derive(Debug)]
pub struct Tenant {
    /// The open tenant transaction.
    pub tx: TenantTx,
    pub caller: Caller,
}

/// Why a person has no access.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// We know of no such membership: not yet, or no longer.
    #[error("not a member of this dealership")]
    NotAMember,
    /// A member, whose access is suspended for now.
    #[error("a member of this dealership, and suspended")]
    Suspended,
    /// The token names no organization and the person belongs to several.
    #[error("a member of several dealerships, and the token names none")]
    Ambiguous,
    /// The question could not be answered.
    #[error(transparent)]
    Db(#[from] Error),
}

/// A source of inquiries together with the transaction that is bound to its dealership.
#[derive(Debug)]
pub struct EnteredSource {
    /// The open tenant transaction.
    pub tx: TenantTx,
    pub id: SourceId,
}

impl Db {
    /// Opens the transaction of the dealership whose source senders know by this key. `None` if nobody has the key, or no
    /// longer, or the dealership is closed.
    pub async fn enter_source(&self, kind: &str, key: &str) -> Result<Option<EnteredSource>, Error> {
        self.isolation.require()?;
        let mut tx = self.system_for_request().await?;
        let found = with_timeout(LOOKUP_LIMIT, find_source(&mut tx, kind, key)).await?;
        let Some((dealership, id)) = found else { return Ok(None) };
        Ok(Some(EnteredSource { tx: tx.into_tenant(dealership).await?, id }))
    }

    /// Opens the dealership's transaction and looks the caller up in it: somebody whose membership ended has no access from
    /// the next request on, however long their token lives.
    pub async fn enter(&self, identity: &Identity) -> Result<Tenant, AccessError> {
        match &identity.organization {
            Some(organization) => self.enter_dealership(identity, DealershipId::of(organization)).await,
            None => self.enter_only_dealership(identity).await,
        }
    }

    /// Under the policies already: what is looked up is one dealership's.
    async fn enter_dealership(&self, identity: &Identity, dealership: DealershipId) -> Result<Tenant, AccessError> {
        let lookup = Lookup { dealership, user: &identity.user };
        let (mut tx, row) = self.begin_tenant_for(&lookup).await?;
        let Some(row) = row else {
            let asked = sqlx::query_as(
                "-- db::enter
                 SELECT EXISTS (SELECT FROM dealership_moves WHERE dealership_id = $1 AND state <> 'gone'),
                        EXISTS (SELECT FROM users u JOIN dealerships d ON d.id = $1
                                WHERE u.dealership_id = $1 AND u.clerk_user_id = $2 AND u.suspended AND d.closed_at IS NULL)",
            );
            let asked = asked.bind(dealership).bind(&identity.user);
            return Err(match with_timeout(LOOKUP_LIMIT, asked.fetch_one(tx.conn())).await? {
                (true, _) => Error::from(moving()).into(),
                (false, true) => AccessError::Suspended,
                (false, false) => AccessError::NotAMember,
            });
        };
        Ok(Tenant { tx, caller: caller(&row, dealership, identity).map_err(Error::from)? })
    }

    /// The token does not say which dealership, so the system finds it. Its transaction then becomes the dealership's.
    async fn enter_only_dealership(&self, identity: &Identity) -> Result<Tenant, AccessError> {
        self.isolation.require()?;
        let mut tx = self.system_for_request().await?;
        let asked = sqlx::query(
            "-- db::enter
             SELECT u.id, d.name AS dealership_name, u.name, u.email, u.role, u.dealership_id
             FROM users u JOIN dealerships d ON d.id = u.dealership_id
             WHERE u.clerk_user_id = $1 AND NOT u.suspended AND d.closed_at IS NULL LIMIT 2",
        )
        .bind(&identity.user);
        let rows = with_timeout(LOOKUP_LIMIT, asked.fetch_all(tx.conn())).await?;
        let caller = match rows.as_slice() {
            [row] => {
                let dealership = row.try_get("dealership_id").map_err(Error::from)?;
                caller(row, dealership, identity).map_err(Error::from)?
            }
            [] => {
                let asked = sqlx::query_scalar(
                    "-- db::enter
                     SELECT EXISTS (SELECT FROM users u JOIN dealerships d ON d.id = u.dealership_id
                                    WHERE u.clerk_user_id = $1 AND u.suspended AND d.closed_at IS NULL)",
                );
                let is_suspended = with_timeout(LOOKUP_LIMIT, asked.bind(&identity.user).fetch_one(tx.conn())).await?;
                return Err(if is_suspended { AccessError::Suspended } else { AccessError::NotAMember });
            }
            _ => return Err(AccessError::Ambiguous),
        };
        Ok(Tenant { tx: tx.into_tenant(caller.dealership_id).await?, caller })
    }
}

/// Whose source senders know by this key, and which. `None` if nobody has it, or no longer, or the dealership is closed. Of one
/// that is on its way to another server an error, which tells the sender to come again.
pub async fn find_source(tx: &mut SystemTx, kind: &str, key: &str) -> sqlx::Result<Option<(DealershipId, SourceId)>> {
    // No text of PostgreSQL's has a NUL: nobody has such a key.
    if key.contains('\0') {
        return Ok(None);
    }
    let asked = sqlx::query_as(
        "-- db::find_source
         SELECT k.dealership_id, k.source_id FROM source_keys k JOIN dealerships d ON d.id = k.dealership_id
         WHERE k.kind = $1 AND k.key = $2 AND (k.expires_at IS NULL OR k.expires_at > now()) AND d.closed_at IS NULL",
    );
    let found = asked.bind(kind).bind(key).fetch_optional(tx.conn()).await?;
    if found.is_none() {
        let asked = sqlx::query_scalar(
            "-- db::find_source
             SELECT EXISTS (SELECT FROM source_keys k JOIN dealership_moves m ON m.dealership_id = k.dealership_id
                            WHERE k.kind = $1 AND k.key = $2)",
        );
        let is_moving: bool = asked.bind(kind).bind(key).fetch_one(tx.conn()).await?;
        if is_moving {
            return Err(moving());
        }
    }
    Ok(found)
}

/// From a row of a [`Lookup`].
fn caller(row: &PgRow, dealership: DealershipId, identity: &Identity) -> sqlx::Result<Caller> {
    Ok(Caller {
        id: row.try_get(0)?,
        clerk_user_id: identity.user.clone(),
        dealership_id: dealership,
        dealership_name: row.try_get(1)?,
        name: row.try_get(2)?,
        email: row.try_get(3)?,
        role: row.try_get(4)?,
        impersonator: identity.impersonator.clone(),
    })
}

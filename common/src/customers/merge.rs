//! The same person under two addresses: a record says of which other one it is the same, and keeps what is its own. So
//! taking it back loses nothing, not even what came in meanwhile.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Customer, CustomerIdentity, IdentityKind, find};
use crate::{
    db::{Caller, Error, Result, TenantTx},
    ids::{CustomerId, LeadId},
    input::{Fields, FromFields, Invalid, boolean, uuid},
};

/// What a request says of two records that are the same person.
#[derive(Debug, Clone, ToSchema)]
pub struct Merge {
    /// The other record, which will be shown as this one.
    pub customer_id: CustomerId,
    /// Only say what would happen.
    #[schema(value_type = Option<bool>)]
    pub dry_run: bool,
}

impl FromFields for Merge {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let customer_id = fields.required("customer_id", uuid("a customer"));
        let dry_run = fields.optional("dry_run", boolean).unwrap_or(false);
        Some(Self { customer_id: customer_id?, dry_run })
    }
}

/// What merging does, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct MergePreview {
    /// Whether it was done.
    pub done: bool,
    /// The person that stays.
    pub customer: Customer,
    /// The record that is shown as that person from then on.
    pub merged: Customer,
}

/// What a request says of a part of a person's things that is somebody else's.
#[derive(Debug, Clone, ToSchema)]
pub struct Split {
    /// Which of their leads.
    #[schema(value_type = Option<Vec<LeadId>>)]
    pub lead_ids: Vec<LeadId>,
    /// What of theirs the other one can be reached at.
    #[schema(value_type = Option<Vec<CustomerIdentity>>)]
    pub identities: Vec<CustomerIdentity>,
}

/// Leads and identities that are split off at once.
const MAX_SPLIT: usize = 500;

impl FromFields for Split {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let lead_ids: Vec<LeadId> = fields.optional("lead_ids", several).unwrap_or_default();
        let identities: Vec<CustomerIdentity> = fields.optional("identities", several).unwrap_or_default();
        if lead_ids.is_empty() && identities.is_empty() && !fields.has_problems() {
            fields.report("lead_ids", "must name a lead, unless identities names something");
        }
        Some(Self { lead_ids, identities })
    }
}

fn several<T: serde::de::DeserializeOwned>(value: &serde_json::Value) -> Result<Vec<T>, Invalid> {
    let items: Vec<T> = serde_json::from_value(value.clone()).map_err(|_| "must be a list as documented")?;
    if items.len() > MAX_SPLIT {
        return Err(format!("must have at most {MAX_SPLIT} items").into());
    }
    Ok(items)
}

/// Why two records were not made one, or one was not made two.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The dealership has no customer with this id.
    #[error("there is no such customer")]
    NotFound,
    /// The other one is not there.
    #[error("there is no other customer with that id")]
    OtherNotFound,
    /// They are the same person already.
    #[error("they are the same customer already")]
    Same,
    /// Something that is to be split off is not theirs.
    #[error("not all of it is this customer's")]
    NotTheirs,
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] Error),
}

impl From<sqlx::Error> for MergeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// What [`merge`] would do. Both are locked until the transaction ends.
pub async fn preview(tx: &mut TenantTx, id: CustomerId, other: CustomerId) -> Result<MergePreview, MergeError> {
    // Of a dealership one at a time: records that others are the same as must not become the same as one of these.
    sqlx::query("-- customers::preview\nSELECT FROM dealerships WHERE id = $1 FOR NO KEY UPDATE")
        .bind(tx.dealership())
        .execute(tx.conn())
        .await?;
    let customer = find(tx, id).await?.ok_or(MergeError::NotFound)?;
    let merged = find(tx, other).await?.ok_or(MergeError::OtherNotFound)?;
    if customer.id == merged.id {
        return Err(MergeError::Same);
    }
    Ok(MergePreview { done: false, customer, merged })
}

/// Says that two records are one person, who is shown as the first.
pub async fn merge(
    tx: &mut TenantTx,
    id: CustomerId,
    other: CustomerId,
    by: &Caller,
) -> Result<MergePreview, MergeError> {
    let MergePreview { customer, merged, .. } = preview(tx, id, other).await?;
    sqlx::query(
        "-- customers::merge
         UPDATE customers SET merged_into = $3, merged_at = greatest(now(), updated_at), merged_by = $4,
                updated_at = greatest(now(), updated_at + interval '1 microsecond')
         WHERE id = $1 AND dealership_id = $2",
    )
    .bind(merged.id)
    .bind(tx.dealership())
    .bind(customer.id)
    .bind(by.id)
    .execute(tx.conn())
    .await?;
    let customer = find(tx, customer.id).await?.ok_or(MergeError::NotFound)?;
    Ok(MergePreview { done: true, customer, merged })
}

/// Takes back that a record is the same person as another, if anybody said so. `None` if there is no such record.
pub async fn unmerge(tx: &mut TenantTx, id: CustomerId) -> Result<Option<Customer>> {
    sqlx::query(
        "-- customers::unmerge
         UPDATE customers SET merged_into = NULL, merged_at = NULL, merged_by = NULL,
                updated_at = greatest(now(), updated_at + interval '1 microsecond')
         WHERE id = $1 AND dealership_id = $2 AND merged_into IS NOT NULL",
    )
    .bind(id)
    .bind(tx.dealership())
    .execute(tx.conn())
    .await?;
    find(tx, id).await
}

/// The records that are the same person as `$1` of the dealership `$2`.
macro_rules! same {
    () => {
        "(
           WITH RECURSIVE root AS (
             SELECT id, merged_into FROM customers WHERE id = $1 AND dealership_id = $2
             UNION ALL
             SELECT o.id, o.merged_into FROM customers o JOIN root r ON o.id = r.merged_into WHERE o.dealership_id = $2),
           same AS (
             SELECT id FROM root
             UNION
             SELECT m.id FROM customers m JOIN same ON m.merged_into = same.id WHERE m.dealership_id = $2)
           SELECT id FROM same)"
    };
}

/// Makes a new person of a part of somebody's leads and identities. Merging the two takes it back.
pub async fn split(tx: &mut TenantTx, id: CustomerId, part: &Split) -> Result<Customer, MergeError> {
    find(tx, id).await?.ok_or(MergeError::NotFound)?;
    let new = CustomerId::from(Uuid::new_v4());
    sqlx::query("-- customers::split\nINSERT INTO customers (id, dealership_id) VALUES ($1, $2)")
        .bind(new)
        .bind(tx.dealership())
        .execute(tx.conn())
        .await?;
    let leads = sqlx::query(concat!(
        "-- customers::split\nUPDATE leads SET customer_id = $3 WHERE id = ANY ($4) AND dealership_id = $2 AND customer_id IN ",
        same!()
    ));
    let leads = leads.bind(id).bind(tx.dealership()).bind(new).bind(&part.lead_ids).execute(tx.conn()).await?;
    let (kinds, values): (Vec<&str>, Vec<&str>) =
        part.identities.iter().map(|identity| (IdentityKind::as_str(identity.kind), identity.value.as_str())).unzip();
    let identities = sqlx::query(concat!(
        "-- customers::split
         UPDATE customer_identities SET customer_id = $3
         WHERE dealership_id = $2 AND (kind, value) IN (SELECT * FROM unnest($4::text[], $5::text[])) AND customer_id IN ",
        same!()
    ));
    let identities = identities.bind(id).bind(tx.dealership()).bind(new).bind(kinds).bind(values);
    let identities = identities.execute(tx.conn()).await?;
    let all = |rows: u64, wanted: usize| usize::try_from(rows).is_ok_and(|rows| rows == wanted);
    if !all(leads.rows_affected(), part.lead_ids.len()) || !all(identities.rows_affected(), part.identities.len()) {
        return Err(MergeError::NotTheirs);
    }
    find(tx, new).await?.ok_or(MergeError::NotFound)
}

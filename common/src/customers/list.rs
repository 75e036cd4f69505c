use sqlx::{FromRow, Postgres, QueryBuilder, Row, postgres::PgRow, types::Json};
use utoipa::IntoParams;

use super::{Contact, Customer};
use crate::{
    db::{Result, TenantTx},
    ids::CustomerId,
    input::{Email, Fields, FromFields, Phone, parsed},
    page::{Page, PageRequest},
};

/// Which people, and which page of them.
#[derive(Debug, Clone, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CustomerFilter {
    /// Only who has this address, in any case.
    #[param(value_type = Option<String>)]
    pub email: Option<Email>,
    /// Only who has this number, in any spelling.
    #[param(value_type = Option<String>)]
    pub phone: Option<Phone>,
    /// Which page.
    #[param(ignore)]
    pub page: PageRequest,
}

impl FromFields for CustomerFilter {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (email, phone) = (fields.optional("email", parsed), fields.optional("phone", parsed));
        Some(Self { email, phone, page: PageRequest::from_fields(fields)? })
    }
}

impl FromRow<'_, PgRow> for Customer {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let (Json(identities), Json(merged)) = (row.try_get("identities")?, row.try_get("merged")?);
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            identities,
            merged,
            lead_count: row.try_get("lead_count")?,
            created_at: row.try_get("created_at")?,
            last_lead_at: row.try_get("last_lead_at")?,
        })
    }
}

/// What is shown of each person of `c`, gathered from all records that are the same person. The dealership is `$1`. Whoever
/// compares with an array also says that it is not null: the index holds no others, and the planner does not conclude it.
macro_rules! details {
    () => {
        "
         SELECT c.id, c.created_at, coalesce(theirs.name, c.name) AS name, theirs.lead_count, theirs.last_lead_at,
                (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', i.kind, 'value', i.value) ORDER BY i.kind, i.value), '[]')
                 FROM customer_identities i WHERE i.dealership_id = $1 AND i.customer_id = ANY (same.ids)) AS identities,
                (SELECT coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'merged_at', m.merged_at, 'merged_by', m.merged_by)
                                           ORDER BY m.merged_at, m.id), '[]')
                 FROM customers m WHERE m.dealership_id = $1 AND m.merged_into = ANY (same.ids) AND m.merged_into IS NOT NULL) AS merged
         FROM c
         CROSS JOIN LATERAL (
           WITH RECURSIVE same AS (
             SELECT c.id UNION
             SELECT m.id FROM customers m JOIN same ON m.merged_into = same.id WHERE m.dealership_id = $1)
           SELECT array_agg(id) AS ids FROM same) same
         CROSS JOIN LATERAL (
           SELECT count(*) AS lead_count, max(l.created_at) AS last_lead_at,
                  (array_agg(l.customer_name ORDER BY l.created_at DESC) FILTER (WHERE l.customer_name IS NOT NULL))[1] AS name
           FROM leads l WHERE l.dealership_id = $1 AND l.customer_id = ANY (same.ids) AND l.customer_id IS NOT NULL) theirs"
    };
}

/// The dealership's customers, newest first. Of records that are the same person there is one. They are counted, and passed over,
/// in an index.
pub async fn list(tx: &mut TenantTx, filter: &CustomerFilter) -> Result<Page<Customer>> {
    let mut count = QueryBuilder::new("-- customers::total\nSELECT count(*) FROM customers c WHERE dealership_id = ");
    count.push_bind(tx.dealership());
    push_conditions(&mut count, filter);
    let total = count.build_query_scalar().fetch_one(tx.conn()).await?;
    let mut query = QueryBuilder::new(
        "-- customers::list
         WITH page AS (SELECT id FROM customers c WHERE dealership_id = ",
    );
    query.push_bind(tx.dealership());
    push_conditions(&mut query, filter);
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(filter.page.limit);
    query.push(" OFFSET ").push_bind(filter.page.offset);
    query.push(concat!(
        "), c AS (
           SELECT o.id, o.name, o.created_at FROM page CROSS JOIN LATERAL (
             SELECT id, name, created_at FROM customers WHERE id = page.id AND dealership_id = $1 LIMIT 1) o)",
        details!(),
        " ORDER BY c.created_at DESC, c.id DESC"
    ));
    let items = query.build_query_as().fetch_all(tx.conn()).await?;
    Ok(Page::new(items, total, filter.page))
}

/// The dealership is `$1` already.
fn push_conditions(query: &mut QueryBuilder<Postgres>, filter: &CustomerFilter) {
    query.push(" AND merged_into IS NULL");
    let contact = Contact { name: None, email: filter.email.as_ref(), phone: filter.phone.as_ref() };
    let (kinds, values) = contact.identities();
    for (kind, value) in kinds.into_iter().zip(values) {
        query.push(
            " AND id = ANY (ARRAY (
               WITH RECURSIVE known AS (
                 SELECT customer_id AS id FROM customer_identities WHERE dealership_id = $1 AND kind = ",
        );
        query.push_bind(kind).push(" AND value = ").push_bind(value);
        query.push(
            " UNION
              SELECT m.merged_into FROM customers m JOIN known ON m.id = known.id
              WHERE m.dealership_id = $1 AND m.merged_into IS NOT NULL)
             SELECT id FROM known))",
        );
    }
}

/// The person with this id, unless the dealership has none such. A record that is the same person as another is shown as
/// that one.
pub async fn find(tx: &mut TenantTx, id: CustomerId) -> Result<Option<Customer>> {
    Ok(sqlx::query_as(concat!(
        "-- customers::find
         WITH RECURSIVE record AS (
           SELECT id, name, created_at, merged_into FROM customers WHERE id = $2 AND dealership_id = $1
           UNION ALL
           SELECT o.id, o.name, o.created_at, o.merged_into
           FROM customers o JOIN record r ON o.id = r.merged_into WHERE o.dealership_id = $1),
         c AS (SELECT id, name, created_at FROM record WHERE merged_into IS NULL)",
        details!()
    ))
    .bind(tx.dealership())
    .bind(id)
    .fetch_optional(tx.conn())
    .await?)
}

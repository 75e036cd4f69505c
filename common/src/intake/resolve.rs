use aws_lc_rs::digest::{Context, SHA256};
use sqlx::FromRow;

use super::{Origin, contact};
use crate::{
    customers::{lock_key, lock_keys},
    db::{Result, TenantTx},
    ids::{CustomerId, LeadId},
    inquiry::Inquiry,
};

/// Minutes within which the same text of the same person is the same inquiry.
const REPEATED_WITHIN: i32 = 5;

/// Waits for whoever writes down the same inquiry, or another one of the same person. Held until the transaction ends.
pub(super) async fn lock(tx: &mut TenantTx, inquiry: &Inquiry, origin: &Origin<'_>) -> Result<()> {
    let mut keys = lock_keys(tx.dealership(), &contact(inquiry));
    keys.extend(origin.key.map(|key| lock_key(tx.dealership(), "inquiry", key)));
    // In one order: nobody waits in a circle.
    keys.sort_unstable();
    keys.dedup();
    sqlx::query("-- intake::lock\nSELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) AS k")
        .bind(keys)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// What is known of an inquiry.
#[derive(Debug, FromRow)]
pub(super) struct Found {
    /// What it became before.
    pub(super) known: Option<LeadId>,
    /// The lead that it belongs to.
    pub(super) open_lead: Option<LeadId>,
    /// Whose lead that is.
    pub(super) customer: Option<CustomerId>,
    /// Their name as that lead has it.
    pub(super) lead_name: Option<String>,
    /// The name of whoever is known to have the address that it came from.
    pub(super) known_name: Option<String>,
}

pub(super) async fn resolve(tx: &mut TenantTx, inquiry: &Inquiry, origin: &Origin<'_>) -> Result<Found> {
    let (kinds, values) = contact(inquiry).identities();
    Ok(sqlx::query_as(
        "-- intake::resolve
         WITH RECURSIVE record AS (
           SELECT i.customer_id AS id FROM customer_identities i
           JOIN unnest($2::text[], $3::text[]) AS g (kind, value) ON g.kind = i.kind AND g.value = i.value
           WHERE i.dealership_id = $1
           UNION
           SELECT m.merged_into FROM customers m JOIN record r ON m.id = r.id
           WHERE m.dealership_id = $1 AND m.merged_into IS NOT NULL),
         same AS (
           SELECT id FROM record UNION
           SELECT m.id FROM customers m JOIN same ON m.merged_into = same.id WHERE m.dealership_id = $1),
         found AS MATERIALIZED (
         SELECT coalesce(
           (SELECT lead_id FROM inquiries WHERE dealership_id = $1 AND (key = $4 OR id = $5) LIMIT 1),
           (SELECT lead_id FROM inquiries
            WHERE dealership_id = $1 AND fingerprint = $6 AND received_at > now() - make_interval(mins => $7) LIMIT 1)) AS known,
         coalesce(
           (SELECT lead_id FROM outbox WHERE id = $9 AND dealership_id = $1),
           (SELECT o.lead_id FROM outbox o
            WHERE o.dealership_id = $1 AND o.mail_id = ANY ($8) AND o.lead_id IS NOT NULL
            ORDER BY o.created_at DESC LIMIT 1),
           (SELECT i.lead_id FROM inquiries i JOIN leads l ON l.id = i.lead_id AND l.dealership_id = $1
            WHERE i.dealership_id = $1 AND i.mail_id = ANY ($8) ORDER BY i.received_at DESC LIMIT 1),
           (SELECT l.id FROM leads l
            WHERE l.dealership_id = $1 AND l.customer_id = ANY (ARRAY (SELECT id FROM same)) AND l.customer_id IS NOT NULL
              AND l.status IN ('new', 'contacted', 'qualified')
              AND l.created_at > now() - make_interval(days => (SELECT same_lead_days FROM dealerships WHERE id = $1)::int)
            ORDER BY l.created_at DESC LIMIT 1)) AS open_lead)
         SELECT f.known, f.open_lead, l.customer_id AS customer, l.customer_name AS lead_name,
                (SELECT c.name FROM customer_identities i JOIN customers c ON c.id = i.customer_id AND c.dealership_id = $1
                 JOIN unnest($2::text[], $3::text[]) AS g (kind, value) ON g.kind = i.kind AND g.value = i.value
                 WHERE i.dealership_id = $1 AND i.kind = 'email' LIMIT 1) AS known_name
         FROM found f LEFT JOIN leads l ON l.id = f.open_lead AND l.dealership_id = $1",
    )
    .bind(tx.dealership())
    .bind(kinds)
    .bind(values)
    .bind(origin.key)
    .bind(origin.receipt)
    .bind(fingerprint(inquiry, origin))
    .bind(REPEATED_WITHIN)
    .bind(origin.answers)
    .bind(origin.replies_to)
    .fetch_one(tx.conn())
    .await?)
}

/// Of who asks and what they write, where the source does not tell one inquiry from another.
pub(super) fn fingerprint(inquiry: &Inquiry, origin: &Origin<'_>) -> Option<Vec<u8>> {
    if origin.key.is_some() {
        return None;
    }
    let (kinds, values) = contact(inquiry).identities();
    let mut hash = Context::new(&SHA256);
    // Salted, so that a short list of numbers does not tell whose it is.
    hash.update(uuid::Uuid::from(origin.source_id).as_bytes());
    let texts = [inquiry.message.as_deref(), inquiry.vehicle_interest.as_deref()].map(Option::unwrap_or_default);
    for part in kinds.iter().copied().chain(values.iter().map(String::as_str)).chain(texts) {
        hash.update(&u64::try_from(part.len()).expect("a text is shorter").to_be_bytes());
        hash.update(part.as_bytes());
    }
    // “Yes, please” to two questions is no repetition.
    if let Some(message) = origin.replies_to {
        hash.update(uuid::Uuid::from(message).as_bytes());
    }
    if let Some(mail) = origin.answers.last() {
        hash.update(mail.as_bytes());
    }
    Some(hash.finish().as_ref().to_vec())
}

//! Leads of customers: what a lead says of how to reach its customer is known of that customer.

use sqlx::FromRow;

use crate::{
    customers::{Contact, recognise, recognise_as},
    db::{Db, Result, TenantTx},
    ids::{CustomerId, DealershipId, LeadId},
    input::{Email, Phone},
};

/// Leads that are looked for at once.
const BATCH: i64 = 200;

#[derive(FromRow)]
struct Known {
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    customer: Option<CustomerId>,
}

/// Lets a lead's customer be known by what the lead says by now; a lead without one gets whoever is known by that, or somebody
/// new. Locks the lead.
pub(super) async fn adopt(tx: &mut TenantTx, id: LeadId) -> Result<()> {
    let known: Option<Known> = sqlx::query_as(
        "-- leads::adopt
         SELECT customer_name AS name, customer_email AS email, customer_phone AS phone, customer_id AS customer
         FROM leads WHERE id = $1 AND dealership_id = $2 FOR NO KEY UPDATE",
    )
    .bind(id)
    .bind(tx.dealership())
    .fetch_optional(tx.conn())
    .await?;
    let Some(lead) = known else { return Ok(()) };
    let email: Option<Email> = lead.email.and_then(|email| email.parse().ok());
    let phone: Option<Phone> = lead.phone.and_then(|phone| phone.parse().ok());
    let contact = Contact { name: lead.name.as_deref(), email: email.as_ref(), phone: phone.as_ref() };
    if let Some(customer) = lead.customer {
        recognise_as(tx, &contact, customer).await?;
        return Ok(());
    }
    let customer = recognise(tx, &contact).await?;
    sqlx::query("-- leads::adopt\nUPDATE leads SET customer_id = $3 WHERE id = $1 AND dealership_id = $2")
        .bind(id)
        .bind(tx.dealership())
        .bind(customer)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Gives leads that were written before customers were known their customers, in short transactions, and returns how many.
/// Whoever is interrupted goes on where it ended: at those that still have none.
pub async fn adopt_all(db: &Db) -> Result<u64> {
    let (mut adopted, mut after) = (0, None::<(DealershipId, LeadId)>);
    loop {
        let mut tx = db.system().await?;
        let (dealership, lead) = after.unzip();
        let waiting: Vec<(DealershipId, LeadId)> = sqlx::query_as(
            "-- leads::adopt_all
             SELECT dealership_id, id FROM leads
             WHERE customer_id IS NULL AND (customer_email IS NOT NULL OR customer_phone IS NOT NULL)
               AND ($1::uuid IS NULL OR (dealership_id, id) > ($1, $2))
             ORDER BY dealership_id, id LIMIT $3",
        )
        .bind(dealership)
        .bind(lead)
        .bind(BATCH)
        .fetch_all(tx.conn())
        .await?;
        tx.commit().await?;
        let Some(last) = waiting.last() else { return Ok(adopted) };
        after = Some(*last);
        for (dealership, lead) in waiting {
            // Each by itself: who holds one lead and waits for a customer must not hold others.
            let mut tx = db.tenant(dealership).await?;
            adopt(&mut tx, lead).await?;
            tx.commit().await?;
            adopted += 1;
        }
    }
}

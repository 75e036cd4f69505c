use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use crate::{
    db::{Result, TenantTx},
    ids::{CustomerId, DealershipId},
    input::{Email, Phone},
    text_enum::text_enum,
};

text_enum!(
    /// What somebody is known by.
    #[derive(serde::Deserialize)]
    IdentityKind {
        /// An e-mail address.
        Email = "email",
        /// A phone number.
        Phone = "phone",
    }
);

/// What an inquiry says of how to reach whoever asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Contact<'a> {
    pub name: Option<&'a str>,
    pub email: Option<&'a Email>,
    pub phone: Option<&'a Phone>,
}

impl Contact<'_> {
    /// The kinds and values of what they are known by; an address counts before a number.
    pub fn identities(&self) -> (Vec<&'static str>, Vec<String>) {
        let email = self.email.map(|email| (IdentityKind::Email.as_str(), email.as_str().to_lowercase()));
        let phone = self.phone.map(|phone| (IdentityKind::Phone.as_str(), phone.e164.clone()));
        email.into_iter().chain(phone).unzip()
    }
}

/// Numbers by which two transactions that write down the same person wait for each other, in the order in which they are
/// to be locked.
pub(crate) fn lock_keys(dealership: DealershipId, contact: &Contact<'_>) -> Vec<i64> {
    let (kinds, values) = contact.identities();
    let mut keys: Vec<i64> = kinds.iter().zip(&values).map(|(kind, value)| lock_key(dealership, kind, value)).collect();
    keys.sort_unstable();
    keys
}

pub(crate) fn lock_key(dealership: DealershipId, kind: &str, value: &str) -> i64 {
    let hash = digest(&SHA256, format!("{dealership} {kind} {value}").as_bytes());
    let (first, _) = hash.as_ref().split_first_chunk().expect("SHA-256 has 32 bytes");
    i64::from_be_bytes(*first)
}

/// Finds who is known by the kinds and values in two arrays, or makes it whoever the id is of: the one row of `recognised`,
/// if there is any value. To begin a statement with, in which more is written of them.
macro_rules! recognising {
    ($dealership:literal, $kinds:literal, $values:literal, $otherwise:literal, $name:literal) => {
        concat!(
            "given AS (SELECT kind, value FROM unnest(",
            $kinds,
            "::text[], ",
            $values,
            "::text[]) AS g (kind, value)),
         known AS MATERIALIZED (
           SELECT i.kind, i.customer_id FROM customer_identities i JOIN given g ON g.kind = i.kind AND g.value = i.value
           WHERE i.dealership_id = ",
            $dealership,
            "),
         added AS (
           INSERT INTO customer_identities AS i (dealership_id, kind, value, customer_id)
           SELECT ",
            $dealership,
            ", g.kind, g.value, coalesce((SELECT customer_id FROM known ORDER BY kind LIMIT 1), ",
            $otherwise,
            ")
           FROM given g WHERE g.kind NOT IN (SELECT kind FROM known) ORDER BY g.kind
           ON CONFLICT (dealership_id, kind, value) DO UPDATE SET customer_id = i.customer_id
           RETURNING kind, customer_id),
         made AS (
           INSERT INTO customers (id, dealership_id, name)
           SELECT ",
            $otherwise,
            ", ",
            $dealership,
            ", ",
            $name,
            " WHERE EXISTS (SELECT FROM added WHERE customer_id = ",
            $otherwise,
            ")
           ON CONFLICT (id, dealership_id) DO NOTHING),
         recognised AS (
           SELECT customer_id FROM (SELECT * FROM known UNION ALL SELECT * FROM added) found ORDER BY kind LIMIT 1)"
        )
    };
}
pub(crate) use recognising;

/// Who this is: the person who is known by the address, else by the number, else a new one. What was not known by then is
/// theirs from now on. `None` if there is neither.
///
/// Two at once: whoever inserts an address or a number second gets the person of the first.
pub async fn recognise(tx: &mut TenantTx, contact: &Contact<'_>) -> Result<Option<CustomerId>> {
    recognise_as(tx, contact, Uuid::new_v4().into()).await
}

/// The same, with who it is if nobody is known: somebody who is there already, or the id of a new person.
pub async fn recognise_as(
    tx: &mut TenantTx,
    contact: &Contact<'_>,
    otherwise: CustomerId,
) -> Result<Option<CustomerId>> {
    let (kinds, values) = contact.identities();
    if kinds.is_empty() {
        return Ok(None);
    }
    Ok(sqlx::query_scalar(concat!(
        "-- customers::recognise
         WITH ",
        recognising!("$1", "$2", "$3", "$4", "$5"),
        " SELECT customer_id FROM recognised"
    ))
    .bind(tx.dealership())
    .bind(kinds)
    .bind(values)
    .bind(otherwise)
    .bind(contact.name)
    .fetch_optional(tx.conn())
    .await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_tell_people_apart() {
        let (email, phone) = ("Kari.Nordmann@Example.NO".parse().expect("valid"), "912 34 567".parse().expect("valid"));
        let contact = Contact { name: None, email: Some(&email), phone: Some(&phone) };
        let (_, values) = contact.identities();
        assert_eq!(values, ["kari.nordmann@example.no", "+4791234567"]);
        let dealership = Uuid::nil().into();
        assert_eq!(lock_keys(dealership, &contact).len(), 2);
        let other = Contact { email: None, ..contact };
        assert!(lock_keys(dealership, &contact).contains(&lock_keys(dealership, &other)[0]));
    }
}

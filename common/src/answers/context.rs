//! What is known of a lead that is to be answered.

use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::FromRow;

use super::{
    facts::{CustomerFacts, DealershipFacts, Facts, MAX_VEHICLES, VehicleFacts},
    language,
    settings::AnswerSettings,
    spending::{Usage, usage_of},
    store::AnswerKey,
};
use crate::{
    conversations::Channel,
    db::{Result, TenantTx},
    ids::LeadId,
    language::Language,
    vehicles::VehicleStatus,
};

/// Letters of a first name.
const NAME_LIMIT: usize = 40;

/// A lead as far as an automatic answer needs it.
#[derive(Debug, FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column")]
pub(super) struct Context {
    pub(super) customer_name: Option<String>,
    pub(super) customer_email: Option<String>,
    pub(super) customer_phone: Option<String>,
    /// What the customer wrote last.
    pub(super) message: Option<String>,
    pub(super) vehicle_interest: Option<String>,
    pub(super) received_at: DateTime<Utc>,
    pub(super) is_old: bool,
    /// Of the source that it came from.
    pub(super) language: Option<String>,
    pub(super) human_answered: bool,
    /// Automatic messages to the same address in 24 hours.
    pub(super) to_same: i64,
    /// What the dealership had of the assistant.
    #[sqlx(flatten)]
    pub(super) usage: Usage,
    /// Whether the dealership has an account of its own for mails, and for text messages.
    pub(super) own_email: bool,
    pub(super) own_sms: bool,
    /// In Norway.
    pub(super) local_now: NaiveDateTime,
    pub(super) dealership: String,
    pub(super) dealership_email: String,
    pub(super) dealership_phone: Option<String>,
    pub(super) dealership_address: Option<String>,
}

pub(super) async fn context(tx: &mut TenantTx, key: AnswerKey) -> Result<Context> {
    Ok(sqlx::query_as(concat!(
        "-- answers::context
         WITH l AS (SELECT * FROM leads WHERE id = $1 AND dealership_id = $2),
         written AS (
           SELECT message_content, created_at FROM conversations
           WHERE lead_id = $1 AND dealership_id = $2 AND direction = 'inbound' ORDER BY created_at DESC, id DESC LIMIT 1)
         SELECT l.customer_name, l.customer_email, l.customer_phone_e164 AS customer_phone,
                coalesce((SELECT message_content FROM written), l.initial_message) AS message, l.vehicle_interest,
                coalesce((SELECT created_at FROM written), l.created_at) AS received_at,
                coalesce((SELECT created_at FROM written), l.created_at) < now() - interval '1 day' AS is_old,
                (SELECT s.language FROM inquiries i JOIN lead_sources s ON s.id = i.source_id AND s.dealership_id = $2
                 WHERE i.lead_id = $1 AND i.dealership_id = $2 ORDER BY i.received_at LIMIT 1) AS language,
                EXISTS (SELECT FROM conversations WHERE lead_id = $1 AND dealership_id = $2 AND direction = 'outbound'
                        AND sender_type = 'human') AS human_answered,
                (SELECT count(*) FROM outbox WHERE dealership_id = $2 AND automatic
                 AND recipient IN (l.customer_email, l.customer_phone_e164) AND created_at > now() - interval '1 day') AS to_same,
                t.answers, t.tokens,
                EXISTS (SELECT FROM sending_accounts WHERE dealership_id = $2 AND channel = 'email' AND secret IS NOT NULL) AS own_email,
                EXISTS (SELECT FROM sending_accounts WHERE dealership_id = $2 AND channel = 'sms' AND secret IS NOT NULL) AS own_sms,
                now() AT TIME ZONE 'Europe/Oslo' AS local_now, d.name AS dealership, d.email AS dealership_email, d.phone AS dealership_phone, d.address AS dealership_address
         FROM l JOIN dealerships d ON d.id = $2
         CROSS JOIN (",
        usage_of!("$2"),
        ") t"
    ))
    .bind(key.lead)
    .bind(tx.dealership())
    .fetch_one(tx.conn())
    .await?)
}

impl Context {
    /// Through which an answer can go out, of those that are served by us, or by an account of the dealership's.
    pub(super) fn channel(&self, email: bool, sms: bool) -> Option<Channel> {
        match (&self.customer_email, &self.customer_phone) {
            (Some(_), _) if email || self.own_email => Some(Channel::Email),
            (_, Some(_)) if sms || self.own_sms => Some(Channel::Sms),
            _ => None,
        }
    }

    /// The customer's, or that of the source.
    pub(super) fn answer_language(&self) -> Language {
        let fallback = self.language.as_deref().and_then(Language::of_tag).unwrap_or(Language::Nb);
        language::of(self.message.as_deref().unwrap_or_default(), fallback)
    }

    pub(super) fn facts(&self, settings: &AnswerSettings, vehicles: Vec<VehicleFacts>) -> Facts {
        let opening = settings.opening();
        let opening_hours = opening.as_ref().map(|opening| opening.told(self.local_now.date()));
        Facts {
            dealership: DealershipFacts {
                name: self.dealership.clone(),
                email: self.dealership_email.clone(),
                phone: self.dealership_phone.clone(),
                address: self.dealership_address.clone(),
                opening_hours: opening_hours.or_else(|| settings.opening_hours.clone()),
                opening,
            },
            vehicles,
            customer: CustomerFacts {
                first_name: self.first_name(),
                message: self.message.clone(),
                vehicle_interest: self.vehicle_interest.clone(),
            },
            language: self.answer_language(),
            tone: settings.tone.clone(),
        }
    }

    /// What the customer is called, if that can be a name: it is repeated to whoever has the address that was typed.
    pub(super) fn first_name(&self) -> Option<String> {
        let first = self.customer_name.as_deref()?.split_whitespace().next()?;
        is_name(first).then(|| first.to_owned())
    }
}

fn is_name(word: &str) -> bool {
    let letters = word.trim_end_matches(['.', ',']);
    let fits = letters.chars().all(|c| c.is_alphabetic() || "-'’´`\u{301}\u{308}\u{30a}".contains(c));
    fits && !letters.is_empty() && letters.chars().count() <= NAME_LIMIT
}

/// The cars of the stock that the customer may mean: those whose model they name, cheapest to tell first.
pub(super) async fn vehicles(tx: &mut TenantTx, lead: LeadId) -> Result<Vec<VehicleFacts>> {
    let rows: Vec<VehicleRow> = sqlx::query_as(
        "-- answers::vehicles
         WITH asked AS (
           SELECT search_fold(concat_ws(' ', l.vehicle_interest, l.initial_message, (
             SELECT message_content FROM conversations c
             WHERE c.lead_id = $1 AND c.dealership_id = $2 AND c.direction = 'inbound'
             ORDER BY created_at DESC, id DESC LIMIT 1))) AS words
           FROM leads l WHERE l.id = $1 AND l.dealership_id = $2)
         SELECT v.make, v.model, v.year, v.price, v.mileage, v.fuel_type, v.status, v.listing_url
         FROM vehicles v CROSS JOIN asked a
         WHERE v.dealership_id = $2 AND v.status <> 'sold'
           AND EXISTS (SELECT FROM unnest(string_to_array(search_fold(v.model), ' ')) AS word
                       WHERE length(word) > 1 AND position(word IN a.words) > 0)
         ORDER BY position(search_fold(v.model) IN a.words) > 0 DESC, position(search_fold(v.make) IN a.words) > 0 DESC,
                  v.status = 'available' DESC, v.id
         LIMIT $3",
    )
    .bind(lead)
    .bind(tx.dealership())
    .bind(i64::try_from(MAX_VEHICLES).unwrap_or(i64::MAX))
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(VehicleFacts::from).collect())
}

#[derive(FromRow)]
struct VehicleRow {
    make: String,
    model: String,
    year: i16,
    price: Option<i64>,
    mileage: Option<i32>,
    fuel_type: Option<String>,
    status: VehicleStatus,
    listing_url: Option<String>,
}

impl From<VehicleRow> for VehicleFacts {
    fn from(row: VehicleRow) -> Self {
        Self {
            make: row.make,
            model: row.model,
            year: row.year,
            price: row.price,
            mileage_km: row.mileage,
            fuel: row.fuel_type,
            status: row.status,
            listing_url: row.listing_url,
        }
    }
}

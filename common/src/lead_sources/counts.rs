use chrono::{DateTime, NaiveDate, Utc};
use sqlx::FromRow;

use crate::{
    db::{Result, TenantTx},
    ids::SourceId,
};

/// What Meta lists of a page for one day, and what of it is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct LeadCount {
    /// In Norwegian time.
    pub day: NaiveDate,
    pub meta_leads: i32,
    pub our_leads: i32,
}

/// Notes how many of the leads that Meta lists, each with its time, are here, and returns the days on which some are not.
pub async fn count_facebook_leads(
    tx: &mut TenantTx,
    source: SourceId,
    leads: &[(String, DateTime<Utc>)],
) -> Result<Vec<LeadCount>> {
    let (ids, times): (Vec<&str>, Vec<DateTime<Utc>>) = leads.iter().map(|(id, time)| (id.as_str(), *time)).unzip();
    let counts: Vec<LeadCount> = sqlx::query_as(
        "-- lead_sources::count_facebook_leads
         INSERT INTO facebook_lead_counts (dealership_id, source_id, day, meta_leads, our_leads)
         SELECT $1, $2, (l.created AT TIME ZONE 'Europe/Oslo')::date, count(*), count(d.id)
         FROM unnest($3::text[], $4::timestamptz[]) AS l (id, created)
         LEFT JOIN deliveries d ON d.source = 'facebook' AND d.external_id = l.id AND d.dealership_id = $1
           AND d.status IN ('processed', 'pending')
         -- The first of the days was not listed whole.
         WHERE (l.created AT TIME ZONE 'Europe/Oslo')::date >= (now() AT TIME ZONE 'Europe/Oslo')::date - 7
         GROUP BY 3
         ON CONFLICT (source_id, dealership_id, day) DO UPDATE
           SET meta_leads = excluded.meta_leads, our_leads = excluded.our_leads, counted_at = excluded.counted_at
         RETURNING day, meta_leads, our_leads",
    )
    .bind(tx.dealership())
    .bind(source)
    .bind(ids)
    .bind(times)
    .fetch_all(tx.conn())
    .await?;
    Ok(counts.into_iter().filter(|count| count.meta_leads != count.our_leads).collect())
}

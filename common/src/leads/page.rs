use std::cmp::Reverse;

use serde::Serialize;
use sqlx::{Postgres, QueryBuilder};
use utoipa::ToSchema;

use super::{
    AssignedTo, Cursor, Lead, LeadFilter, Paging,
    search::{Pattern, Search},
};
use crate::{
    db::{Result, TenantTx},
    ids::{CustomerId, LeadId},
    page::page_count,
};

/// One page of leads, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeadPage {
    /// The leads of this page.
    pub items: Vec<Lead>,
    /// How many there are on all pages.
    pub total: i64,
    /// The number of this page, from 1; with a cursor always 1.
    pub page: i64,
    /// How many pages there are.
    pub pages: i64,
    /// How many leads fit on a page.
    pub limit: i64,
    /// Give this as `cursor` to get the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// What is shown of each lead of `l`: joined and counted for these rows only. Never `*`: a column that a later release adds
/// must not change what this one prepared.
///
/// Every table's dealership is the parameter named here: no row of another one is shown even if policies are switched off.
macro_rules! details {
    ($dealership:literal) => {
        concat!(
            "
        SELECT l.id, l.dealership_id, l.assigned_to, l.source, l.source_url, l.source_metadata, l.status, l.customer_name,
               l.customer_email, l.customer_phone, l.customer_phone_e164, l.vehicle_interest, l.initial_message, l.lead_score, l.score_reasons,
               l.customer_id, l.needs_human,
               l.created_at, l.updated_at, l.last_contact_at, l.converted_at,
               extract(epoch FROM l.first_response_time)::float8 AS first_response_seconds,
               extract(epoch FROM l.first_automatic_response_time)::float8 AS first_automatic_response_seconds,
               u.name AS assignee_name, u.email AS assignee_email, u.role AS assignee_role,
               (SELECT count(*) FROM conversations c WHERE c.lead_id = l.id AND c.dealership_id = ",
            $dealership,
            ") AS conversation_count
        FROM l LEFT JOIN users u ON u.id = l.assigned_to AND u.dealership_id = ",
            $dealership
        )
    };
}
pub(super) use details;

/// The lead with this id, unless the dealership has none such.
pub async fn find(tx: &mut TenantTx, id: LeadId) -> Result<Option<Lead>> {
    let find = sqlx::query_as(concat!(
        "-- leads::find\nWITH l AS (SELECT * FROM leads WHERE id = $2 AND dealership_id = $1)",
        details!("$1")
    ));
    Ok(find.bind(tx.dealership()).bind(id).fetch_optional(tx.conn()).await?)
}

/// The latest leads of a customer, newest first, of all records that are the same person.
pub async fn of_customer(tx: &mut TenantTx, customer: CustomerId) -> Result<Vec<Lead>> {
    let find = sqlx::query_as(concat!(
        "-- leads::of_customer
         WITH RECURSIVE record AS (
           SELECT $2::uuid AS id UNION
           SELECT m.merged_into FROM customers m JOIN record r ON m.id = r.id
           WHERE m.dealership_id = $1 AND m.merged_into IS NOT NULL),
         same AS (
           SELECT id FROM record UNION
           SELECT m.id FROM customers m JOIN same ON m.merged_into = same.id WHERE m.dealership_id = $1),
         l AS (
           SELECT * FROM leads WHERE dealership_id = $1 AND customer_id = ANY (ARRAY (SELECT id FROM same)) AND customer_id IS NOT NULL
           ORDER BY created_at DESC, id DESC LIMIT 100)",
        details!("$1"),
        " ORDER BY l.created_at DESC, l.id DESC"
    ));
    Ok(find.bind(tx.dealership()).bind(customer).fetch_all(tx.conn()).await?)
}

/// The other leads of whoever asks in this one, newest first. `None` if there is no such lead.
pub async fn related(tx: &mut TenantTx, id: LeadId) -> Result<Option<Vec<Lead>>> {
    let Some(lead) = find(tx, id).await? else { return Ok(None) };
    let leads = match lead.customer_id {
        Some(customer) => of_customer(tx, customer).await?,
        None => Vec::new(),
    };
    Ok(Some(leads.into_iter().filter(|other| other.id != id).collect()))
}

/// Whether the dealership has a lead with this id.
pub async fn exists(tx: &mut TenantTx, id: LeadId) -> Result<bool> {
    let exists =
        sqlx::query_scalar("-- leads::exists\nSELECT EXISTS (SELECT FROM leads WHERE id = $1 AND dealership_id = $2)");
    Ok(exists.bind(id).bind(tx.dealership()).fetch_one(tx.conn()).await?)
}

/// The leads that pass the filter, newest first, and how many there are in all.
pub async fn page(tx: &mut TenantTx, filter: &LeadFilter) -> Result<LeadPage> {
    let mut query = QueryBuilder::new("-- leads::page\nWITH l AS (SELECT * FROM leads WHERE ");
    let search = prepare(tx, filter).await?;
    if filter.passes_all() {
        push_place(&mut query, tx, filter, None);
    } else {
        // Finds their ids in an index first, which holds what is asked for, and then looks at these leads alone.
        query
            .push("dealership_id = ")
            .push_bind(tx.dealership())
            .push(" AND id = ANY (ARRAY (SELECT id FROM leads WHERE ");
        push_place(&mut query, tx, filter, search.as_ref());
        query.push("))");
    }
    // The first value is the dealership.
    query.push(")").push(details!("$1")).push(" ORDER BY l.created_at DESC, l.id DESC");
    let mut items: Vec<Lead> = query.build_query_as().fetch_all(tx.conn()).await?;

    let more = i64::try_from(items.len()).is_ok_and(|len| len > filter.limit);
    if more {
        items.pop();
    }
    let next = items.last().filter(|_| more).map(Cursor::after);
    let skipped = filter.skipped();
    let shown = skipped + i64::try_from(items.len()).unwrap_or(i64::MAX);
    let total = match (&filter.paging, &next) {
        // The page has shown all that there are.
        (Paging::Offset(_), None) if skipped == 0 || !items.is_empty() => shown,
        // What is before its end was looked through for the page.
        (Paging::Offset(_), Some(end)) if !filter.passes_all() => {
            shown + count_after(tx, filter, search.as_ref(), Some(end)).await?
        }
        _ if filter.passes_all() => count_all(tx).await?,
        _ => count_after(tx, filter, search.as_ref(), None).await?,
    };
    let next_cursor = next.map(|end| end.to_string());
    let pages = page_count(total, filter.limit);
    Ok(LeadPage { items, total, page: skipped / filter.limit + 1, pages, limit: filter.limit, next_cursor })
}

/// What the filter searches for. And the statements that follow read indexes: the planner knows neither how many leads a
/// search finds nor that a dealership with most of them is in no hurry to see the others', and would read the whole table,
/// on several processors.
async fn prepare(tx: &mut TenantTx, filter: &LeadFilter) -> Result<Option<Search>> {
    if filter.passes_all() {
        return Ok(None);
    }
    let folded: Option<String> = sqlx::query_scalar(
        "-- leads::search
         SELECT search_fold($1), set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
                set_config('max_parallel_workers_per_gather', '0', true)",
    )
    .bind(&filter.search)
    .fetch_one(tx.conn())
    .await?;
    Ok(folded.map(|folded| Search::of(&folded)))
}

/// Exactly how many leads there are. Most of them have been counted before: `docs/adr/0007-exact-totals.md`.
async fn count_all(tx: &mut TenantTx) -> Result<i64> {
    let count = sqlx::query_scalar(
        "-- leads::total
         SELECT d.leads_counted + (SELECT count(*) FROM leads WHERE dealership_id = $1 AND created_at >= d.leads_counted_before)
         FROM dealerships d WHERE d.id = $1",
    );
    Ok(count.bind(tx.dealership()).fetch_one(tx.conn()).await?)
}

/// Exactly how many leads pass the filter, of those behind a place if there is one.
async fn count_after(
    tx: &mut TenantTx,
    filter: &LeadFilter,
    search: Option<&Search>,
    place: Option<&Cursor>,
) -> Result<i64> {
    let mut query = QueryBuilder::new("-- leads::total\nSELECT count(*) FROM leads WHERE ");
    push_conditions(&mut query, tx, filter, search);
    push_after(&mut query, place);
    Ok(query.build_query_scalar().fetch_one(tx.conn()).await?)
}

fn push_after(query: &mut QueryBuilder<Postgres>, place: Option<&Cursor>) {
    if let Some(Cursor { created_at, id }) = place {
        query.push(" AND (created_at, id) < (").push_bind(*created_at).push(", ").push_bind(*id).push(")");
    }
}

/// Which leads, in which order, and which part of them: one more than fits, which tells whether there is a next page.
fn push_place(query: &mut QueryBuilder<Postgres>, tx: &TenantTx, filter: &LeadFilter, search: Option<&Search>) {
    push_conditions(query, tx, filter, search);
    let place = if let Paging::After(cursor) = &filter.paging { Some(cursor) } else { None };
    push_after(query, place);
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(filter.limit + 1);
    query.push(" OFFSET ").push_bind(filter.skipped());
}

fn push_conditions(query: &mut QueryBuilder<Postgres>, tx: &TenantTx, filter: &LeadFilter, search: Option<&Search>) {
    // Row-Level Security says the same; said here too, the planner can use it.
    query.push("dealership_id = ").push_bind(tx.dealership());
    if let Some(status) = filter.status {
        query.push(" AND status = ").push_bind(status.as_str());
    }
    if let Some(source) = filter.source {
        query.push(" AND source = ").push_bind(source.as_str());
    }
    match filter.assigned_to {
        None => {}
        Some(AssignedTo::Nobody) => _ = query.push(" AND assigned_to IS NULL"),
        Some(AssignedTo::Member(user)) => _ = query.push(" AND assigned_to = ").push_bind(user),
    }
    if let Some(from) = filter.created_from {
        query.push(" AND created_at >= ").push_bind(from);
    }
    if let Some(to) = filter.created_to {
        query.push(" AND created_at < ").push_bind(to);
    }
    if let Some(Search { joined, apart }) = search {
        query.push(" AND (");
        push_patterns(query, joined);
        if let Some(apart) = apart {
            query.push(" OR ");
            push_patterns(query, apart);
        }
        query.push(")");
    }
}

/// The longest first: it skips most of what it searches, and few have it.
fn push_patterns(query: &mut QueryBuilder<Postgres>, patterns: &[Pattern]) {
    let mut patterns: Vec<&Pattern> = patterns.iter().collect();
    patterns.sort_by_key(|pattern| Reverse(pattern.text().len()));
    for (index, pattern) in patterns.into_iter().enumerate() {
        if index > 0 {
            query.push(" AND ");
        }
        pattern.push_to(query);
    }
}

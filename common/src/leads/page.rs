use serde::Serialize;
use sqlx::{Postgres, QueryBuilder};
use utoipa::ToSchema;

use super::{Cursor, Lead, LeadFilter, Paging};
use crate::{
    db::{Error, Result, TenantTx},
    ids::LeadId,
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

/// What a page shows of each lead: joined and counted for the rows of the page only. Never `*`: a column that a later
/// release adds must not change what this one prepared.
const DETAILS: &str = "
    SELECT l.id, l.dealership_id, l.assigned_to, l.source, l.source_url, l.source_metadata, l.status, l.customer_name,
           l.customer_email, l.customer_phone, l.customer_phone_e164, l.vehicle_interest, l.initial_message, l.lead_score,
           l.created_at, l.updated_at, l.last_contact_at, l.converted_at,
           extract(epoch FROM l.first_response_time)::float8 AS first_response_seconds,
           u.name AS assignee_name, u.email AS assignee_email, u.role AS assignee_role,
           (SELECT count(*) FROM conversations c WHERE c.lead_id = l.id AND c.dealership_id = l.dealership_id)
             AS conversation_count
    FROM l LEFT JOIN users u ON u.id = l.assigned_to AND u.dealership_id = l.dealership_id";

/// The lead with this id, unless the dealership has none such.
pub async fn find(tx: &mut TenantTx, id: LeadId) -> Result<Option<Lead>> {
    let mut query = QueryBuilder::new("-- leads::find\nWITH l AS (SELECT * FROM leads WHERE id = ");
    query.push_bind(id).push(")").push(DETAILS);
    query.build_query_as().fetch_optional(tx.conn()).await.map_err(Error::from)
}

/// The leads that pass the filter, newest first, and how many there are in all.
pub async fn page(tx: &mut TenantTx, filter: &LeadFilter) -> Result<LeadPage> {
    let mut query = QueryBuilder::new("-- leads::page\nWITH l AS (SELECT * FROM leads WHERE ");
    push_conditions(&mut query, tx, filter);
    let skipped = match &filter.paging {
        Paging::Offset(offset) => *offset,
        Paging::After(cursor) => {
            query.push(" AND (created_at, id) < (").push_bind(cursor.created_at);
            query.push(", ").push_bind(cursor.id).push(")");
            0
        }
    };
    // One more than fits tells whether there is a next page.
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(filter.limit + 1);
    query.push(" OFFSET ").push_bind(skipped).push(")").push(DETAILS);
    query.push(" ORDER BY l.created_at DESC, l.id DESC");
    let mut items: Vec<Lead> = query.build_query_as().fetch_all(tx.conn()).await.map_err(Error::from)?;

    let more = i64::try_from(items.len()).is_ok_and(|len| len > filter.limit);
    if more {
        items.pop();
    }
    let next_cursor = items.last().filter(|_| more).map(|last| Cursor::after(last).to_string());
    let total = total(tx, filter).await?;
    let pages = page_count(total, filter.limit);
    Ok(LeadPage { items, total, page: skipped / filter.limit + 1, pages, limit: filter.limit, next_cursor })
}

async fn total(tx: &mut TenantTx, filter: &LeadFilter) -> Result<i64> {
    let mut query = QueryBuilder::new("-- leads::total\nSELECT count(*) FROM leads WHERE ");
    push_conditions(&mut query, tx, filter);
    query.build_query_scalar().fetch_one(tx.conn()).await.map_err(Error::from)
}

fn push_conditions(query: &mut QueryBuilder<Postgres>, tx: &TenantTx, filter: &LeadFilter) {
    // Row-Level Security says the same; said here too, the planner can use it.
    query.push("dealership_id = ").push_bind(tx.dealership());
    if let Some(status) = filter.status {
        query.push(" AND status = ").push_bind(status.as_str());
    }
    if let Some(source) = filter.source {
        query.push(" AND source = ").push_bind(source.as_str());
    }
    if let Some(user) = filter.assigned_to {
        query.push(" AND assigned_to = ").push_bind(user);
    }
    if let Some(from) = filter.created_from {
        query.push(" AND created_at >= ").push_bind(from);
    }
    if let Some(to) = filter.created_to {
        query.push(" AND created_at < ").push_bind(to);
    }
    if let Some(search) = &filter.search {
        let pattern = format!("%{}%", search.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        query.push(" AND (customer_name ILIKE ").push_bind(pattern.clone());
        query.push(" OR customer_email ILIKE ").push_bind(pattern.clone());
        query.push(" OR customer_phone ILIKE ").push_bind(pattern).push(")");
    }
}

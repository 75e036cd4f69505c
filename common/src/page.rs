//! Collections, a page at a time.

use std::str::FromStr;

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::input::{Fields, FromFields, integer_text, uuid};

/// How many items of a list that is a bare array are shown at once: memory for an answer must have a bound.
pub(crate) const MAX_PART: i64 = 500;
/// The largest offset. Beyond it, use a cursor.
pub(crate) const MAX_OFFSET: i64 = 1_000_000_000;

/// Which page of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageRequest {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 25, required = false)]
    pub limit: i64,
    /// After this many.
    #[param(minimum = 0, maximum = 1_000_000_000, default = 0, required = false)]
    pub offset: i64,
}

impl FromFields for PageRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let limit = fields.optional("limit", integer_text(1..=100)).unwrap_or(25);
        let offset = fields.optional("offset", integer_text(0..=MAX_OFFSET)).unwrap_or(0);
        Some(Self { limit, offset })
    }
}

/// Which part of a list that is a bare array, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before<Id> {
    /// Only what is older than this item of the list.
    pub before: Option<Id>,
}

impl<Id: FromStr> FromFields for Before<Id> {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { before: fields.optional("before", uuid("an item of this list")) })
    }
}

/// Which part of a list that is a bare array, in its own order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After<Id> {
    /// Only what comes after this item of the list.
    pub after: Option<Id>,
}

impl<Id: FromStr> FromFields for After<Id> {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { after: fields.optional("after", uuid("an item of this list")) })
    }
}

/// A part of a list that is a bare array.
#[derive(Debug)]
pub struct Part<T> {
    /// What the part holds.
    pub items: Vec<T>,
    /// Whether the list goes on after it.
    pub more: bool,
}

impl<T> Part<T> {
    /// At most [`MAX_PART`] of `items`, which are one more than that if the list goes on.
    pub(crate) fn of(mut items: Vec<T>) -> Self {
        let max = usize::try_from(MAX_PART).unwrap_or(usize::MAX);
        let more = items.len() > max;
        items.truncate(max);
        Self { items, more }
    }
}

/// A page of a collection.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// What is on this page.
    pub items: Vec<T>,
    /// How many there are on all pages.
    pub total: i64,
    /// The number of this page, from 1.
    pub page: i64,
    /// How many pages there are.
    pub pages: i64,
    /// How many fit on a page.
    pub limit: i64,
}

impl<T> Page<T> {
    /// The page that was asked for.
    pub fn new(items: Vec<T>, total: i64, request: PageRequest) -> Self {
        let PageRequest { limit, offset } = request;
        Self { items, total, page: offset / limit + 1, pages: page_count(total, limit), limit }
    }
}

/// How many pages of `limit` it takes for `total`.
pub(crate) fn page_count(total: i64, limit: i64) -> i64 {
    (total + limit - 1) / limit
}

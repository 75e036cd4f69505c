//! Collections, a page at a time.

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::input::{Fields, FromFields, integer_text};

/// How much of a list that is not paged is shown: memory for an answer must have a bound.
pub(crate) const LONGEST_LIST: i64 = 500;
/// The furthest that a page can begin. Whoever wants more wants a cursor.
pub(crate) const OFFSETS: i64 = 1_000_000_000;

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
        let offset = fields.optional("offset", integer_text(0..=OFFSETS)).unwrap_or(0);
        Some(Self { limit, offset })
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

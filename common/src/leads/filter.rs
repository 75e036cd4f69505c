use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde_json::Value;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{Lead, LeadSource, LeadStatus};
use crate::{
    ids::{LeadId, UserId},
    input::{Fields, FromFields, Invalid, instant, integer_text, text, uuid},
    page::MAX_OFFSET,
};

/// Which leads a page is taken from, and which page.
#[derive(Debug, Clone, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LeadFilter {
    /// Only with this status.
    #[param(schema_with = LeadStatus::or_blank)]
    pub status: Option<LeadStatus>,
    /// Only from this source.
    #[param(schema_with = LeadSource::or_blank)]
    pub source: Option<LeadSource>,
    /// Only with all of these words, in any order, in the customer's name, e-mail address, phone number or the vehicle of
    /// interest. Case and accents make no difference (`hakonsen` finds Håkonsen), nor how a number is written. The first
    /// eight words count.
    #[param(max_length = 200)]
    pub search: Option<String>,
    /// Only those that this member takes care of, by id (`GET /api/v1/users` lists them), or `me`; or `none` for those
    /// that nobody takes care of.
    #[param(value_type = Option<String>)]
    pub assigned_to: Option<AssignedTo>,
    /// Only those that came in at this time or later: a time such as 2026-11-01T08:30:00Z, or a date, which is its
    /// midnight in UTC.
    #[param(value_type = Option<String>)]
    pub created_from: Option<DateTime<Utc>>,
    /// Only those that came in before this time.
    #[param(value_type = Option<String>)]
    pub created_to: Option<DateTime<Utc>>,
    /// How many at most, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 25, required = false)]
    pub limit: i64,
    /// Where the page begins.
    #[param(ignore)]
    pub paging: Paging,
}

/// Whose leads are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssignedTo {
    /// Those that nobody takes care of.
    Nobody,
    /// Those of this member.
    Member(UserId),
}

/// The filter of a request, in which `me` stands for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadQuery {
    filter: LeadFilter,
    of_caller: bool,
}

impl LeadQuery {
    /// What this member means by it.
    pub fn of(self, caller: UserId) -> LeadFilter {
        let Self { mut filter, of_caller } = self;
        if of_caller {
            filter.assigned_to = Some(AssignedTo::Member(caller));
        }
        filter
    }
}

impl LeadFilter {
    /// The newest leads, whatever they are.
    pub fn newest(limit: i64) -> Self {
        Self {
            status: None,
            source: None,
            search: None,
            assigned_to: None,
            created_from: None,
            created_to: None,
            limit,
            paging: Paging::Offset(0),
        }
    }

    /// Whether there is no lead that it keeps out.
    pub(super) fn passes_all(&self) -> bool {
        let Self { status, source, search, assigned_to, created_from, created_to, limit: _, paging: _ } = self;
        status.is_none()
            && source.is_none()
            && search.is_none()
            && assigned_to.is_none()
            && created_from.is_none()
            && created_to.is_none()
    }

    /// How many leads come before the page.
    pub(super) fn skipped(&self) -> i64 {
        match self.paging {
            Paging::Offset(offset) => offset,
            Paging::After(_) => 0,
        }
    }
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// After this many. Costs more the further it goes.
    Offset(i64),
    /// After this lead. Costs the same everywhere, and skips or repeats nothing when new leads come in meanwhile.
    After(Cursor),
}

/// A place between two leads of the inbox. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(super) created_at: DateTime<Utc>,
    pub(super) id: LeadId,
}

impl Cursor {
    /// The place right after this lead.
    pub fn after(lead: &Lead) -> Self {
        Self { created_at: lead.created_at, id: lead.id }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.created_at.timestamp_micros().to_be_bytes());
        bytes[8..].copy_from_slice(Uuid::from(self.id).as_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl Cursor {
    fn parse(value: &Value) -> Result<Self, Invalid> {
        let refused = || Invalid::from("must be the next_cursor of an earlier page");
        let text = text(100)(value)?;
        let bytes: [u8; 24] =
            URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(refused)?;
        let (time, id) = bytes.split_at(8);
        let micros = i64::from_be_bytes(time.try_into().expect("split at 8"));
        let created_at = DateTime::from_timestamp_micros(micros)
            .filter(|time| (1..=9999).contains(&chrono::Datelike::year(time)))
            .ok_or_else(refused)?;
        let id = Uuid::from_bytes(id.try_into().expect("24 less 8 is 16"));
        Ok(Self { created_at, id: id.into() })
    }
}

impl FromFields for LeadQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let status = fields.optional("status", LeadStatus::parse);
        let source = fields.optional("source", LeadSource::parse);
        let search = fields.optional("search", text(200));
        let assignee = fields.optional("assigned_to", Assignee::parse);
        let created_from = fields.optional("created_from", instant);
        let created_to = fields.optional("created_to", instant);
        let limit = fields.optional("limit", integer_text(1..=100)).unwrap_or(25);
        let offset = fields.optional("offset", integer_text(0..=MAX_OFFSET));
        let cursor = fields.optional("cursor", Cursor::parse);
        if offset.is_some() && cursor.is_some() {
            fields.report("cursor", "cannot be combined with offset; give one of them");
        }
        let paging = cursor.map_or(Paging::Offset(offset.unwrap_or(0)), Paging::After);
        let (assigned_to, of_caller) = match assignee {
            Some(Assignee::Caller) => (None, true),
            Some(Assignee::Named(named)) => (Some(named), false),
            None => (None, false),
        };
        let filter = LeadFilter { status, source, search, assigned_to, created_from, created_to, limit, paging };
        Some(Self { filter, of_caller })
    }
}

enum Assignee {
    Caller,
    Named(AssignedTo),
}

impl Assignee {
    fn parse(value: &Value) -> Result<Self, Invalid> {
        match value.as_str().map(str::trim) {
            Some("me") => Ok(Self::Caller),
            Some("none") => Ok(Self::Named(AssignedTo::Nobody)),
            _ => match uuid("")(value) {
                Ok(id) => Ok(Self::Named(AssignedTo::Member(id))),
                Err(_) => Err("must be the id of a user, me or none".into()),
            },
        }
    }
}

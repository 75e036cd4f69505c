//! Who did what to jobs, deliveries and queues. Written in the transaction of the action, so that neither is there without
//! the other.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, Postgres, QueryBuilder};

use crate::{
    db::{Result, SystemTx},
    seek::Seek,
};

/// Ids kept of one action, at most.
const MAX_IDS: usize = 1_000;

/// Where an operator gave an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Page,
    /// `norvalt`.
    Command,
}

/// A person who operates the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    name: String,
    via: Via,
}

impl Operator {
    /// An operator by the name they signed in with, or that their shell has.
    pub fn new(name: impl Into<String>, via: Via) -> Self {
        Self { name: name.into(), via }
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What operators can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Dead jobs run again.
    Retry,
    /// Jobs do not run any more.
    Cancel,
    /// Deliveries are processed again.
    Replay,
    /// Nothing is claimed from a queue.
    Pause,
    /// A paused queue goes on.
    Resume,
    /// A dealership is closed, so that it can be exported.
    Freeze,
    /// A dealership is another server's.
    Release,
    /// A dealership is served again, or for the first time here.
    Open,
    /// A dealership came from another server.
    Import,
    /// What a move has left behind is destroyed.
    Purge,
    /// Nobody sends by itself what a backup says is on its way.
    Hold,
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Replay => "replay",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Freeze => "freeze",
            Self::Release => "release",
            Self::Open => "open",
            Self::Import => "import",
            Self::Purge => "purge",
            Self::Hold => "hold",
        }
    }
}

/// What an action was about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    Jobs(&'a [i64]),
    Deliveries(&'a [i64]),
    /// This queue, and why.
    Queue(&'a str, Option<&'a str>),
    /// The dealership with this id, or what the action is about if it is about all.
    Other(&'a str),
}

/// An action that was recorded.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct Action {
    /// `operator_actions.id`.
    pub id: i64,
    /// When it was done.
    pub at: DateTime<Utc>,
    pub operator: String,
    /// `page` or `command`.
    pub via: String,
    /// `retry`, `cancel`, `replay`, `pause`, `freeze` …
    pub action: String,
    /// `jobs`, `deliveries`, a queue's name, a dealership's id.
    pub subject: String,
    /// The jobs or deliveries, the first thousand of them.
    pub ids: Vec<i64>,
    /// How many jobs, deliveries or queues.
    pub affected: i64,
    /// Why, if the operator said so.
    pub reason: Option<String>,
}

/// Writes down what an operator does. Nothing is written when it affects nothing.
pub async fn record(tx: &mut SystemTx, by: &Operator, verb: Verb, subject: Subject<'_>) -> Result<()> {
    let (name, ids, reason) = match subject {
        Subject::Jobs(ids) => ("jobs", ids, None),
        Subject::Deliveries(ids) => ("deliveries", ids, None),
        Subject::Queue(name, reason) => (name, &[][..], reason),
        Subject::Other(name) => (name, &[][..], None),
    };
    let affected = if matches!(subject, Subject::Queue(..) | Subject::Other(_)) { 1 } else { ids.len() };
    if affected == 0 {
        return Ok(());
    }
    let first: Vec<_> = ids.iter().take(20).map(i64::to_string).collect();
    let action = verb.as_str();
    tracing::info!(operator = by.name, action, subject = name, affected, ids = first.join(", "), "an operator acted");
    let via = match by.via {
        Via::Page => "page",
        Via::Command => "command",
    };
    sqlx::query(
        "-- audit::record
         INSERT INTO operator_actions (operator, via, action, subject, ids, affected, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&by.name)
    .bind(via)
    .bind(verb.as_str())
    .bind(name)
    .bind(&ids[..ids.len().min(MAX_IDS)])
    .bind(i64::try_from(affected).unwrap_or(i64::MAX))
    .bind(reason)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The actions of one part of the history, newest first, up to `limit`.
pub async fn actions(tx: &mut SystemTx, seek: Seek, limit: i64) -> Result<Vec<Action>> {
    let mut query = QueryBuilder::<Postgres>::new(
        "-- audit::actions
         SELECT id, at, operator, via, action, subject, ids, affected, reason FROM operator_actions WHERE true",
    );
    seek.push_to(&mut query, limit);
    let mut actions = query.build_query_as().fetch_all(tx.conn()).await?;
    seek.newest_first(&mut actions);
    Ok(actions)
}

/// What was done to one job or delivery, newest first.
pub async fn actions_on(tx: &mut SystemTx, subject: Subject<'_>) -> Result<Vec<Action>> {
    let (name, id) = match subject {
        Subject::Jobs(ids) => ("jobs", ids.first()),
        Subject::Deliveries(ids) => ("deliveries", ids.first()),
        Subject::Queue(name, _) | Subject::Other(name) => (name, None),
    };
    Ok(sqlx::query_as(
        "-- audit::actions_on
         SELECT id, at, operator, via, action, subject, ids, affected, reason FROM operator_actions
         WHERE subject = $1 AND ($2::bigint IS NULL OR $2 = ANY (ids)) ORDER BY id DESC LIMIT 20",
    )
    .bind(name)
    .bind(id)
    .fetch_all(tx.conn())
    .await?)
}

//! Secrets that a dealership has given us to keep are sealed with a server's keys: the other one has those keys too, or goes without.

use super::tables::LEFT_OUT;
use crate::{
    db::{Result, TenantTx},
    ids::SourceId,
    lead_sources,
    notifications::{Event, tell},
};

/// What is said of a source whose secret stayed behind.
const SOURCE_WITHOUT: &str = "its secret was not moved to this server; give it once more";
/// The same of an account that messages were sent through.
const ACCOUNT_WITHOUT: &str = "its password was not moved to this server; give it once more";

/// What goes without its secret.
#[derive(Debug, Default)]
pub(super) struct LeftBehind {
    pub(super) sources: Vec<SourceId>,
    pub(super) accounts: Vec<String>,
}

impl LeftBehind {
    /// Notes what a row says, whose first two columns are given, and takes the word out of it.
    pub(super) fn note(
        &mut self,
        table: &str,
        row: &mut [Option<String>],
        secret: usize,
        (id, channel): (usize, usize),
    ) {
        if row[secret].as_deref() != Some(LEFT_OUT) {
            return;
        }
        row[secret] = None;
        if table == "lead_sources" {
            self.sources.extend(row[id].as_deref().and_then(|id| id.parse::<SourceId>().ok()));
        } else {
            self.accounts.extend(row[channel].clone());
        }
    }

    pub(super) fn count(&self) -> usize {
        self.sources.len() + self.accounts.len()
    }

    /// Tells the people of the dealership.
    pub(super) async fn tell(&self, tx: &mut TenantTx) -> Result<()> {
        for &source in &self.sources {
            lead_sources::mark_broken(tx, source, SOURCE_WITHOUT).await?;
        }
        if self.accounts.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "-- moving::tell
             UPDATE sending_accounts SET broken_reason = $3 WHERE dealership_id = $1 AND channel = ANY ($2)",
        )
        .bind(tx.dealership())
        .bind(&self.accounts)
        .bind(ACCOUNT_WITHOUT)
        .execute(tx.conn())
        .await?;
        tell(tx, Event::SendingBroken, None).await
    }
}

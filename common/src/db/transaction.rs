use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, pool::Begun};
use crate::{ids::DealershipId, queue::Waker};

/// A transaction bound to one dealership by Row-Level Security. Dropping it without a commit rolls back.
#[derive(Debug)]
pub struct TenantTx {
    tx: Begun,
    dealership: DealershipId,
}

impl TenantTx {
    pub(super) fn new(tx: Begun, dealership: DealershipId) -> Self {
        Self { tx, dealership }
    }

    /// The dealership whose rows this transaction sees and writes.
    pub fn dealership(&self) -> DealershipId {
        self.dealership
    }

    /// Makes the changes durable.
    pub async fn commit(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }

    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        self.tx.conn()
    }

    /// Runs a DELETE of the row with the id `$1` of the dealership `$2`, and says whether there was one.
    pub(crate) async fn delete(&mut self, statement: &'static str, id: impl Into<Uuid>) -> Result<bool> {
        let dealership = self.dealership;
        let delete = sqlx::query(statement).bind(id.into()).bind(dealership);
        Ok(delete.execute(self.conn()).await?.rows_affected() > 0)
    }
}

/// A transaction that is not bound to a dealership. Dropping it without a commit rolls back.
#[derive(Debug)]
pub struct SystemTx {
    tx: Begun,
    waker: Waker,
    enqueued: bool,
}

impl SystemTx {
    pub(super) fn new(tx: Begun, waker: Waker) -> Self {
        Self { tx, waker, enqueued: false }
    }

    /// Makes the changes durable and lets the workers know of what was enqueued.
    pub async fn commit(self) -> Result<()> {
        self.tx.commit().await?;
        if self.enqueued {
            self.waker.wake();
        }
        Ok(())
    }

    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        self.tx.conn()
    }

    /// Called by the queue: this transaction, once committed, is worth waking a worker for.
    pub(crate) fn note_enqueued(&mut self) {
        self.enqueued = true;
    }

    pub(super) fn into_inner(self) -> Begun {
        self.tx
    }
}

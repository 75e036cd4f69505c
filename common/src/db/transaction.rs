use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

use super::{Result, begin::become_tenant, commits::TRIAL, notifier::Notifier, open_transaction::OpenTransaction};
use crate::ids::DealershipId;

/// A transaction bound to one dealership by Row-Level Security. Dropping it without a commit rolls back.
#[derive(Debug)]
pub struct TenantTx {
    tx: OpenTransaction,
    dealership: DealershipId,
    notifier: Notifier,
    /// The queues in which something was enqueued.
    enqueued: BTreeSet<String>,
    /// Whether it is in the role of the queue's statements. Stays so when one of them was cut off or failed.
    elevated: bool,
}

impl TenantTx {
    pub(super) fn new(tx: OpenTransaction, dealership: DealershipId, notifier: Notifier) -> Self {
        Self { tx, dealership, notifier, enqueued: BTreeSet::new(), elevated: false }
    }

    /// The dealership whose rows this transaction sees and writes.
    pub fn dealership(&self) -> DealershipId {
        self.dealership
    }

    /// Makes the changes durable and announces what was enqueued.
    pub async fn commit(self) -> Result<()> {
        self.tx.commit().await?;
        self.notifier.notify(self.enqueued);
        Ok(())
    }

    /// Ends a transaction that only read, and returns when what it has read will outlive the server. Somebody else may have
    /// given up waiting for the commit that wrote it, and then a standby need not have it yet.
    pub async fn confirm(mut self) -> Result<()> {
        self.conn().execute(TRIAL).await?;
        self.commit().await
    }

    /// Gives back the memory that something long took on its way: the connection would keep it.
    pub fn shrink(&mut self) {
        self.conn().shrink_buffers();
    }

    /// Ends a transaction that only read, once its last statement has been answered. Dropping it does the same, but whoever
    /// begins the next one cannot do both at once.
    pub fn leave(self) {
        if !self.elevated {
            self.tx.leave();
        }
    }

    /// # Panics
    /// After a statement of the queue that was cut off: the transaction has more rights than a tenant, and can only be
    /// rolled back.
    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        assert!(!self.elevated, "a statement of the queue was cut off: the transaction can only be rolled back");
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
    tx: OpenTransaction,
    notifier: Notifier,
    /// The queues in which something was enqueued.
    enqueued: BTreeSet<String>,
}

impl SystemTx {
    pub(super) fn new(tx: OpenTransaction, notifier: Notifier) -> Self {
        Self { tx, notifier, enqueued: BTreeSet::new() }
    }

    /// Makes the changes durable and lets the workers know of what was enqueued.
    pub async fn commit(self) -> Result<()> {
        self.tx.commit().await?;
        self.notifier.notify(self.enqueued);
        Ok(())
    }

    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        self.tx.conn()
    }

    /// Goes on as one dealership's. On an error nothing has been handed out, and the transaction is rolled back.
    pub(crate) async fn into_tenant(mut self, dealership: DealershipId) -> Result<TenantTx> {
        // Safe: the only variable part is the canonical form of a UUID.
        self.conn().execute(AssertSqlSafe(become_tenant(dealership))).await?;
        let tenant = TenantTx::new(self.tx, dealership, self.notifier);
        Ok(TenantTx { enqueued: self.enqueued, ..tenant })
    }
}

/// A transaction through either door, for the few statements that mean the same behind both.
pub trait Transaction: Send {
    #[doc(hidden)]
    fn connection(&mut self) -> Inner<'_>;
}

/// A connection inside a transaction. Only this crate's statements can be run on it.
#[derive(Debug)]
pub struct Inner<'a>(&'a mut PgConnection);

impl<'a> Inner<'a> {
    pub(crate) fn conn(self) -> &'a mut PgConnection {
        self.0
    }
}

impl Transaction for TenantTx {
    fn connection(&mut self) -> Inner<'_> {
        Inner(self.conn())
    }
}

impl Transaction for SystemTx {
    fn connection(&mut self) -> Inner<'_> {
        Inner(self.conn())
    }
}

/// A transaction through either door: in both, jobs are enqueued and ended together with what causes them.
pub trait JobTx: Send {
    /// Whose jobs it enqueues, if a dealership's.
    fn owner(&self) -> Option<DealershipId>;

    /// Takes the rights on the queue, for one statement.
    fn elevate(&mut self) -> impl Future<Output = Result<Elevated<'_>>> + Send;

    /// Gives the rights up again. After a statement that failed there is no need: nothing but a rollback is possible then.
    fn lower(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// This transaction, once committed, is worth waking the workers of a queue for.
    fn note_enqueued(&mut self, queue: &str);
}

/// A connection with the rights on the queue, and on what else the system has. Only this crate's statements can be run on it.
#[derive(Debug)]
pub struct Elevated<'a>(&'a mut PgConnection);

impl<'a> Elevated<'a> {
    pub(crate) fn conn(self) -> &'a mut PgConnection {
        self.0
    }
}

impl JobTx for SystemTx {
    fn owner(&self) -> Option<DealershipId> {
        None
    }

    async fn elevate(&mut self) -> Result<Elevated<'_>> {
        Ok(Elevated(self.conn()))
    }

    async fn lower(&mut self) -> Result<()> {
        Ok(())
    }

    fn note_enqueued(&mut self, queue: &str) {
        self.enqueued.insert(queue.to_owned());
    }
}

impl JobTx for TenantTx {
    fn owner(&self) -> Option<DealershipId> {
        Some(self.dealership)
    }

    async fn elevate(&mut self) -> Result<Elevated<'_>> {
        self.elevated = true;
        self.tx.conn().execute("SET LOCAL ROLE norvalt_system").await?;
        Ok(Elevated(self.tx.conn()))
    }

    async fn lower(&mut self) -> Result<()> {
        self.tx.conn().execute("SET LOCAL ROLE norvalt_tenant").await?;
        self.elevated = false;
        Ok(())
    }

    fn note_enqueued(&mut self, queue: &str) {
        self.enqueued.insert(queue.to_owned());
    }
}

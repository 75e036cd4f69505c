//! What the types rule out. Each case is compiled twice as a doc test, as it must not be written and as it may be. The two
//! differ in nothing but the lines that the case is about, so that nothing else keeps the first one from compiling; a
//! nightly compiler also compares the code of the error.

/// Tenant code: asks for a lead, given a handle to the database and ids.
macro_rules! query {
    ($line:literal) => {
        concat!(
            "# use common::{db::{Db, Result}, ids::{DealershipId, LeadId}, leads};\n",
            "async fn read(db: &Db, dealership: DealershipId, lead: LeadId) -> Result<()> {\n    ",
            $line,
            "\n    Ok(())\n}"
        )
    };
}

/// A job that greets somebody outside: `Loaded`, what `load` returns, and what `call` does.
macro_rules! network_job {
    ($lines:literal) => {
        concat!(
            "# use std::time::Duration;\n",
            "# use common::{db::{Db, TenantTx}, ids::DealershipId, queue::Job};\n",
            "# use worker::{JobContext, JobError, NetworkJob, Services};\n",
            "#[derive(serde::Serialize, serde::Deserialize)]\n",
            "struct Greet { dealership: DealershipId }\n\n",
            "impl Job for Greet {\n    const KIND: &'static str = \"greet\";\n    const BURIED_BY_WORKER: bool = true;\n}\n\n",
            "impl NetworkJob for Greet {\n",
            "    const TIMEOUT: Duration = Duration::from_secs(10);\n",
            "    type Answer = ();\n",
            $lines,
            "    async fn save(&self, (): (), _: &JobContext, _: &mut TenantTx) -> Result<(), JobError> { Ok(()) }\n",
            "    async fn dead(&self, _: &str, _: &JobContext, _: &mut TenantTx) -> Result<(), JobError> { Ok(()) }\n",
            "}"
        )
    };
}

/// A job with all its effects in its transaction.
macro_rules! system_job {
    ($lines:literal) => {
        concat!(
            "# use std::time::Duration;\n",
            "# use common::{db::SystemTx, queue::Job};\n",
            "# use worker::{JobContext, JobError, Services, SystemJob};\n",
            "#[derive(serde::Serialize, serde::Deserialize)]\n",
            "struct Greet {}\n\n",
            "impl Job for Greet {\n    const KIND: &'static str = \"greet\";\n}\n\n",
            "impl SystemJob for Greet {\n",
            "    const TIMEOUT: Duration = Duration::from_secs(10);\n",
            $lines,
            "}"
        )
    };
}

macro_rules! must_not_compile {
    ($(#[$meaning:meta])* $case:ident, $around:ident, $fails:literal, not $wrong:literal, but $right:literal) => {
        $(#[$meaning])*
        ///
        #[doc = concat!("```", $fails, "\n", $around!($wrong), "\n```")]
        ///
        #[doc = concat!("```no_run\n", $around!($right), "\n```")]
        #[derive(Debug)]
        pub enum $case {}
    };
}

must_not_compile!(
    /// A dealership's rows through the system door.
    TenantCodeThroughTheSystemDoor, query, "compile_fail,E0308",
    not "leads::find(&mut db.system().await?, lead).await?;",
    but "leads::find(&mut db.tenant(dealership).await?, lead).await?;"
);
must_not_compile!(
    /// A dealership's rows without a transaction.
    TenantCodeWithoutATransaction, query, "compile_fail,E0308",
    not "leads::find(db, lead).await?;",
    but "leads::find(&mut db.tenant(dealership).await?, lead).await?;"
);
must_not_compile!(
    /// A statement of one's own on a connection of the pool.
    TheBarePool, query, "compile_fail,E0616",
    not "let _ = &db.pool;",
    but "let _ = db.pool_use();"
);
must_not_compile!(
    /// A statement of one's own behind a door, outside of `common`.
    TheBareConnection, query, "compile_fail,E0624",
    not "let _ = db.tenant(dealership).await?.conn();",
    but "let _ = db.tenant(dealership).await?.dealership();"
);
must_not_compile!(
    /// The transaction of `load` kept open for `call`. (That a lifetime is too short has no code.)
    ATransactionDuringTheCall, network_job, "compile_fail",
    not "
    type Loaded = &'static TenantTx;
    async fn load(&self, _: &JobContext, tx: &mut TenantTx) -> Result<Option<&'static TenantTx>, JobError> { Ok(Some(tx)) }
    async fn call(&self, tx: &&'static TenantTx, _: &Services) -> Result<(), JobError> { tx.dealership(); Ok(()) }
",
    but "
    type Loaded = DealershipId;
    async fn load(&self, _: &JobContext, tx: &mut TenantTx) -> Result<Option<DealershipId>, JobError> { Ok(Some(tx.dealership())) }
    async fn call(&self, _: &DealershipId, _: &Services) -> Result<(), JobError> { Ok(()) }
"
);
must_not_compile!(
    /// `call` given a transaction.
    ACallWithATransaction, network_job, "compile_fail,E0050",
    not "
    type Loaded = ();
    async fn load(&self, _: &JobContext, _: &mut TenantTx) -> Result<Option<()>, JobError> { Ok(Some(())) }
    async fn call(&self, (): &(), _: &Services, _: &mut TenantTx) -> Result<(), JobError> { Ok(()) }
",
    but "
    type Loaded = ();
    async fn load(&self, _: &JobContext, _: &mut TenantTx) -> Result<Option<()>, JobError> { Ok(Some(())) }
    async fn call(&self, (): &(), _: &Services) -> Result<(), JobError> { Ok(()) }
"
);
must_not_compile!(
    /// A transaction opened by `call`.
    ATransactionOpenedByTheCall, network_job, "compile_fail,E0609",
    not "
    type Loaded = ();
    async fn load(&self, _: &JobContext, _: &mut TenantTx) -> Result<Option<()>, JobError> { Ok(Some(())) }
    async fn call(&self, (): &(), services: &Services) -> Result<(), JobError> {
        let db: &Db = &services.db;
        db.tenant(self.dealership).await?;
        Ok(())
    }
",
    but "
    type Loaded = ();
    async fn load(&self, _: &JobContext, _: &mut TenantTx) -> Result<Option<()>, JobError> { Ok(Some(())) }
    async fn call(&self, (): &(), services: &Services) -> Result<(), JobError> {
        let _ = &services.clerk;
        Ok(())
    }
"
);
must_not_compile!(
    /// A job of one transaction that gets at the outside.
    ANetworkCallInATransaction, system_job, "compile_fail,E0050",
    not "
    async fn perform(self, _: &JobContext, _: &mut SystemTx, _: &Services) -> Result<(), JobError> { Ok(()) }
",
    but "
    async fn perform(self, _: &JobContext, _: &mut SystemTx) -> Result<(), JobError> { Ok(()) }
"
);

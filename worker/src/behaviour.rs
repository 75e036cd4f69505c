use common::db::{Db, SystemTx, TenantTx};
use futures::{FutureExt, future::BoxFuture};

use crate::{
    job_error::JobError,
    kinds::{IdempotentJob, JobContext, NetworkJob, Services, SystemJob, TenantJob},
};

type Outcome<'a> = BoxFuture<'a, Result<(), JobError>>;
pub(crate) type InSystem = Box<dyn for<'a> FnOnce(&'a JobContext, &'a mut SystemTx) -> Outcome<'a> + Send>;
pub(crate) type InTenant = Box<dyn for<'a> FnOnce(&'a JobContext, &'a mut TenantTx) -> Outcome<'a> + Send>;
type OnItsOwn = Box<dyn for<'a> FnOnce(&'a JobContext, &'a Db, &'a Services) -> Outcome<'a> + Send>;

/// One job's behaviour with its payload, whatever its type.
pub(crate) enum Behaviour {
    System(InSystem),
    Tenant(InTenant),
    Network(Box<dyn NetworkBehaviour>),
    Idempotent(OnItsOwn),
}

impl Behaviour {
    pub(crate) fn system<J: SystemJob>(job: J) -> Self {
        Self::System(Box::new(|context, tx| job.perform(context, tx).boxed()))
    }

    pub(crate) fn tenant<J: TenantJob>(job: J) -> Self {
        Self::Tenant(Box::new(|context, tx| job.perform(context, tx).boxed()))
    }

    pub(crate) fn network<J: NetworkJob>(job: J) -> Self {
        Self::Network(Box::new(Steps { job, loaded: None, answer: None }))
    }

    pub(crate) fn idempotent<J: IdempotentJob>(job: J) -> Self {
        Self::Idempotent(Box::new(|context, db, services| job.perform(context, db, services).boxed()))
    }
}

/// The steps of a [`NetworkJob`], each to be taken after the one before has succeeded.
pub(crate) trait NetworkBehaviour: Send {
    /// Returns whether there is something to call for.
    fn load<'a>(&'a mut self, context: &'a JobContext, tx: &'a mut TenantTx) -> BoxFuture<'a, Result<bool, JobError>>;
    fn call<'a>(&'a mut self, services: &'a Services) -> Outcome<'a>;
    fn save<'a>(&'a mut self, context: &'a JobContext, tx: &'a mut TenantTx) -> Outcome<'a>;
    fn dead<'a>(&'a mut self, reason: &'a str, context: &'a JobContext, tx: &'a mut TenantTx) -> Outcome<'a>;
}

struct Steps<J: NetworkJob> {
    job: J,
    loaded: Option<J::Loaded>,
    answer: Option<J::Answer>,
}

impl<J: NetworkJob> NetworkBehaviour for Steps<J> {
    fn load<'a>(&'a mut self, context: &'a JobContext, tx: &'a mut TenantTx) -> BoxFuture<'a, Result<bool, JobError>> {
        async {
            self.loaded = self.job.load(context, tx).await?;
            Ok(self.loaded.is_some())
        }
        .boxed()
    }

    fn call<'a>(&'a mut self, services: &'a Services) -> Outcome<'a> {
        async {
            let loaded = self.loaded.as_ref().expect("called only after load found something");
            self.answer = Some(self.job.call(loaded, services).await?);
            Ok(())
        }
        .boxed()
    }

    fn save<'a>(&'a mut self, context: &'a JobContext, tx: &'a mut TenantTx) -> Outcome<'a> {
        async {
            let answer = self.answer.take().expect("called only once, after the call has succeeded");
            self.job.save(answer, context, tx).await
        }
        .boxed()
    }

    fn dead<'a>(&'a mut self, reason: &'a str, context: &'a JobContext, tx: &'a mut TenantTx) -> Outcome<'a> {
        self.job.dead(reason, context, tx).boxed()
    }
}

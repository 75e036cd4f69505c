use std::{
    collections::HashMap,
    future::pending,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{
    db::SystemTx,
    queue::{Job, NewJob, enqueue},
};
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, time::timeout};
use worker::{JobContext, JobError, Registry, SystemJob};

pub(super) fn registry() -> Registry {
    Registry::default()
        .system::<Plain>()
        .system::<Elsewhere>()
        .system::<Gated>()
        .system::<SecondTime>()
        .system::<Hopeless>()
        .system::<Panicking>()
        .system::<Hanging>()
        .system::<Blocked>()
        .system::<Versioned>()
}

/// What a job leaves behind: a job of a queue that nobody serves. It is there exactly if the job's transaction was
/// committed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Effect {
    pub(super) of: i64,
}

impl Job for Effect {
    const KIND: &'static str = "test.effect";
    const QUEUE: &'static str = "test.effects";
}

async fn have_effect(context: &JobContext, tx: &mut SystemTx) -> Result<(), JobError> {
    enqueue(tx, &NewJob::now(&Effect { of: context.job_id })).await?;
    Ok(())
}

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident $fields:tt, $kind:literal $(, $constant:ident: $type:ty = $value:expr)*) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize)]
        pub(super) struct $name $fields

        impl Job for $name {
            const KIND: &'static str = $kind;
            $(const $constant: $type = $value;)*
        }
    };
}

kind!(
    /// Has its effect.
    Plain {}, "test.plain"
);
kind!(
    /// Has its effect, in a queue of its own.
    Elsewhere {}, "test.elsewhere", QUEUE: &'static str = "test.elsewhere"
);
kind!(
    /// Has its effect, and then waits at a gate.
    Gated { pub(super) gate: String }, "test.gated"
);
kind!(
    /// Fails the first time.
    SecondTime {}, "test.second_time"
);
kind!(
    /// Cannot succeed.
    Hopeless {}, "test.hopeless"
);
kind!(
    /// Panics.
    Panicking {}, "test.panicking", MAX_ATTEMPTS: i16 = 1
);
kind!(
    /// Never ends.
    Hanging {}, "test.hanging", MAX_ATTEMPTS: i16 = 1
);
kind!(
    /// Waits in the database for whoever holds the key.
    Blocked { pub(super) key: String }, "test.blocked", MAX_ATTEMPTS: i16 = 1
);
kind!(
    /// Has its effect; its first version is gone.
    Versioned { pub(super) wanted: bool }, "test.versioned", VERSION: i16 = 2
);

impl SystemJob for Plain {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut SystemTx) -> Result<(), JobError> {
        have_effect(context, tx).await
    }
}

impl SystemJob for Elsewhere {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut SystemTx) -> Result<(), JobError> {
        have_effect(context, tx).await
    }
}

impl SystemJob for Gated {
    const TIMEOUT: Duration = Duration::from_mins(10);

    async fn perform(self, context: &JobContext, tx: &mut SystemTx) -> Result<(), JobError> {
        have_effect(context, tx).await?;
        Gate::of(&self.gate).pass().await;
        Ok(())
    }
}

impl SystemJob for SecondTime {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut SystemTx) -> Result<(), JobError> {
        have_effect(context, tx).await?;
        if context.attempt == 1 { Err(JobError::retry("not the first time")) } else { Ok(()) }
    }
}

impl SystemJob for Hopeless {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut SystemTx) -> Result<(), JobError> {
        have_effect(context, tx).await?;
        Err(JobError::dead("it is no use"))
    }
}

impl SystemJob for Panicking {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut SystemTx) -> Result<(), JobError> {
        have_effect(context, tx).await?;
        panic!("as it was meant to");
    }
}

impl SystemJob for Hanging {
    const TIMEOUT: Duration = Duration::from_millis(100);

    async fn perform(self, context: &JobContext, tx: &mut SystemTx) -> Result<(), JobError> {
        have_effect(context, tx).await?;
        pending().await
    }
}

impl SystemJob for Blocked {
    const TIMEOUT: Duration = Duration::from_millis(100);

    async fn perform(self, context: &JobContext, tx: &mut SystemTx) -> Result<(), JobError> {
        let effect = Effect { of: context.job_id };
        enqueue(tx, &NewJob { unique_key: Some(&self.key), ..NewJob::now(&effect) }).await?;
        Ok(())
    }
}

impl SystemJob for Versioned {
    const TIMEOUT: Duration = Duration::from_secs(30);

    async fn perform(self, context: &JobContext, tx: &mut SystemTx) -> Result<(), JobError> {
        have_effect(context, tx).await
    }
}

/// Where jobs wait in mid-run until the test lets them go. Each test has gates by names of its own.
pub(super) struct Gate {
    arrived: Semaphore,
    open: Semaphore,
    passed: AtomicBool,
}

impl Gate {
    pub(super) fn of(name: &str) -> Arc<Self> {
        static GATES: LazyLock<Mutex<HashMap<String, Arc<Gate>>>> = LazyLock::new(Mutex::default);
        let mut gates = GATES.lock().expect("nothing panics while it holds this");
        let closed =
            || Arc::new(Gate { arrived: Semaphore::new(0), open: Semaphore::new(0), passed: AtomicBool::new(false) });
        gates.entry(name.to_owned()).or_insert_with(closed).clone()
    }

    pub(super) async fn pass(&self) {
        self.arrived.add_permits(1);
        self.open.acquire().await.expect("it is never closed").forget();
    }

    /// Whether nobody waits here who has not been counted.
    pub(super) fn is_empty(&self) -> bool {
        self.arrived.available_permits() == 0
    }

    /// Whether nobody has asked this before.
    pub(super) fn first(&self) -> bool {
        !self.passed.swap(true, Ordering::Relaxed)
    }

    /// Waits until so many more jobs wait here.
    pub(super) async fn arrived(&self, jobs: u32) {
        let arrived = timeout(Duration::from_secs(30), self.arrived.acquire_many(jobs)).await;
        arrived.expect("the jobs are run").expect("it is never closed").forget();
    }

    /// Lets so many jobs pass, now or when they come.
    pub(super) fn open(&self, jobs: usize) {
        self.open.add_permits(jobs);
    }
}

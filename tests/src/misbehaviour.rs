//! A kind of job that does what no job should. The binary `test-worker` knows it, beside all that a worker knows.

use std::{future::pending, process::abort, time::Duration};

use common::{db::SystemTx, queue::Job};
use serde::{Deserialize, Serialize};
use worker::{JobContext, JobError, SystemJob};

/// Misbehaves, in the way that `how` says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Misbehave {
    how: How,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum How {
    /// Takes its process with it.
    Abort,
    Panic,
    /// Never ends.
    Hang,
}

impl Job for Misbehave {
    const KIND: &'static str = "test.misbehave";
    const QUEUE: &'static str = "test.misbehave";
}

impl SystemJob for Misbehave {
    const TIMEOUT: Duration = Duration::from_millis(200);

    async fn perform(self, _: &JobContext, _: &mut SystemTx) -> Result<(), JobError> {
        match self.how {
            How::Abort => abort(),
            How::Panic => panic!("as it was meant to"),
            How::Hang => pending().await,
        }
    }
}

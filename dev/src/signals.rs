use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// The wish of the person, or of the system, that this ends: Ctrl-C, SIGTERM, or a terminal that was closed.
pub(crate) struct StopSignals([Signal; 3]);

impl StopSignals {
    /// From here on such a signal no longer ends this process at once.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let catch = |kind| signal(kind).map_err(Failure::Signals);
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(catch);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

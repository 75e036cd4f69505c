//! How far the process is on its way out.

use tokio::sync::watch;

/// How far a process is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// Not ready any more, but serving, until balancers have seen that.
    Draining,
    /// Running requests finish.
    Closing,
}

/// Waits until the process is as far as that.
pub(crate) async fn reached(mut phase: watch::Receiver<Phase>, wanted: Phase) {
    // An error means that the sender is gone, which happens after it has sent the last one.
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

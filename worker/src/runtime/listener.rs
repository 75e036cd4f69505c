use std::sync::Arc;

use common::{
    db::{Db, Result},
    queue::{Heard, Listener},
};
use tokio::{sync::Notify, time::sleep};

use super::{local_queue::LocalQueue, retry_log::RetryLog};

/// Wakes the claimers when work is announced, and the maintainer when an operator intervenes. Without it both find that by
/// polling, only later.
pub(super) async fn listen(db: Db, local_queues: Vec<Arc<LocalQueue>>, intervention: Arc<Notify>) {
    let mut retry_log = RetryLog::of("listen for announced work, which is found by polling meanwhile");
    loop {
        if let Err(error) = hear(&db, &local_queues, &intervention, &mut retry_log).await {
            sleep(retry_log.pause(&error)).await;
        }
    }
}

async fn hear(
    db: &Db,
    local_queues: &[Arc<LocalQueue>],
    intervention: &Notify,
    retry_log: &mut RetryLog,
) -> Result<()> {
    let mut listener = Listener::connect(db).await?;
    retry_log.over();
    loop {
        // First for what was announced while nobody listened.
        for local_queue in local_queues {
            local_queue.wake();
        }
        if listener.heard().await? == Heard::Intervention {
            intervention.notify_one();
        }
    }
}

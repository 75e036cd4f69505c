use std::sync::Arc;

use common::{
    db::{Db, Result},
    queue::Listener,
};
use tokio::time::sleep;

use super::{local_queue::LocalQueue, retry_log::RetryLog};

/// Wakes the claimers when work is announced. Without it they find the work by polling, only later.
pub(super) async fn listen(db: Db, local_queues: Vec<Arc<LocalQueue>>) {
    let mut retry_log = RetryLog::of("listen for announced work, which is found by polling meanwhile");
    loop {
        if let Err(error) = hear(&db, &local_queues, &mut retry_log).await {
            sleep(retry_log.pause(&error)).await;
        }
    }
}

async fn hear(db: &Db, local_queues: &[Arc<LocalQueue>], retry_log: &mut RetryLog) -> Result<()> {
    let mut listener = Listener::connect(db).await?;
    retry_log.over();
    loop {
        // First for what was announced while nobody listened.
        for local_queue in local_queues {
            local_queue.wake();
        }
        listener.heard().await?;
    }
}

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
    // For what was announced while nobody listened.
    wake(local_queues, |_| true);
    loop {
        match listener.heard().await? {
            Heard::Work => wake(local_queues, |_| true),
            Heard::WorkIn(queues) => wake(local_queues, |queue| queues.iter().any(|named| named == queue)),
            Heard::Intervention => intervention.notify_one(),
        }
    }
}

fn wake(local_queues: &[Arc<LocalQueue>], meant: impl Fn(&str) -> bool) {
    local_queues.iter().filter(|local_queue| meant(local_queue.queue())).for_each(|local_queue| local_queue.wake());
}

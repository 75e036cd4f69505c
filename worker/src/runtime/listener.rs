use std::sync::Arc;

use common::{
    db::{Db, Result},
    queue::Listener,
};
use tokio::time::sleep;

use super::{lane::Lane, outage::Outage};

/// Wakes the claimers when work is announced. Without it they find the work by polling, only later.
pub(super) async fn listen(db: Db, lanes: Vec<Arc<Lane>>) {
    let mut outage = Outage::of("listen for announced work, which is found by polling meanwhile");
    loop {
        if let Err(error) = hear(&db, &lanes, &mut outage).await {
            sleep(outage.pause(&error)).await;
        }
    }
}

async fn hear(db: &Db, lanes: &[Arc<Lane>], outage: &mut Outage) -> Result<()> {
    let mut listener = Listener::connect(db).await?;
    outage.over();
    loop {
        // First for what was announced while nobody listened.
        for lane in lanes {
            lane.wake();
        }
        listener.heard().await?;
    }
}

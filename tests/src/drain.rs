//! A worker in this process, for as long as a test wants it or until nothing is left to do.

use std::time::Duration;

use common::config::{Settings, WorkerConfig};
use tokio::{sync::oneshot, task::JoinHandle, time::sleep};

use crate::{app::TestApp, jobs::JobTable};

/// A worker that runs all kinds of jobs in this process.
pub struct Worker {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Worker {
    /// Starts one on the app's database. `settings` are besides those of the test itself.
    pub fn start(app: &TestApp, settings: &[(&'static str, String)]) -> Self {
        let own = [
            ("DATABASE_URL", app.database_url.clone()),
            ("SECRETS_KEYS", crate::app::SECRETS_KEYS.to_owned()),
            ("WORKER_POLL_SECONDS", "1".to_owned()),
            // Nobody listens there.
            ("DNS_URL", "http://127.0.0.1:9/dns-query".to_owned()),
        ];
        let all = own.into_iter().chain(settings.iter().cloned());
        let config = WorkerConfig::read(&mut Settings::from_values(all)).expect("the settings are valid");
        let registry = worker::jobs::registry(&config);
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            let stopped = async { _ = stopped.await };
            Box::pin(worker::run(config, registry, stopped)).await.expect("it stops well");
        });
        Self { stop, running }
    }

    /// Lets it finish what it is at.
    ///
    /// # Panics
    /// When it does not stop well.
    pub async fn stop(self) {
        drop(self.stop);
        self.running.await.expect("it does not panic");
    }

    /// Ends it in the middle of whatever it is at.
    ///
    /// # Panics
    /// When it has ended before.
    pub async fn kill(self) {
        self.running.abort();
        let error = self.running.await.expect_err("it ran until now");
        assert!(error.is_cancelled(), "{error}");
    }
}

/// Runs all kinds of jobs in this process until none of the dealerships' deliveries waits for one. `settings` are besides
/// those of the test itself.
///
/// # Panics
/// When that takes longer than any test may.
pub async fn drain(app: &TestApp, settings: &[(&'static str, String)]) {
    let worker = Worker::start(app, settings);
    let mut table = JobTable::at(&app.database_url).await;
    for _ in 0..1500 {
        if waiting(&mut table).await == 0 {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    worker.stop().await;
    assert_eq!(waiting(&mut table).await, 0, "it takes too long");
}

/// In this order: what is read may have to be asked about.
async fn waiting(table: &mut JobTable) -> i64 {
    table.waiting("inquiries").await + table.waiting("facebook").await + table.waiting("assistant").await
}

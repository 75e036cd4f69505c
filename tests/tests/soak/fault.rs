use std::{ops::RangeInclusive, os::unix::process::ExitStatusExt, time::Duration};

use proptest::prelude::RngExt;
use tests::{
    processes::{Signal, command, command_at, ended, signal, start_worker_as},
    proxy::Mode,
};
use tokio::time::sleep;

use super::Soak;

/// What can go wrong.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    ApiKilled,
    WorkerKilled,
    WorkerStopped,
    WorkersScaled,
    WorkersRestarted,
    ClockOff,
    ProcessAborted,
    Restarted,
    Away,
    BackendsTerminated,
    ReadOnly,
    DiskFull,
    Cut,
    HalfClosed,
    Stalled,
    Vanished,
    FailedOver,
}

const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'norvalt%' AND random() < 0.5";
const POISON: &str = r#"INSERT INTO jobs (queue, kind, payload, payload_version, state, max_attempts)
    VALUES ('test.misbehave', 'test.misbehave', '{"how": "abort"}', 1, 'available', 1)"#;

impl Fault {
    pub(super) const ALL: [Self; 17] = [
        Self::ApiKilled,
        Self::WorkerKilled,
        Self::WorkerStopped,
        Self::WorkersScaled,
        Self::WorkersRestarted,
        Self::ClockOff,
        Self::ProcessAborted,
        Self::Restarted,
        Self::Away,
        Self::BackendsTerminated,
        Self::ReadOnly,
        Self::DiskFull,
        Self::Cut,
        Self::HalfClosed,
        Self::Stalled,
        Self::Vanished,
        Self::FailedOver,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ApiKilled => "SIGKILL of the API",
            Self::WorkerKilled => "SIGKILL of a worker",
            Self::WorkerStopped => "SIGSTOP of a worker, then SIGCONT",
            Self::WorkersScaled => "more or fewer workers, 1 to 4",
            Self::WorkersRestarted => "rolling restart of the workers",
            Self::ClockOff => "a worker an hour off",
            Self::ProcessAborted => "a job that aborts its process",
            Self::Restarted => "immediate restart of PostgreSQL",
            Self::Away => "PostgreSQL gone for 1 to 15 s",
            Self::BackendsTerminated => "half of the backends terminated",
            Self::ReadOnly => "a read-only database",
            Self::DiskFull => "a full disk",
            Self::Cut => "connections cut",
            Self::HalfClosed => "connections half-closed",
            Self::Stalled => "a network that stalled for 1 to 12 s",
            Self::Vanished => "connections that vanished",
            Self::FailedOver => "a primary lost to its standby",
        }
    }
}

impl Soak {
    /// Lets something go wrong, and lets it be over. Returns whether that was possible here.
    pub(super) async fn strike(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::ApiKilled => self.system.replace_killed_api().await,
            Fault::WorkerKilled => self.system.replace_killed_worker().await,
            Fault::WorkerStopped => {
                signal(&self.system.workers[0], Signal::STOP);
                self.pause(1..=6).await;
                signal(&self.system.workers[0], Signal::CONT);
            }
            Fault::WorkersScaled => self.scale().await,
            Fault::WorkersRestarted => {
                for _ in 0..self.system.workers.len() {
                    self.system.hire();
                    self.dismiss().await;
                }
            }
            Fault::ClockOff => return self.hire_at_another_time().await,
            Fault::ProcessAborted => self.abort_a_process().await,
            Fault::Restarted => self.cluster.restart_immediate().await,
            Fault::Away => {
                self.cluster.stop().await;
                self.pause(1..=15).await;
                self.cluster.start().await;
            }
            Fault::BackendsTerminated => self.run(TERMINATE).await,
            Fault::ReadOnly => self.read_only().await,
            Fault::DiskFull => return self.fill_disk().await,
            Fault::Cut => self.disturb(Mode::Cut, 0..=2).await,
            Fault::HalfClosed => self.disturb(Mode::HalfClose, 0..=0).await,
            Fault::Stalled => self.disturb(Mode::Stall, 1..=12).await,
            Fault::Vanished => self.disturb(Mode::Vanish, 0..=0).await,
            Fault::FailedOver => self.fail_over().await,
        }
        true
    }

    async fn scale(&mut self) {
        let wanted = self.rng.random_range(1..=4);
        while self.system.workers.len() < wanted {
            self.system.hire();
        }
        while self.system.workers.len() > wanted {
            self.dismiss().await;
        }
    }

    /// In the middle of other trouble a worker may have to leave its jobs to their leases, and says so.
    async fn dismiss(&mut self) {
        let code = self.system.dismiss().await;
        assert!(matches!(code, Some(0 | 1)), "{code:?}");
    }

    async fn hire_at_another_time(&mut self) -> bool {
        let offset = if self.rng.random_bool(0.5) { "+1h" } else { "-1h" };
        let Some(mut command) = command_at(offset, "worker", self.proxy.url()) else { return false };
        command.env("WORKER_LEASE_SECONDS", "2");
        self.system.hire_by(command);
        self.dismiss().await;
        true
    }

    async fn abort_a_process(&mut self) {
        let mut worker = command("test-worker", self.proxy.url());
        worker.env("WORKER_LEASE_SECONDS", "2");
        let mut worker = start_worker_as(worker);
        self.run(POISON).await;
        assert_eq!(ended(&mut worker).await.signal(), Some(Signal::ABORT.as_raw()));
    }

    async fn read_only(&mut self) {
        self.run("ALTER SYSTEM SET default_transaction_read_only = on").await;
        self.run("SELECT pg_reload_conf()").await;
        self.pause(1..=5).await;
        self.run("ALTER SYSTEM RESET default_transaction_read_only").await;
        self.run("SELECT pg_reload_conf()").await;
    }

    async fn fill_disk(&mut self) -> bool {
        let Some(disk) = self.disk.take() else { return false };
        disk.fill();
        self.pause(1..=5).await;
        disk.relieve();
        self.disk = Some(disk);
        true
    }

    /// There is a standby from now on, which takes over soon. To make one, the primary is away for a moment.
    async fn fail_over(&mut self) {
        if self.disk.is_some() {
            self.cluster.move_tables_back().await;
        }
        let standby = self.cluster.synchronous_standby().await;
        self.pause(1..=5).await;
        self.cluster.kill();
        standby.promote().await;
        self.proxy.lead_to(&standby.url);
        self.system.follow(&standby.url);
        self.cluster = standby;
        if let Some(disk) = &self.disk {
            self.cluster.move_tables_to(&disk.directory()).await;
        }
    }

    async fn disturb(&mut self, mode: Mode, seconds: RangeInclusive<u64>) {
        self.proxy.set(mode);
        self.pause(seconds).await;
        self.proxy.set(Mode::Pass);
    }

    async fn pause(&mut self, seconds: RangeInclusive<u64>) {
        sleep(Duration::from_secs(self.rng.random_range(seconds))).await;
    }

    async fn run(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&mut self.cluster.connect().await).await.expect("a superuser may");
    }
}

//! The real binaries at work under load, for tests that disturb them.

use std::{os::unix::process::ExitStatusExt, time::Duration};

use dev::stand_ins::clerk::{Options, StandIn};
use sqlx::{Connection, PgConnection};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::{
    jobs::JobTable,
    ledger::{Ledger, Tally},
    load::{Load, What},
    processes::{Signal, command, complaints, ended, signal, start_api, start_api_as, start_worker, start_worker_as},
    signing::signing_key,
};

/// Within this time everything is as it should be, whatever it was that went wrong.
pub const RECOVERY: Duration = Duration::from_mins(1);
/// Webhooks that are sent at a time.
const SENDERS: usize = 8;

/// One API and some workers on a database, under load.
pub struct TestSystem {
    /// The workers, all with the same settings.
    pub workers: Vec<Child>,
    /// The senders of webhooks.
    pub load: Load,
    /// Issues the API's tokens.
    pub clerk: StandIn,
    /// Where the API is.
    pub url: String,
    api: Child,
    ledger: Ledger,
    superuser_url: String,
    database_url: String,
}

/// Keeps jobs from ending, until it is dropped.
#[derive(Debug)]
pub struct Held {
    _lock: PgConnection,
}

impl TestSystem {
    /// Starts everything on this database. The binaries reach it as `database_url`, its superuser as `superuser_url`.
    pub async fn open(superuser_url: &str, database_url: &str, workers: usize) -> Self {
        Self::open_with(superuser_url, database_url, workers, |name| command(name, database_url)).await
    }

    /// The same with binaries that are started by these commands. Those that follow are today's.
    pub async fn open_with(
        superuser_url: &str,
        database_url: &str,
        workers: usize,
        start: impl Fn(&str) -> Command,
    ) -> Self {
        let ledger = Ledger::open(superuser_url).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let clerk = StandIn::start(listener, Options::in_memory(signing_key())).await.expect("it keeps no file");
        let (api, url) = start_api_as(start("api"), &clerk).await;
        let worker = |_| {
            let mut worker = start("worker");
            worker.env("WORKER_LEASE_SECONDS", "2");
            start_worker_as(worker)
        };
        let workers = (0..workers).map(worker).collect();
        let load = Load::start(What::Webhooks, &url, SENDERS);
        let (superuser_url, database_url) = (superuser_url.to_owned(), database_url.to_owned());
        let system = Self { workers, load, clerk, url, api, ledger, superuser_url, database_url };
        system.settle(Instant::now()).await;
        system
    }

    pub fn hire(&mut self) {
        self.workers.push(start_worker(&self.database_url));
    }

    /// Adds a worker that is started by this command.
    pub fn hire_by(&mut self, command: Command) {
        self.workers.push(start_worker_as(command));
    }

    /// Another server has taken over, whose superuser reaches it by this URL.
    pub fn follow(&mut self, superuser_url: &str) {
        superuser_url.clone_into(&mut self.superuser_url);
        self.ledger = Ledger::at(superuser_url);
    }

    /// Asks the worker that is there longest to stop, and returns its exit code.
    pub async fn dismiss(&mut self) -> Option<i32> {
        let mut worker = self.workers.remove(0);
        signal(&worker, Signal::TERM);
        ended(&mut worker).await.code()
    }

    /// Kills the worker that is there longest, and starts another one.
    pub async fn replace_killed_worker(&mut self) {
        let mut worker = self.workers.remove(0);
        kill(&mut worker).await;
        self.hire();
    }

    /// Kills the API, and starts another one.
    pub async fn replace_killed_api(&mut self) {
        kill(&mut self.api).await;
        let (api, url) = start_api(&self.database_url, &self.clerk).await;
        self.load.retarget(&url);
        self.url = url;
        self.api = api;
    }

    /// Lets the load go on until so many more webhooks have been sent.
    pub async fn carry_on(&self, webhooks: u32) {
        let wanted = self.load.next() + webhooks;
        let sent = async {
            while self.load.next() < wanted {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(RECOVERY, sent).await.expect("webhooks are acknowledged, so that others follow");
    }

    /// Waits until every worker is in the middle of jobs, and keeps them there.
    pub async fn in_mid_job(&self) -> Held {
        // More than all workers but one have room for, with the default concurrency.
        let waiting = i64::try_from((self.workers.len() - 1) * 10).expect("there are few");
        let mut lock = PgConnection::connect(&self.superuser_url).await.expect("the database is there");
        sqlx::raw_sql("BEGIN; LOCK TABLE dealerships IN SHARE MODE").execute(&mut lock).await.expect("it waits");
        let waits = "SELECT $1 < (SELECT count(*) FROM pg_stat_activity
                                  WHERE datname = current_database() AND wait_event_type = 'Lock')";
        JobTable::at(&self.superuser_url).await.wait_until(waits, waiting).await;
        Held { _lock: lock }
    }

    /// Waits until all webhooks from before have their effect, and one from after. Prints how long that took since the
    /// fault was over, and returns it.
    ///
    /// # Panics
    /// When it takes longer than [`RECOVERY`].
    pub async fn recover(&self, from: &str, over: Instant) -> Duration {
        self.settle(over).await;
        let took = over.elapsed();
        println!("recovered from {from}: {:.1} s", took.as_secs_f32());
        took
    }

    /// Ends the load, waits until everything has its effect, stops everything cleanly, and compares.
    pub async fn close(mut self) -> Tally {
        let last = self.load.next().saturating_sub(1);
        let record = self.load.end().await;
        let deadline = Instant::now() + RECOVERY;
        while !self.ledger.is_settled(last).await && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
        let workers = self.workers.iter_mut().map(|worker| ("a worker", worker));
        for (name, process) in workers.chain([("the API", &mut self.api)]) {
            let pid = process.id().expect("it runs");
            signal(process, Signal::TERM);
            let code = ended(process).await.code();
            assert_eq!(
                code,
                Some(0),
                "{name} that has nothing to do stops cleanly; it said\n{}",
                complaints(pid).await
            );
        }
        self.ledger.compare(record).await
    }

    /// What is in the way, for whoever has to find out.
    async fn unfinished(&self) -> String {
        let mut superuser = PgConnection::connect(&self.superuser_url).await.expect("the database is there");
        let jobs =
            "SELECT coalesce(string_agg(concat_ws(' ', 'job', id, state, 'attempt', attempts, 'due in', run_at - now(),
                           'leased for', lease_until - now(), errors -> -1 ->> 'error'), '; '), 'no job is unfinished')
                    FROM (SELECT * FROM jobs WHERE state <> 'done' AND kind <> 'test.misbehave' ORDER BY id LIMIT 8) j
                    UNION ALL
                    SELECT coalesce(string_agg(concat_ws(' ', 'webhook', number, what, 'times', n), '; '), 'the ledger is whole')
                    FROM (SELECT number, what, count(l.number) AS n
                          FROM generate_series(0, (SELECT max(number) - 50 FROM ledger)) AS g (number)
                          CROSS JOIN (VALUES ('processed'), ('effect'), ('done')) AS w (what)
                          LEFT JOIN ledger l USING (number, what) GROUP BY 1, 2 HAVING count(l.number) <> 1 LIMIT 8) odd";
        let backends = "SELECT concat_ws(' ', application_name, state, wait_event, now() - xact_start, left(query, 60))
                        FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()";
        let mut told: Vec<String> =
            sqlx::query_scalar(jobs).fetch_all(&mut superuser).await.expect("a valid statement");
        told.extend(
            sqlx::query_scalar::<_, String>(backends).fetch_all(&mut superuser).await.expect("a valid statement"),
        );
        told.join("; ")
    }

    async fn settle(&self, since: Instant) {
        let next = self.load.next();
        while !self.ledger.is_settled(next).await {
            if since.elapsed() >= RECOVERY {
                let unfinished = self.unfinished().await;
                panic!(
                    "webhook {next} or one before it has not had its effect; the next is {}; {unfinished}",
                    self.load.next()
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn kill(process: &mut Child) {
    signal(process, Signal::KILL);
    assert_eq!(ended(process).await.signal(), Some(Signal::KILL.as_raw()), "it lived until it was killed");
}

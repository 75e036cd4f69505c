//! The process that holds a cluster for test processes, and clears up when they are gone. See the binary
//! `test-postgres`.

use std::{
    fs::{self, File, TryLockError},
    path::PathBuf,
    time::Duration,
};

use dev::{
    files,
    postgres::{Access, Account, Cluster, Durability, Places, Shutdown, end_leftover, find_or_install},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep},
};

use super::{
    Outcome,
    lease::{Place, open},
};

/// Between two test binaries of one `cargo test` nobody holds the lease.
const GRACE: Duration = Duration::from_millis(1500);
const POLL: Duration = Duration::from_millis(100);

/// Holds the shared cluster in the directory `root` until nobody has used it for a moment.
pub async fn hold_shared(root: PathBuf) -> Outcome<()> {
    let place = Place::at(root);
    let Some(alive) = declare_alive(&place)? else { return Ok(()) };
    let mut stop = Stop::on_signals()?;
    let (binaries, account) = server().await?;
    clear_leftovers(&place).await;
    let mut cluster = Cluster::new(binaries, account, place.cluster(), Access::Socket, Durability::Nothing);
    let mut outcome = cluster.start().await.map_err(Into::into);
    let lease = open(&place.lease())?;
    if outcome.is_ok() {
        fs::write(place.ready(), "")?;
        outcome = tokio::select! {
            outcome = until_unused(&lease) => outcome,
            () = stop.wait() => Ok(()),
            status = cluster.ended() => Err(format!("PostgreSQL ended by itself: {status:?}").into()),
        };
    }
    let _ = fs::remove_file(place.ready());
    cluster.stop(Shutdown::Immediate).await?;
    files::remove(&place.cluster())?;
    if outcome.is_ok() && lease.try_lock().is_ok() {
        // In this order: a newcomer waits for the lease until the rest is gone.
        for file in [place.log(), place.start(), place.alive(), place.lease()] {
            files::remove(&file)?;
        }
        // A newcomer may be quicker and have put a lease of its own there.
        let _ = fs::remove_dir(place.root());
    }
    drop(alive);
    outcome
}

/// Holds a cluster in the directory `root` for the process at the other end of standard input: does what each line
/// says, answers with a line, and clears up when there are no more.
pub async fn hold_private(root: PathBuf) -> Outcome<()> {
    let place = Place::at(root);
    let Some(_alive) = declare_alive(&place)? else { return Err("this place is in use".into()) };
    let mut stop = Stop::on_signals()?;
    let (binaries, account) = server().await?;
    let mut cluster = Cluster::new(binaries, account, place.cluster(), Access::Socket, Durability::ServerCrash);
    let outcome = follow_commands(&mut cluster, &mut stop).await;
    cluster.stop(Shutdown::Immediate).await?;
    files::remove(place.root())?;
    outcome
}

async fn follow_commands(cluster: &mut Cluster, stop: &mut Stop) -> Outcome<()> {
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    let mut answers = tokio::io::stdout();
    loop {
        let command = tokio::select! {
            command = commands.next_line() => command?,
            () = stop.wait() => None,
        };
        let outcome = match command.as_deref() {
            Some("start") => cluster.start().await,
            Some("stop") => cluster.stop(Shutdown::Fast).await,
            Some("crash") => cluster.stop(Shutdown::Immediate).await,
            Some(other) => return Err(format!("there is no command {other}").into()),
            None => return Ok(()),
        };
        let answer = match outcome {
            Ok(()) => "done\n".to_owned(),
            Err(error) => common::telemetry::error_chain(&error).replace('\n', " ") + "\n",
        };
        // Fails when the test process was killed in the meantime.
        answers.write_all(answer.as_bytes()).await?;
        answers.flush().await?;
    }
}

/// The lock by which others see that this supervisor lives. Nothing if there is another one already.
fn declare_alive(place: &Place) -> Outcome<Option<File>> {
    let alive = open(&place.alive())?;
    match alive.try_lock() {
        Ok(()) => Ok(Some(alive)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

async fn server() -> Outcome<(dev::postgres::Binaries, Account)> {
    let account = Account::for_postgres()?;
    let binaries = find_or_install(&Places::of_this_host(), &account, None, &|line| eprintln!("{line}")).await?;
    Ok((binaries, account))
}

async fn until_unused(lease: &File) -> Outcome<()> {
    let mut unused_since: Option<Instant> = None;
    loop {
        match lease.try_lock() {
            // The lock is kept: newcomers wait until everything is cleared up.
            Ok(()) if unused_since.get_or_insert_with(Instant::now).elapsed() >= GRACE => return Ok(()),
            Ok(()) => lease.unlock()?,
            Err(TryLockError::WouldBlock) => unused_since = None,
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        sleep(POLL).await;
    }
}

/// Removes what supervisors left that were killed before they could do it themselves: here, and in other places.
async fn clear_leftovers(own: &Place) {
    for place in Place::existing().iter().filter(|place| *place != own) {
        let abandoned = |path: PathBuf| File::open(path).ok().filter(|file| file.try_lock().is_ok());
        let Some(_alive) = abandoned(place.alive()) else { continue };
        if place.lease().exists() && abandoned(place.lease()).is_none() {
            continue;
        }
        // What cannot be removed now is left to the next run.
        if end_leftover(&place.cluster()).await.is_ok() {
            let _ = files::remove(place.root());
        }
    }
    if end_leftover(&own.cluster()).await.is_ok() {
        let _ = files::remove(&own.cluster());
    }
}

/// The wish of the system that this process ends.
struct Stop([Signal; 3]);

impl Stop {
    fn on_signals() -> Outcome<Self> {
        Ok(Self([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?]))
    }

    async fn wait(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

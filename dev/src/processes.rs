//! Runs the entries of a Procfile beside each other.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};

use crate::{
    console::Console,
    files::{self, FileError},
    process_table,
    procfile::Entry,
};

/// How long a process may take to finish its work after SIGTERM.
const DRAIN: Duration = Duration::from_secs(15);

/// Processes that belong together. Each leads a group of its own, so that a Ctrl-C on the terminal reaches only who
/// started them, and so that nothing they start themselves is left over.
pub struct Processes {
    console: Arc<Console>,
    directory: PathBuf,
    environment: Vec<(String, String)>,
    record: PathBuf,
    running: Vec<Running>,
    sender: mpsc::UnboundedSender<Ended>,
    receiver: mpsc::UnboundedReceiver<Ended>,
}

struct Running {
    name: String,
    pid: Pid,
    /// To end; a second request would tell it not to finish what it is doing.
    asked: bool,
}

/// A process that is no more.
#[derive(Debug)]
pub struct Ended {
    /// Its name in the Procfile.
    pub name: String,
    /// How it ended, if the system told.
    pub status: Option<ExitStatus>,
    pid: Pid,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{} ended ({status})", self.name),
            None => write!(f, "{} ended", self.name),
        }
    }
}

/// A process that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Not even the shell.
    #[error("cannot start {name}")]
    Spawn {
        /// Its name in the Procfile.
        name: String,
        source: std::io::Error,
    },
    /// The record of what runs cannot be kept.
    #[error(transparent)]
    Record(#[from] FileError),
}

impl Processes {
    /// Nothing yet. What is started later runs in `directory`, with `environment` in addition to this process' own,
    /// and is noted in the file `record`, for [`end_leftovers`].
    pub fn new(console: Arc<Console>, directory: &Path, mut environment: Vec<(String, String)>, record: &Path) -> Self {
        if !console.has_colours() {
            environment.push(("NO_COLOR".to_owned(), "1".to_owned()));
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        let (directory, record) = (directory.to_owned(), record.to_owned());
        Self { console, directory, environment, record, running: Vec::new(), sender, receiver }
    }

    /// Starts an entry. A shell expands its command and is then replaced by it, so that signals reach the program.
    pub fn start(&mut self, entry: &Entry) -> Result<(), StartError> {
        let mut shell = Command::new("sh");
        // The shell must not stay in between: it would keep signals to itself. An entry may see to that on its own.
        let replaces_shell = entry.command.starts_with("exec ");
        let prefix = if replaces_shell { "" } else { "exec env " };
        shell.arg("-c").arg(format!("{prefix}{}", entry.command));
        shell.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.run(&entry.name, shell)
    }

    /// Starts a command that is no entry, with nothing but this process' own environment.
    pub fn run(&mut self, name: &str, mut command: Command) -> Result<(), StartError> {
        let mut child = command
            .current_dir(&self.directory)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| StartError::Spawn { name: name.to_owned(), source })?;
        let raw = child.id().and_then(|id| i32::try_from(id).ok());
        let pid = raw.and_then(Pid::from_raw).expect("a child that was not waited for has an id");
        self.running.push(Running { name: name.to_owned(), pid, asked: false });
        let mut logs = JoinSet::new();
        self.forward(&mut logs, name, child.stdout.take());
        self.forward(&mut logs, name, child.stderr.take());
        tokio::spawn(watch(child, pid, name.to_owned(), logs, self.sender.clone()));
        Ok(self.write_record()?)
    }

    /// Whether there is a process of that name.
    pub fn is_running(&self, name: &str) -> bool {
        self.running.iter().any(|running| running.name == name)
    }

    /// Waits until one of the processes ends, with all that it has said printed.
    pub async fn next_end(&mut self) -> Ended {
        let ended = self.receiver.recv().await.expect("a sender lives in `self`");
        self.running.retain(|running| running.pid != ended.pid);
        // An old record names a process that is gone, and that is found out when it is read.
        let _ = self.write_record();
        ended
    }

    /// Lets all processes finish what they are doing: SIGTERM, and SIGKILL when they take too long or `impatient`
    /// comes to pass. Returns when the last is gone.
    pub async fn drain(&mut self, impatient: impl Future<Output = ()>) {
        self.stop(|_| true, impatient).await;
    }

    /// The same for those with certain names. Says who ended meanwhile.
    pub async fn stop(&mut self, is_meant: impl Fn(&str) -> bool, impatient: impl Future<Output = ()>) {
        for running in self.running.iter_mut().filter(|running| is_meant(&running.name) && !running.asked) {
            running.asked = true;
            running.signal(Signal::TERM);
        }
        let in_time = tokio::select! {
            outcome = timeout(DRAIN, self.wait_for(&is_meant)) => outcome.is_ok(),
            () = impatient => false,
        };
        if !in_time {
            self.running.iter().filter(|running| is_meant(&running.name)).for_each(|r| r.signal(Signal::KILL));
            self.wait_for(&is_meant).await;
        }
    }

    async fn wait_for(&mut self, is_meant: impl Fn(&str) -> bool) {
        while self.running.iter().any(|running| is_meant(&running.name)) {
            let ended = self.next_end().await;
            self.console.say("dev", &ended.to_string());
        }
    }

    fn forward<R: AsyncRead + Unpin + Send + 'static>(&self, logs: &mut JoinSet<()>, name: &str, log: Option<R>) {
        let (console, name) = (Arc::clone(&self.console), name.to_owned());
        logs.spawn(async move {
            let Some(log) = log else { return };
            let (mut log, mut line) = (BufReader::new(log), Vec::new());
            while log.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
                console.say(&name, String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
                line.clear();
            }
        });
    }

    fn write_record(&self) -> Result<(), FileError> {
        if self.running.is_empty() {
            return files::remove(&self.record);
        }
        let line = |process: &Running| {
            Some(format!("{} {} {}\n", process.pid, process.name, process_table::started(process.pid)?))
        };
        files::write_private(&self.record, &self.running.iter().filter_map(line).collect::<String>())
    }
}

impl Running {
    fn signal(&self, signal: Signal) {
        // It may have ended this very moment.
        let _ = kill_process_group(self.pid, signal);
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.running.iter().for_each(|running| running.signal(Signal::KILL));
    }
}

async fn watch(mut child: Child, pid: Pid, name: String, mut logs: JoinSet<()>, sender: mpsc::UnboundedSender<Ended>) {
    let status = child.wait().await.ok();
    // Whatever it started and left behind must not hold its logs open, let alone live on.
    let _ = kill_process_group(pid, Signal::KILL);
    let said_all = async { while logs.join_next().await.is_some() {} };
    let _ = timeout(Duration::from_secs(1), said_all).await;
    // Nobody listens any more once `Processes` is dropped.
    let _ = sender.send(Ended { name, status, pid });
}

/// Ends what a run that was killed left behind, according to its record. Returns the names of those that it ended.
pub async fn end_leftovers(record: &Path) -> Result<Vec<String>, FileError> {
    let mut ended = Vec::new();
    for line in files::read(record)?.unwrap_or_default().lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(pid), Some(name), Some(started)) = (words.next(), words.next(), words.next()) else { continue };
        let Some(pid) = process_table::parse_pid(pid) else { continue };
        let is_ours = |pid: Pid| process_table::started(pid).as_deref() == Some(started);
        if is_ours(pid) {
            let signals = [(Signal::TERM, DRAIN), (Signal::KILL, Duration::from_secs(2))];
            process_table::end(pid, kill_process_group, &signals, is_ours).await;
            ended.push(name.to_owned());
        }
    }
    files::remove(record)?;
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes(name: &str) -> (Processes, PathBuf) {
        let record = std::env::temp_dir().join(format!("norvalt-{name}-{}", std::process::id()));
        let environment = vec![("GREETING".to_owned(), "7".to_owned())];
        (Processes::new(Arc::new(Console::standard()), Path::new("/"), environment, &record), record)
    }

    fn entry(command: &str) -> Entry {
        Entry { name: "test".to_owned(), command: command.to_owned() }
    }

    #[tokio::test]
    async fn a_shell_expands_the_command_and_steps_aside() {
        let (mut processes, record) = processes("expand");
        processes.start(&entry(r#"sh -c 'exit "${1:-5}"' x "${GREETING:-3}""#)).expect("sh is there");
        assert_eq!(processes.next_end().await.status.and_then(|s| s.code()), Some(7));
        assert!(!record.exists());
    }

    #[tokio::test]
    async fn draining_waits_for_work_and_impatience_does_not() {
        let (mut processes, _) = processes("drain");
        // Says that it is ready by the file that it makes.
        let ready = std::env::temp_dir().join(format!("norvalt-ready-{}", std::process::id()));
        let stubborn = format!("sh -c 'trap \"\" TERM; : > {}; while :; do sleep 0.05; done'", ready.display());
        processes.start(&entry(&stubborn)).expect("sh is there");
        while !ready.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        files::remove(&ready).expect("it is ours");
        let pid = processes.running[0].pid;
        processes.drain(tokio::time::sleep(Duration::from_millis(100))).await;
        assert_eq!(process_table::started(pid), None);
    }

    #[tokio::test]
    async fn one_can_be_stopped_while_another_runs_on() {
        let (mut processes, _) = processes("stop");
        processes.start(&Entry { name: "other".to_owned(), command: "sleep 60".to_owned() }).expect("sleep is there");
        processes.start(&entry("sleep 60")).expect("sleep is there");
        processes.stop(|name| name == "test", std::future::pending()).await;
        assert!(!processes.is_running("test"));
        assert!(processes.is_running("other"));
        processes.drain(std::future::pending()).await;
        assert!(!processes.is_running("other"));
    }

    #[tokio::test]
    async fn a_later_run_ends_what_an_earlier_one_left() {
        let (mut earlier, record) = processes("leftover");
        earlier.start(&entry("sleep 60")).expect("sleep is there");
        assert_eq!(end_leftovers(&record).await.expect("the record is readable"), ["test"]);
        assert!(earlier.next_end().await.status.is_some_and(|status| !status.success()));

        files::write_private(&record, &format!("{} me long-ago\n", std::process::id())).expect("writable");
        assert_eq!(end_leftovers(&record).await.expect("the record is readable"), Vec::<String>::new());
        assert!(!record.exists());
    }
}

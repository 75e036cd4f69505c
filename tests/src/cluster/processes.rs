//! The processes of a server, for what happens to all of them at once.

use std::{fs, path::Path};

use rustix::process::{Pid, Signal, kill_process};

/// A server none of whose processes does anything, as long as this is there.
#[derive(Debug)]
pub struct Frozen(Vec<Pid>);

impl Frozen {
    pub(super) fn of(data: &Path) -> Self {
        let processes = all(data);
        send(&processes, Signal::STOP);
        Self(processes)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        send(&self.0, Signal::CONT);
    }
}

/// First the one that would start others again.
pub(super) fn kill(data: &Path) {
    send(&all(data), Signal::KILL);
}

/// The server of this data directory, and then those that it has started.
fn all(data: &Path) -> Vec<Pid> {
    let file = fs::read_to_string(data.join("postmaster.pid")).expect("the server runs");
    let server = file.lines().next().and_then(pid).expect("its id");
    let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children")).expect("Linux tells");
    [server].into_iter().chain(children.split_whitespace().filter_map(pid)).collect()
}

fn pid(text: &str) -> Option<Pid> {
    Pid::from_raw(text.trim().parse().ok()?)
}

fn send(processes: &[Pid], signal: Signal) {
    for process in processes {
        // An error means that it is gone.
        let _ = kill_process(*process, signal);
    }
}

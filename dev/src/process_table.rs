//! What the operating system knows of processes that this one did not start: those that an earlier run left behind.

use std::{fs, process::Command, time::Duration};

use rustix::process::{Pid, Signal, test_kill_process};

/// The command line of a process, words separated by spaces. Nothing when there is no such process, or only its
/// remains that nobody collected.
pub fn command_line(pid: Pid) -> Option<String> {
    let line = match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(words) => String::from_utf8_lossy(&words).replace('\0', " "),
        Err(_) => ask_ps(pid, "args=")?,
    };
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// When a process started, in whatever form the system tells it. Together with its id this names one process for as
/// long as the host is up: ids alone are used again.
pub fn started(pid: Pid) -> Option<String> {
    // Field 22 of https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html; the second, the name, may hold anything.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    match stat.ok().as_deref().and_then(|stat| stat.rsplit_once(')')) {
        Some((_, fields)) => fields.split_whitespace().nth(19).map(str::to_owned),
        None => ask_ps(pid, "lstart="),
    }
}

/// A system without `/proc`, such as macOS.
fn ask_ps(pid: Pid, column: &str) -> Option<String> {
    let answer = Command::new("ps")
        .args(["-o", column, "-p", &pid.to_string()])
        .output()
        .ok()
        .filter(|ps| ps.status.success())?;
    let text = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Sends a signal: `kill_process`, or `kill_process_group` for everything in the group that a process leads.
pub type Kill = fn(Pid, Signal) -> rustix::io::Result<()>;

/// Ends a process that is not a child of this one: each signal in turn, with time to follow it. `still` tells whether
/// the id still belongs to the process that is meant. False when it survived them all.
pub async fn end(pid: Pid, kill: Kill, signals: &[(Signal, Duration)], still: impl Fn(Pid) -> bool) -> bool {
    for (signal, patience) in signals {
        if !still(pid) {
            return true;
        }
        // It may have ended this very moment; the loop below finds out.
        let _ = kill(pid, *signal);
        let deadline = tokio::time::Instant::now() + *patience;
        while tokio::time::Instant::now() < deadline {
            if test_kill_process(pid) == Err(rustix::io::Errno::SRCH) || !still(pid) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    !still(pid)
}

/// A process id from its decimal form.
pub fn parse_pid(text: &str) -> Option<Pid> {
    text.trim().parse().ok().filter(|raw| *raw > 0).and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use rustix::process::kill_process;

    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let me = rustix::process::getpid();
        assert!(command_line(me).is_some());
        assert_eq!(started(me), started(me));
        assert!(started(me).is_some());
    }

    #[tokio::test]
    async fn a_stranger_is_left_alone() {
        assert!(end(rustix::process::getpid(), kill_process, &[(Signal::KILL, Duration::ZERO)], |_| false).await);
    }
}

//! What processes have used, as far as /proc tells (Linux).

use std::{fs, path::Path};

/// Clock ticks are hundredths of a second on every Linux there is. <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
const TICKS: f64 = 100.0;

/// Seconds of processor time so far of the program, of all of PostgreSQL, and of this process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    pub(crate) program: f64,
    pub(crate) postgres: f64,
    pub(crate) this: f64,
}

impl Used {
    /// Of the process `program` and of the server whose home this is.
    pub(crate) fn now(program: Option<u32>, postgres_home: &Path) -> Self {
        let own = |pid: u32| stat(pid).map_or(0.0, |stat| stat.own);
        Self {
            program: program.map_or(0.0, own),
            postgres: postgres(postgres_home).unwrap_or_default(),
            this: own(std::process::id()),
        }
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            program: self.program - earlier.program,
            postgres: self.postgres - earlier.postgres,
            this: self.this - earlier.this,
        }
    }
}

struct Stat {
    parent: u32,
    own: f64,
    /// Of children that have ended.
    children: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: (ticks(11)? + ticks(12)?) / TICKS,
        children: (ticks(13)? + ticks(14)?) / TICKS,
    })
}

/// The server, its processes, and those that have ended.
fn postgres(home: &Path) -> Option<f64> {
    let pid_file = fs::read_to_string(home.join("data/postmaster.pid")).ok()?;
    let postmaster: u32 = pid_file.lines().next()?.parse().ok()?;
    let server = stat(postmaster)?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let children = pids.filter_map(stat).filter(|process| process.parent == postmaster);
    Some(server.own + server.children + children.map(|process| process.own).sum::<f64>())
}

/// Resident memory in megabytes (10^6 bytes), where that can be known.
pub(crate) fn resident_megabytes(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0 / 1e6)
}

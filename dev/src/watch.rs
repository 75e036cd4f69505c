use std::{
    collections::BTreeSet,
    future::pending,
    path::{Path, PathBuf},
};

use common::telemetry::error_chain;
use dev::{
    changes::Changes,
    console::Console,
    processes::{Ended, Processes},
    procfile::Entry,
};
use tokio::time::Instant;

use crate::{
    failure::Failure,
    ready::wait_until_ready,
    workspace::{Fingerprints, MIGRATIONS, Workspace},
};

/// The compiler's name among the processes.
const BUILD: &str = "cargo";

/// Keeps what runs up to date with the sources.
pub(crate) struct Watch<'a> {
    pub(crate) console: &'a Console,
    pub(crate) workspace: &'a Workspace,
    pub(crate) processes: &'a mut Processes,
    pub(crate) changes: Changes,
    pub(crate) release: &'a Entry,
    /// What the Procfile runs for good.
    pub(crate) entries: &'a [Entry],
    /// The programs that run now.
    pub(crate) started_from: Fingerprints,
    pub(crate) port: u16,
    /// Whether migrations have changed since the release step last succeeded.
    pub(crate) release_due: bool,
    /// What to do when the release step refuses a migration that has changed since it was applied.
    pub(crate) remedy: &'static str,
}

impl Watch<'_> {
    /// Follows every change. Nothing that goes wrong ends this: the next change may fix it.
    pub(crate) async fn run(mut self) -> ! {
        loop {
            tokio::select! {
                changed = self.changes.next() => {
                    if let Err(failure) = self.follow(&changed).await {
                        self.say(&error_chain(&failure));
                    }
                }
                ended = self.processes.next_end() => self.tell(&ended),
            }
        }
    }

    /// Builds, migrates and restarts, each only if what comes before succeeds.
    async fn follow(&mut self, changed: &BTreeSet<PathBuf>) -> Result<(), Failure> {
        self.release_due |= changed.iter().any(|name| name.starts_with(MIGRATIONS) || name == Path::new(""));
        self.say(&format!("{} changed", summary(changed, |name| self.workspace.root().join(name).is_file())));
        let mut build = self.workspace.build_command();
        if self.console.has_colours() {
            build.args(["--color", "always"]);
        }
        self.processes.run(BUILD, build)?;
        if !self.succeeds(BUILD).await {
            self.say("not built, as said above; nothing is restarted");
            return Ok(());
        }
        if self.changes.have_arrived() {
            self.say("built, but there is another change already");
            return Ok(());
        }
        if self.release_due {
            self.processes.start(self.release)?;
            if !self.succeeds(&self.release.name).await {
                self.say(&format!("not migrated, as said above; nothing is restarted. {}", self.remedy));
                return Ok(());
            }
            self.release_due = false;
        }
        self.restart().await
    }

    /// Restarts those whose program is another one now, and those that are gone.
    async fn restart(&mut self) -> Result<(), Failure> {
        let built = self.workspace.fingerprints(self.entries)?;
        let is_current = |name: &str| self.processes.is_running(name) && built.get(name) == self.started_from.get(name);
        let stale: Vec<_> = self.entries.iter().filter(|entry| !is_current(&entry.name)).collect();
        if stale.is_empty() {
            self.say("built; nothing that runs is affected");
            return Ok(());
        }
        let names: Vec<_> = stale.iter().map(|entry| entry.name.as_str()).collect();
        let began = Instant::now();
        self.processes.stop(|name| names.contains(&name), pending()).await;
        for entry in &stale {
            self.processes.start(entry)?;
        }
        self.started_from = built;
        if self.get_ready().await? {
            self.say(&format!("{} restarted in {:.1} s", names.join(" and "), began.elapsed().as_secs_f32()));
        }
        Ok(())
    }

    /// Waits until the API is ready. False if something else is to be done first.
    async fn get_ready(&mut self) -> Result<bool, Failure> {
        tokio::select! {
            ready = wait_until_ready(self.port) => ready.map(|()| true),
            ended = self.processes.next_end() => {
                self.tell(&ended);
                Ok(false)
            }
            // Perhaps the one that makes it start.
            () = self.changes.arrived() => {
                self.say("the API is not ready yet, but there is another change");
                Ok(false)
            }
        }
    }

    /// Waits for a process that is to end by itself, and tells whether it did so in success.
    async fn succeeds(&mut self, name: &str) -> bool {
        loop {
            let ended = self.processes.next_end().await;
            if ended.name == name {
                return ended.status.is_some_and(|status| status.success());
            }
            self.tell(&ended);
        }
    }

    fn tell(&self, ended: &Ended) {
        self.say(&format!("{ended}; the next change that can be built starts it again"));
    }

    fn say(&self, line: &str) {
        self.console.say("watch", line);
    }
}

/// One name, and how many more there are. Drafts of editors, which are gone already, are not worth naming.
fn summary(changed: &BTreeSet<PathBuf>, is_there: impl Fn(&Path) -> bool) -> String {
    let there: Vec<_> = changed.iter().filter(|name| is_there(name)).collect();
    let names = if there.is_empty() { changed.iter().collect() } else { there };
    match names.as_slice() {
        [one] if *one != Path::new("") => one.display().to_string(),
        [first, rest @ ..] if *first != Path::new("") => format!("{} and {} more", first.display(), rest.len()),
        _ => "something".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_summed_up_by_a_file_that_is_there() {
        let changed = |names: &[&str]| names.iter().map(PathBuf::from).collect();
        let is_there = |name: &Path| name != Path::new("api/4711.tmp");
        assert_eq!(summary(&changed(&["api/x.rs"]), is_there), "api/x.rs");
        assert_eq!(summary(&changed(&["api/4711.tmp", "api/x.rs"]), is_there), "api/x.rs");
        assert_eq!(summary(&changed(&["api/x.rs", "api/y.rs", "api/z.rs"]), is_there), "api/x.rs and 2 more");
        assert_eq!(summary(&changed(&["api/4711.tmp"]), is_there), "api/4711.tmp");
        assert_eq!(summary(&changed(&[""]), is_there), "something");
    }
}

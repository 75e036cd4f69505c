//! Notices when files change.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    iter, mem,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{sync::mpsc, time::timeout};

/// Editors write in several steps, and what they save is then formatted; a checkout touches many files.
const QUIET: Duration = Duration::from_millis(200);

/// A directory that could not be watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch {} for changes", path.display())]
pub struct WatchError {
    pub path: PathBuf,
    pub source: notify::Error,
}

/// What is watched. Names are relative to the root.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// Directories with all that is below them.
    pub directories: &'static [&'static str],
    /// Files in the root itself.
    pub files: &'static [&'static str],
}

/// Changes of files, gathered until nothing more happens for a moment.
pub struct Changes {
    root: PathBuf,
    scope: Scope,
    watcher: RecommendedWatcher,
    receiver: mpsc::UnboundedReceiver<PathBuf>,
    pending: BTreeSet<PathBuf>,
}

impl Changes {
    /// Watches from here on.
    pub fn watch(root: &Path, scope: Scope) -> Result<Self, WatchError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| WatchError { path, source }
        };
        // Some systems report a path without the symbolic links in it, whatever they were asked for.
        let root = root.canonicalize().map_err(notify::Error::io).map_err(failed(root))?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let start = root.clone();
        let report = move |event| names(&start, scope, event).into_iter().for_each(|name| _ = sender.send(name));
        let mut watcher = notify::recommended_watcher(report).map_err(failed(&root))?;
        // Not the files themselves: an editor that replaces one would take what is watched away.
        watcher.watch(&root, RecursiveMode::NonRecursive).map_err(failed(&root))?;
        for directory in scope.directories.iter().map(|name| root.join(name)) {
            watcher.watch(&directory, RecursiveMode::Recursive).map_err(failed(&directory))?;
        }
        Ok(Self { root, scope, watcher, receiver, pending: BTreeSet::new() })
    }

    /// Waits until something has changed; [`Self::next`] then tells what.
    pub async fn arrived(&mut self) {
        if self.pending.is_empty() {
            self.receive().await;
        }
    }

    /// Whether something has changed already.
    pub fn have_arrived(&mut self) -> bool {
        self.pending.extend(iter::from_fn(|| self.receiver.try_recv().ok()));
        !self.pending.is_empty()
    }

    /// The names of what has changed since the last time. The empty name says that it may be anything. Nothing is lost
    /// when this future is dropped.
    pub async fn next(&mut self) -> BTreeSet<PathBuf> {
        self.arrived().await;
        while timeout(QUIET, self.receive()).await.is_ok() {}
        // What is watched ends with the directory, and has to begin again with another one of that name.
        for name in self.scope.directories.iter().filter(|name| self.pending.contains(Path::new(name))) {
            // It may have been removed, and its return will be noticed in the root.
            let _ = self.watcher.watch(&self.root.join(name), RecursiveMode::Recursive);
        }
        mem::take(&mut self.pending)
    }

    async fn receive(&mut self) {
        let name = self.receiver.recv().await.expect("the sender lives in the watcher, and that in `self`");
        self.pending.insert(name);
    }
}

/// The names of what changed, as far as it is watched.
fn names(root: &Path, scope: Scope, event: notify::Result<Event>) -> Vec<PathBuf> {
    match event {
        Ok(event) if event.need_rescan() => vec![PathBuf::new()],
        // Reading, also that of a compiler, changes nothing.
        Ok(event) if event.kind.is_access() => Vec::new(),
        Ok(event) => event.paths.iter().filter_map(|path| name(root, scope, path)).collect(),
        Err(_) => vec![PathBuf::new()],
    }
}

fn name(root: &Path, scope: Scope, path: &Path) -> Option<PathBuf> {
    let name = path.strip_prefix(root).ok()?;
    let top = name.iter().next()?.to_str()?;
    let is_watched = scope.directories.contains(&top) || scope.files.iter().any(|file| name == Path::new(file));
    (is_watched && !name.iter().any(belongs_to_an_editor)).then(|| name.to_owned())
}

/// Drafts, locks and backups; `4913` is how vim finds out whether it may write.
fn belongs_to_an_editor(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with(['.', '#']) || name.ends_with('~') || name == "4913"
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SCOPE: Scope = Scope { directories: &["src"], files: &["Cargo.toml"] };

    struct Directory(PathBuf);

    impl Directory {
        fn create(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("norvalt-changes-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("src/deep")).expect("writable");
            Self(path)
        }

        fn write(&self, name: &str) {
            fs::write(self.0.join(name), name).expect("writable");
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    async fn next(changes: &mut Changes) -> Vec<String> {
        let names = timeout(Duration::from_secs(20), changes.next()).await.expect("a change is noticed");
        names.iter().map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[tokio::test]
    async fn a_burst_is_one_change_and_names_what_is_watched() {
        let directory = Directory::create("burst");
        let mut changes = Changes::watch(&directory.0, SCOPE).expect("watchable");
        for name in ["README.md", "src/a.rs", "src/.a.rs.swp", "src/deep/b.rs", "src/b.rs~", "Cargo.toml"] {
            directory.write(name);
        }
        assert_eq!(next(&mut changes).await, ["Cargo.toml", "src/a.rs", "src/deep/b.rs"]);
    }

    #[tokio::test]
    async fn a_file_that_an_editor_replaces_and_a_directory_that_comes_back_stay_watched() {
        let directory = Directory::create("replace");
        directory.write("Cargo.toml");
        let mut changes = Changes::watch(&directory.0, SCOPE).expect("watchable");
        for _ in 0..2 {
            directory.write("draft");
            fs::rename(directory.0.join("draft"), directory.0.join("Cargo.toml")).expect("writable");
            assert_eq!(next(&mut changes).await, ["Cargo.toml"]);
        }
        fs::remove_dir_all(directory.0.join("src")).expect("writable");
        assert!(next(&mut changes).await.contains(&"src".to_owned()));
        fs::create_dir_all(directory.0.join("src/new")).expect("writable");
        assert!(next(&mut changes).await.contains(&"src".to_owned()));
        directory.write("src/new/c.rs");
        assert_eq!(next(&mut changes).await, ["src/new/c.rs"]);
    }

    #[tokio::test]
    async fn reading_is_no_change_and_a_dropped_future_loses_none() {
        let directory = Directory::create("read");
        directory.write("src/a.rs");
        let mut changes = Changes::watch(&directory.0, SCOPE).expect("watchable");
        fs::read(directory.0.join("src/a.rs")).expect("readable");
        assert!(timeout(Duration::from_millis(500), changes.next()).await.is_err());
        assert!(!changes.have_arrived());
        directory.write("src/b.rs");
        changes.arrived().await;
        assert!(changes.have_arrived());
        assert!(timeout(QUIET / 2, changes.next()).await.is_err(), "it is not quiet yet");
        assert_eq!(next(&mut changes).await, ["src/b.rs"]);
    }
}

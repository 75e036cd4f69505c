use std::{
    fs::{self, File, Permissions},
    io::{Read, Seek, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use dev::{
    files::{self, During, FileError},
    fingerprint::fingerprint,
};

use crate::failure::Failure;

/// The file that is locked for as long as a run takes.
const LOCK: &str = "lock";

/// Where everything is kept between runs, locked against a second run at the same time.
pub(crate) struct DevDirectory {
    path: PathBuf,
    /// The kernel gives it back however this process ends.
    _lock: File,
}

impl DevDirectory {
    /// `.dev/` in the checkout. For root it is elsewhere: PostgreSQL then runs as another user, who may not even be
    /// allowed to enter the checkout.
    pub(crate) fn path_for(checkout: &Path, wanted: Option<&Path>) -> PathBuf {
        match wanted {
            Some(path) => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            None if rustix::process::geteuid().is_root() => {
                Path::new("/var/lib/norvalt-dev").join(fingerprint(&checkout.to_string_lossy()))
            }
            None => checkout.join(".dev"),
        }
    }

    /// Whether the run that the directory belongs to has not ended.
    pub(crate) fn is_in_use(path: &Path) -> bool {
        let lock = File::options().read(true).open(path.join(LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }

    /// Opens the directory of [`Self::path_for`], and locks it.
    pub(crate) fn open(checkout: &Path, wanted: Option<&Path>) -> Result<Self, Failure> {
        let path = Self::path_for(checkout, wanted);
        fs::create_dir_all(&path).during("create", &path)?;
        // A reset removes everything in it.
        let is_empty = fs::read_dir(&path).during("read", &path)?.next().is_none();
        if !is_empty && !path.join(LOCK).exists() {
            return Err(Failure::ForeignDirectory(path.display().to_string()));
        }
        let made_here = if wanted.is_some() { 1 } else { 2 };
        for directory in path.ancestors().take(made_here).filter(|directory| *directory != checkout) {
            // Also with a strict umask that other user must get through; the files inside are private one by one.
            fs::set_permissions(directory, Permissions::from_mode(0o755)).during("open", directory)?;
        }
        let lock = lock(&path.join(LOCK))?;
        Ok(Self { path, _lock: lock })
    }

    /// A file or directory in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes everything but the lock.
    pub(crate) fn clear(&self) -> Result<(), FileError> {
        for entry in fs::read_dir(&self.path).during("read", &self.path)? {
            let path = entry.during("read", &self.path)?.path();
            if path.file_name().is_some_and(|name| name != LOCK) {
                files::remove(&path)?;
            }
        }
        Ok(())
    }
}

fn lock(path: &Path) -> Result<File, Failure> {
    let opened = File::options().create(true).truncate(false).read(true).write(true).open(path);
    let mut file = opened.during("open", path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut process = String::new();
            // It only serves to find the other terminal.
            let _ = file.read_to_string(&mut process);
            let process = if process.is_empty() { process } else { format!(" (process {})", process.trim()) };
            return Err(Failure::AlreadyRunning { process });
        }
        Err(fs::TryLockError::Error(error)) => return Err(error).during("lock", path).map_err(Failure::from),
    }
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.during("write", path)?;
    Ok(file)
}

//! A disk so small that it can be filled.

use std::{
    env, fs, io,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::{self, Command},
};

use dev::random;

/// What the names of all of them begin with; the id of the process that made it follows.
const PREFIX: &str = "norvalt-tiny-disk-";

/// A file system of 128 MiB: the soak test needs some room, and to fill it takes a moment. It is gone when this is dropped.
#[derive(Debug)]
pub struct TinyDisk {
    root: PathBuf,
}

impl TinyDisk {
    /// Makes one, with a directory for whom the directory `like` belongs to. Only root may, where it may.
    pub fn new(like: &Path) -> io::Result<Self> {
        remove_leftovers();
        let name = format!("{PREFIX}{}-{:016x}", process::id(), u64::from_be_bytes(random::bytes()));
        let root = env::temp_dir().join(name);
        fs::create_dir(&root)?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=128m", "tmpfs"]).arg(&root).output()?;
        if !mounted.status.success() {
            fs::remove_dir(&root)?;
            return Err(io::Error::other(String::from_utf8_lossy(&mounted.stderr).trim().to_owned()));
        }
        let disk = Self { root };
        let owner = fs::metadata(like)?;
        fs::create_dir(disk.directory())?;
        chown(disk.directory(), Some(owner.uid()), Some(owner.gid()))?;
        Ok(disk)
    }

    /// Where files can be put.
    pub fn directory(&self) -> PathBuf {
        self.root.join("directory")
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let filled = fs::File::create(self.ballast()).and_then(|mut file| io::copy(&mut io::repeat(0), &mut file));
        assert_eq!(filled.map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull));
    }

    /// Gives that room back.
    pub fn relieve(&self) {
        fs::remove_file(self.ballast()).expect("it was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.root.join("ballast")
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        remove(&self.root);
    }
}

/// Removes those of test processes that were killed.
fn remove_leftovers() {
    for entry in fs::read_dir(env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            remove(&entry.path());
        }
    }
}

fn remove(root: &Path) {
    // Lazily, since the server may still have files open there.
    let _ = Command::new("umount").arg("--lazy").arg(root).status();
    let _ = fs::remove_dir(root);
}

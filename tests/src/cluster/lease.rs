//! Who uses the shared cluster, and where it is.

use std::{
    env, fs,
    fs::{DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use dev::{fingerprint::fingerprint, postgres::socket_url};
use tokio::{
    process::{Child, Command},
    time::sleep,
};

use super::Outcome;

const POLL: Duration = Duration::from_millis(10);
/// The longest directory in which a socket's path stays below the 104 bytes that every system allows.
const LONGEST_BASE: usize = 40;

/// Of memory, in bytes. A run takes a seventh of it.
const PLENTY: u64 = 8 << 30;

/// One directory of this user's, with the locks and the cluster in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place(PathBuf);

impl Place {
    /// The place that all test processes of this user and this build directory share which have chosen the same server.
    pub(super) fn shared() -> Outcome<Self> {
        let chosen = env::var_os("PG_BIN_DIR").unwrap_or_default();
        let build = fingerprint(&format!("{} {}", supervisor_binary()?.display(), chosen.display()));
        Ok(Self(base().join(format!("{}{build}", Self::prefix()))))
    }

    /// A place for one process alone.
    pub(super) fn private(number: usize) -> Outcome<Self> {
        let Self(shared) = Self::shared()?;
        Ok(Self(format!("{}-{}-{number}", shared.display(), std::process::id()).into()))
    }

    pub(super) fn at(root: PathBuf) -> Self {
        Self(root)
    }

    /// All places of this user that are there now.
    pub(super) fn existing() -> Vec<Self> {
        let entries = fs::read_dir(base()).into_iter().flatten().flatten();
        let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&Self::prefix()));
        ours.map(|entry| Self(entry.path())).filter(|place| place.check_owner().is_ok()).collect()
    }

    pub(super) fn root(&self) -> &Path {
        &self.0
    }

    /// Locked by every test process together, or by the supervisor alone when it clears up.
    pub(super) fn lease(&self) -> PathBuf {
        self.0.join("lease")
    }

    /// Locked by the supervisor as long as it lives.
    pub(super) fn alive(&self) -> PathBuf {
        self.0.join("alive")
    }

    /// Locked by the test process that starts the supervisor.
    pub(super) fn start(&self) -> PathBuf {
        self.0.join("start")
    }

    /// There when the cluster can be used.
    pub(super) fn ready(&self) -> PathBuf {
        self.0.join("ready")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    /// The cluster's own directory, which belongs to whoever PostgreSQL runs as.
    pub(super) fn cluster(&self) -> PathBuf {
        self.0.join("pg")
    }

    pub(super) fn create(&self) -> Outcome<()> {
        // Root's server runs as somebody else, who must get through to its own directory.
        let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
        match DirBuilder::new().mode(mode).create(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(format!("cannot create {}: {error}", self.0.display()).into())
            }
            _ => self.check_owner(),
        }
    }

    /// The directory's name can be guessed, and everybody may create it before us.
    fn check_owner(&self) -> Outcome<()> {
        match fs::symlink_metadata(&self.0) {
            Ok(found) if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() => Ok(()),
            Ok(_) => Err(format!("{} belongs to somebody else; remove it", self.0.display()).into()),
            // It was cleared up in this very moment.
            Err(_) => Ok(()),
        }
    }

    fn prefix() -> String {
        format!("norvalt-test-{}-", rustix::process::geteuid().as_raw())
    }
}

/// In memory where there is plenty: on a disk, each of hundreds of databases makes and removes three hundred files, which takes a tenth
/// of the processors on ext4.
fn base() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if rustix::fs::statvfs(memory).is_ok_and(|system| system.f_blocks * system.f_frsize >= PLENTY) {
        return memory.to_owned();
    }
    let temporary = env::temp_dir();
    // Root may well have a temporary directory that the server's user cannot enter.
    let fits = temporary.as_os_str().len() <= LONGEST_BASE && !rustix::process::geteuid().is_root();
    if fits { temporary } else { PathBuf::from("/tmp") }
}

/// Built along with the integration tests, in the directory above theirs.
pub(super) fn supervisor_binary() -> Outcome<PathBuf> {
    let test = env::current_exe()?;
    let directory = test.parent().ok_or("the test binary is in no directory")?;
    let directory = if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory };
    let binary = directory.join("test-postgres");
    if binary.is_file() {
        Ok(binary)
    } else {
        Err(format!("{} is missing; run `cargo build -p tests --bin test-postgres`", binary.display()).into())
    }
}

pub(super) fn open(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).read(true).write(true).open(path)
}

/// The right to use the shared cluster: it stays up as long as any process holds one.
#[derive(Debug)]
pub(super) struct Lease {
    place: Place,
    _lock: File,
}

impl Lease {
    pub(super) fn url(&self, database: &str) -> String {
        socket_url(&self.place.cluster(), database)
    }
}

/// Takes part in the shared cluster; starts it when it does not run.
pub(super) async fn acquire() -> Outcome<Lease> {
    let place = Place::shared()?;
    let lock = lock_lease(&place).await?;
    let start = open(&place.start())?;
    wait_for(|| start.try_lock()).await?;
    if let Err(error) = ensure_running(&place).await {
        forget(&place, &lock);
        return Err(error);
    }
    Ok(Lease { place, _lock: lock })
}

/// A supervisor that clears up removes the lease last. Whoever waited for it then holds a lock on a file that is not
/// there any more, and begins again.
async fn lock_lease(place: &Place) -> Outcome<File> {
    loop {
        place.create()?;
        let lease = match open(&place.lease()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            outcome => outcome?,
        };
        wait_for(|| lease.try_lock_shared()).await?;
        let held = lease.metadata()?;
        if fs::metadata(place.lease()).is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
            return Ok(lease);
        }
    }
}

/// Only ever called by the one process that holds the lock on `start`.
async fn ensure_running(place: &Place) -> Outcome<()> {
    let mut supervisor: Option<Child> = None;
    loop {
        if is_alive(place)? {
            if place.ready().exists() {
                return Ok(());
            }
        } else if let Some(child) = &mut supervisor {
            // Between its start and its lock it seems dead: only its end is a failure.
            if child.try_wait()?.is_some() {
                let log = fs::read_to_string(place.log()).unwrap_or_default();
                return Err(format!("the test cluster did not start:\n{log}").into());
            }
        } else {
            // Left by a supervisor that was killed.
            let _ = fs::remove_file(place.ready());
            supervisor = Some(spawn_supervisor(place)?);
        }
        sleep(POLL).await;
    }
}

fn is_alive(place: &Place) -> io::Result<bool> {
    match open(&place.alive())?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// In a process group of its own, neither Ctrl-C nor the end of the terminal reaches it, from its first moment on.
fn spawn_supervisor(place: &Place) -> Outcome<Child> {
    let log = File::create(place.log())?;
    let mut command = Command::new(supervisor_binary()?);
    command.arg(place.root()).process_group(0).current_dir("/");
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command.spawn()?)
}

/// After a start that failed: if nobody else is here, nothing remains.
fn forget(place: &Place, lease: &File) {
    if lease.try_lock().is_ok() {
        let _ = fs::remove_dir_all(place.root());
    }
}

pub(super) async fn wait_for(mut attempt: impl FnMut() -> Result<(), TryLockError>) -> io::Result<()> {
    loop {
        match attempt() {
            Err(TryLockError::WouldBlock) => sleep(POLL).await,
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}

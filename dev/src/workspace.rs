use std::{
    collections::HashMap,
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use dev::{
    changes::Scope,
    console::Console,
    files::{During, FileError},
    fingerprint,
    procfile::{self, Entry},
};
use tokio::process::Command;

use crate::failure::Failure;

/// What runs beside this program.
const PROGRAMS: [&str; 3] = ["api", "worker", "norvalt"];

/// What they are built from.
pub(crate) const SOURCES: Scope =
    Scope { directories: &["api", "cli", "common", MIGRATIONS, "worker"], files: &["Cargo.lock", "Cargo.toml"] };
/// The directory whose changes the release step applies to the database.
pub(crate) const MIGRATIONS: &str = "migrations";

/// Of the programs of entries, by name.
pub(crate) type Fingerprints = HashMap<String, Vec<String>>;

/// The checkout, and where cargo puts what it builds of it.
pub(crate) struct Workspace {
    root: PathBuf,
    /// `target/debug`, for example: where this very program is.
    binaries: PathBuf,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self, Failure> {
        let program = || "this program".to_owned();
        let this = env::current_exe().map_err(|source| Failure::Run { program: program(), source })?;
        // Cargo tells where the package is now; the path it was built in may be gone.
        let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
        let root = Path::new(&package).parent().unwrap_or(Path::new(".")).to_owned();
        let binaries = this.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Self { root, binaries })
    }

    /// The directory with the Procfile.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory with the programs.
    pub(crate) fn binaries(&self) -> &Path {
        &self.binaries
    }

    pub(crate) async fn build(&self, console: &Console) -> Result<(), Failure> {
        console.say("dev", &format!("building {}", PROGRAMS.join(", ")));
        let mut command = self.build_command();
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let status = command.status().await.map_err(|source| Failure::Run { program, source })?;
        if !status.success() {
            return Err(Failure::Build(status));
        }
        let missing = PROGRAMS.into_iter().find(|program| !self.binaries.join(program).is_file());
        missing.map_or(Ok(()), |program| Err(Failure::NotBuilt(program.to_owned())))
    }

    /// Builds the programs in the same profile and into the same directory as this one.
    pub(crate) fn build_command(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.arg("build").args(PROGRAMS.iter().flat_map(|program| ["--bin", program])).current_dir(&self.root);
        match self.binaries.file_name().and_then(OsStr::to_str) {
            None | Some("debug") => {}
            Some(profile) => _ = command.args(["--profile", profile]),
        }
        if let Some(target) = self.binaries.parent() {
            command.arg("--target-dir").arg(target);
        }
        command
    }

    /// What tells whether an entry's program is still the same, by content: a build may replace it by its like.
    pub(crate) fn fingerprints(&self, entries: &[Entry]) -> Result<Fingerprints, FileError> {
        let fingerprint = |entry: &Entry| {
            let programs = PROGRAMS.iter().filter(|program| entry.command.contains(&format!("/{program}")));
            let paths = programs.map(|program| self.binaries.join(program));
            let fingerprints = paths.map(|path| fingerprint::of_file(&path).during("read", &path));
            Ok((entry.name.clone(), fingerprints.collect::<Result<_, FileError>>()?))
        };
        entries.iter().map(fingerprint).collect()
    }

    pub(crate) fn procfile(&self) -> Result<Vec<Entry>, Failure> {
        let path = self.root.join("Procfile");
        Ok(procfile::parse(&fs::read_to_string(&path).during("read", &path)?)?)
    }
}

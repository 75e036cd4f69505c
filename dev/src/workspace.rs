use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use dev::{
    console::Console,
    files::During,
    procfile::{self, Entry},
};
use tokio::process::Command;

use crate::failure::Failure;

/// What runs beside this program.
const PROGRAMS: [&str; 3] = ["api", "worker", "norvalt"];

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

    /// Builds the programs in the same profile and into the same directory as this one.
    pub(crate) async fn build(&self, console: &Console) -> Result<(), Failure> {
        console.say("dev", &format!("building {}", PROGRAMS.join(", ")));
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(&cargo);
        command.arg("build").args(PROGRAMS.iter().flat_map(|program| ["--bin", program])).current_dir(&self.root);
        match self.binaries.file_name().and_then(OsStr::to_str) {
            None | Some("debug") => {}
            Some(profile) => _ = command.args(["--profile", profile]),
        }
        if let Some(target) = self.binaries.parent() {
            command.arg("--target-dir").arg(target);
        }
        let status = command.status().await;
        let status = status.map_err(|source| Failure::Run { program: cargo.to_string_lossy().into_owned(), source })?;
        if !status.success() {
            return Err(Failure::Build(status));
        }
        let missing = PROGRAMS.into_iter().find(|program| !self.binaries.join(program).is_file());
        missing.map_or(Ok(()), |program| Err(Failure::NotBuilt(program.to_owned())))
    }

    pub(crate) fn procfile(&self) -> Result<Vec<Entry>, Failure> {
        let path = self.root.join("Procfile");
        Ok(procfile::parse(&fs::read_to_string(&path).during("read", &path)?)?)
    }
}

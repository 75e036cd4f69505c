use std::{
    env,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::Outcome;

/// Where the release binaries are, and where results are written.
pub(crate) struct Binaries {
    target: PathBuf,
}

impl Binaries {
    /// Builds them as they are deployed, beside this program: `<target>/release/deps/<this>`.
    pub(crate) async fn build() -> Outcome<Self> {
        let this = env::current_exe()?;
        let target = this.ancestors().nth(3).ok_or("cargo puts benchmarks three directories deep")?;
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("this crate is in a workspace")?;
        let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--release", "--bin", "api", "--bin", "worker", "--target-dir"])
            .arg(target)
            .current_dir(workspace)
            .status()
            .await?;
        if status.success() { Ok(Self { target: target.to_owned() }) } else { Err("the binaries do not build".into()) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.target.join("release").join(format!("{name}{}", env::consts::EXE_SUFFIX))
    }

    /// For tables and plots.
    pub(crate) fn results(&self) -> PathBuf {
        self.target.join("bench")
    }
}

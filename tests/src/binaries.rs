//! The real binaries, for tests that kill them.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The path of a binary of this workspace, built when this process first asks for one.
pub fn binary(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(build).join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

/// Builds with the profile and into the directory of the running test: `<target>/<profile>/deps/<test>`.
fn build() -> PathBuf {
    let test = env::current_exe().expect("the operating system knows what it runs");
    let profile_directory = test.ancestors().nth(2).expect("Cargo puts tests two directories deep");
    let target = profile_directory.parent().expect("Cargo puts tests two directories deep");
    let profile = match profile_directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is a directory of the workspace");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--quiet",
            "--bin",
            "api",
            "--bin",
            "worker",
            "--bin",
            "norvalt",
            "--bin",
            "dev",
            "--profile",
            profile,
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(workspace)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the binaries do not build: {status}");
    profile_directory.to_owned()
}

use std::{fs, path::PathBuf, process::Stdio};

use tokio::process::Command;

use crate::{Outcome, context::Bench};

/// A queue that people could pick instead, on the same server in a database of its own.
pub(crate) struct Graphile {
    directory: PathBuf,
    socket: PathBuf,
}

const PACKAGE: &str = r#"{"private":true,"dependencies":{"graphile-worker":"0.18.0"}}"#;
const PROGRAM: &str = include_str!("graphile.js");

impl Graphile {
    /// Fetches it through npm, where there is npm.
    pub(crate) async fn prepare(bench: &Bench) -> Outcome<Self> {
        let graphile = Self { directory: bench.results().join("graphile"), socket: bench.database.socket.clone() };
        fs::create_dir_all(&graphile.directory)?;
        fs::write(graphile.directory.join("package.json"), PACKAGE)?;
        fs::write(graphile.directory.join("drain.js"), PROGRAM)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--loglevel", "error"]).current_dir(&graphile.directory);
        let output = npm.output().await.map_err(|error| format!("npm cannot be run: {error}"))?;
        if !output.status.success() {
            return Err(format!("npm install: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
        }
        bench.postgres.create_empty("graphile").await?;
        Ok(graphile)
    }

    /// Jobs done in a second: with its defaults, and with as many at once as ours.
    pub(crate) async fn drain(&self, jobs: i64) -> Outcome<(f64, f64)> {
        let mut node = Command::new("node");
        node.arg("drain.js").arg(&self.socket).arg(jobs.to_string()).current_dir(&self.directory);
        let output = node.stdin(Stdio::null()).output().await?;
        let told = String::from_utf8_lossy(&output.stdout);
        let rates = told.lines().find_map(|line| serde_json::from_str(line).ok());
        rates.ok_or_else(|| format!("graphile-worker: {told}{}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

use std::{fs, process::Stdio};

use tokio::process::Command;

use crate::{Outcome, postgres::Database, script::Script};

/// How long pgbench goes on.
pub(crate) enum Until {
    Seconds(u64),
    /// On each connection.
    Transactions(i64),
}

/// Runs a script on so many connections and returns its transactions in a second. One that failed fails the run.
pub(crate) async fn run(database: &Database, script: &Script, connections: usize, until: Until) -> Outcome<f64> {
    let file = database.socket.join("script.sql");
    fs::write(&file, &script.text)?;
    let mut command = Command::new(&database.pgbench);
    command.args(["--no-vacuum", "--protocol", "prepared", "--username", "postgres", "--host"]).arg(&database.socket);
    command.args(["--client", &connections.to_string(), "--jobs", &connections.min(2).to_string()]);
    match until {
        Until::Seconds(seconds) => command.args(["--time", &seconds.to_string()]),
        Until::Transactions(count) => command.args(["--transactions", &count.to_string()]),
    };
    for (name, value) in &script.variables {
        command.arg("--define").arg(format!("{name}={value}"));
    }
    command.arg("--file").arg(&file).arg(&database.name).env_clear().env("LC_ALL", "C").stdin(Stdio::null());
    let output = command.output().await?;
    let (told, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let tps = told.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok());
    match tps {
        Some(tps) if output.status.success() && !complaints.contains("ERROR") => Ok(tps),
        _ => Err(format!("pgbench failed:\n{complaints}{told}\nthe script:\n{}", script.text).into()),
    }
}

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
};

use dev::files;

use crate::{directory::DevDirectory, failure::Failure, workspace::Workspace};

/// The file with the environment of what runs, in the directory of its data.
const FILE: &str = "environment";
/// What `norvalt` and `psql` read.
const EXPORTED: [&str; 3] = ["DATABASE_URL", "CLERK_", "SECRETS_KEYS"];

/// Keeps what `cargo dev env` prints, for as long as everything runs.
pub(crate) fn keep(directory: &DevDirectory, environment: &[(String, String)]) -> Result<(), Failure> {
    let mut text = String::new();
    for (name, value) in environment {
        // The ignored ones are empty here, and are set again afterwards where the stand-in has its own.
        if EXPORTED.iter().any(|start| name.starts_with(start)) {
            let _ = writeln!(text, "export {name}={}", quoted(value));
        }
    }
    Ok(files::write_private(&directory.join(FILE), &text)?)
}

/// There is nothing to print any more.
pub(crate) fn forget(directory: &DevDirectory) -> Result<(), Failure> {
    Ok(files::remove(&directory.join(FILE))?)
}

/// Prints the environment of what runs.
pub(crate) fn print(data: Option<&Path>) -> Result<(), Failure> {
    let path = DevDirectory::path_for(Workspace::find()?.root(), data);
    let kept = files::read(&path.join(FILE))?.filter(|_| DevDirectory::is_in_use(&path));
    let text = kept.ok_or(Failure::NotRunning)?;
    // A reader that stops has had enough.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// As one word of any POSIX shell.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for value in ["", "plain", "it's $HOME `x` \"y\" \\ &"] {
            let script = format!("printf %s {}", quoted(value));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("there is a shell");
            assert_eq!(String::from_utf8_lossy(&output.stdout), value);
        }
    }
}

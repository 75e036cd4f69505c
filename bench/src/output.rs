use std::{
    env,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    process::{self, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::task::JoinHandle;

/// How much of it may be shown, in bytes.
const SHOWN: u64 = 4096;
/// How often it is thrown away: a process under load writes some megabytes in this time.
const THROWN_AWAY_EVERY: Duration = Duration::from_secs(5);

/// What a process says, for as long as it might explain its end. A file without a name: a pipe would have to be read, which
/// takes processor time from what is measured.
pub(crate) struct Output {
    file: File,
    thrower: JoinHandle<()>,
}

impl Output {
    pub(crate) fn new() -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("norvalt-bench-{}-{number}", process::id()));
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(&path)?;
        fs::remove_file(&path)?;
        let thrown_away = file.try_clone()?;
        let thrower = tokio::spawn(async move {
            loop {
                tokio::time::sleep(THROWN_AWAY_EVERY).await;
                // Only large outputs are in the way; who appends goes on at the new end.
                if thrown_away.metadata().is_ok_and(|file| file.len() > 64 * SHOWN) {
                    let _ = thrown_away.set_len(0);
                }
            }
        });
        Ok(Self { file, thrower })
    }

    /// For the standard output or error of the process.
    pub(crate) fn writer(&self) -> io::Result<Stdio> {
        Ok(self.file.try_clone()?.into())
    }

    pub(crate) fn last_lines(&self) -> io::Result<String> {
        let length = self.file.metadata()?.len();
        let mut bytes = vec![0; usize::try_from(length.min(SHOWN)).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, length.saturating_sub(SHOWN))?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.thrower.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_what_a_process_said_is_kept() {
        let output = Output::new().expect("there is a directory for temporary files");
        let script = "seq 1 5000; echo 'why it ended' >&2; exit 3";
        let mut command = process::Command::new("sh");
        command.args(["-c", script]).stdout(output.writer().expect("open")).stderr(output.writer().expect("open"));
        assert_eq!(command.status().expect("there is a shell").code(), Some(3));
        let said = output.last_lines().expect("readable");
        assert!(said.ends_with("5000\nwhy it ended") && said.len() <= 4096, "{said}");
    }
}

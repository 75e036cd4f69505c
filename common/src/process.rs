//! What the long-running binaries do the same: `--help`, exit codes, signals.

use std::{
    env,
    error::Error,
    io,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    VERSION,
    config::{ConfigError, Settings, TelemetryConfig},
    telemetry::{self, error_chain},
};

/// How glibc's malloc is told how much it may keep, in bytes. It reads that before `main`.
const MALLOC: [(&str, &str); 2] = [
    // Blocks from this size on are given back when they are freed. Else the limit grows with the largest one that was freed,
    // to 32 MiB, and each of a dozen arenas keeps twice as much: hundreds of megabytes after a few long mails.
    ("MALLOC_MMAP_THRESHOLD_", "1048576"),
    // What else may stay at the end of an arena, so that it need not be asked for again each time.
    ("MALLOC_TRIM_THRESHOLD_", "1048576"),
];

/// Exit code for wrong usage.
const WRONG_USAGE: u8 = 2;
/// Exit code for wrong configuration: `EX_CONFIG` of <https://man.freebsd.org/cgi/man.cgi?query=sysexits>.
pub const WRONG_CONFIGURATION: u8 = 78;
/// Exit code after a second signal: 128 + SIGINT, as shells have it.
const INTERRUPTED: i32 = 130;

/// A binary that runs until it is told to stop.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// As it is called on the command line; traces call it `norvalt-` and this.
    pub name: &'static str,
    /// For `--help`.
    pub usage: &'static str,
    /// What a second signal, which aborts, does to what still runs.
    pub abort: &'static str,
}

impl Service {
    /// Reads the configuration and runs until the first SIGTERM or SIGINT, or for as long as `run` takes after that.
    pub fn main<C>(
        self,
        read: impl FnOnce(&mut Settings) -> Result<C, ConfigError>,
        run: impl AsyncFnOnce(C, StopSignal) -> Result<(), Box<dyn Error + Send + Sync>>,
    ) -> ExitCode {
        let Self { name, usage, .. } = self;
        let arguments: Vec<String> = env::args().skip(1).collect();
        match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => self.configured(read, run),
            ["--help" | "-h"] => {
                println!("{usage}");
                ExitCode::SUCCESS
            }
            ["--version" | "-V"] => {
                println!("{name} {VERSION}");
                ExitCode::SUCCESS
            }
            _ => {
                eprintln!("{usage}");
                ExitCode::from(WRONG_USAGE)
            }
        }
    }

    fn configured<C>(
        self,
        read: impl FnOnce(&mut Settings) -> Result<C, ConfigError>,
        run: impl AsyncFnOnce(C, StopSignal) -> Result<(), Box<dyn Error + Send + Sync>>,
    ) -> ExitCode {
        let name = self.name;
        let refused = begin_again_with_malloc_told().err();
        let mut settings = Settings::from_env();
        let telemetry = telemetry::init(&TelemetryConfig::read(&mut settings), &format!("norvalt-{name}"));
        if let Some(error) = refused {
            let told = MALLOC.map(|(name, value)| format!("{name}={value}")).join(" ");
            tracing::warn!(%error, "cannot begin again with {told}, and will keep more memory than it needs; set them from outside");
        }
        let config = match read(&mut settings) {
            Ok(config) => config,
            Err(error) => {
                eprintln!("{name}: {error}");
                return ExitCode::from(WRONG_CONFIGURATION);
            }
        };
        let runtime = Runtime::new().expect("the system has threads and file descriptors to start with");
        let outcome = runtime.block_on(async {
            ignore_broken_pipes()?;
            let stop = StopSignal::new(self.abort)?;
            run(config, stop).await
        });
        telemetry.end();
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(error = error_chain(&*error), "the {name} ended");
                ExitCode::FAILURE
            }
        }
    }
}

/// Becomes the same program once more, as the same process, unless malloc was told.
fn begin_again_with_malloc_told() -> io::Result<()> {
    if MALLOC.iter().any(|(name, _)| env::var_os(name).is_some()) {
        return Ok(());
    }
    let (mut arguments, mut again) = (env::args_os(), Command::new(env::current_exe()?));
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    Err(again.args(arguments).envs(MALLOC).exec())
}

/// Whoever hangs up is an error of one write and not the end of the process. Rust sees to it, except where `exec` was refused.
fn ignore_broken_pipes() -> io::Result<()> {
    // The handler outlives what it is asked through.
    signal(SignalKind::pipe()).map(drop)
}

/// SIGTERM or SIGINT.
#[derive(Debug)]
pub struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
    abort: &'static str,
}

impl StopSignal {
    fn new(abort: &'static str) -> io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, abort })
    }

    /// Waits for the first signal. The second one then ends the process.
    pub async fn received(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("aborted by a second signal; {}", self.abort);
            std::process::exit(INTERRUPTED);
        });
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
